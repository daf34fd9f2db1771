package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36"

func TestFactsOf(t *testing.T) {
	document := requestFacts{navigation: true, document: true}
	for _, tt := range []struct {
		name, method string
		h            map[string]string
		want         requestFacts
	}{
		{"a document by Fetch Metadata", "GET", map[string]string{"Sec-Fetch-Dest": "document", "User-Agent": chrome}, document},
		{"a document by Accept, on plain HTTP", "GET", map[string]string{"Accept": "text/html,*/*;q=0.8", "User-Agent": chrome}, document},
		{"a form's POST navigates, it is no page", "POST", map[string]string{"Sec-Fetch-Dest": "document"}, requestFacts{navigation: true}},
		{"HEAD is no page", "HEAD", map[string]string{"Accept": "text/html"}, requestFacts{navigation: true}},
		{"an iframe", "GET", map[string]string{"Sec-Fetch-Dest": "iframe", "Accept": "text/html"}, requestFacts{}},
		{"fetch()", "GET", map[string]string{"Sec-Fetch-Dest": "empty", "Accept": "text/html"}, requestFacts{}},
		{"an image", "GET", map[string]string{"Sec-Fetch-Dest": "image"}, requestFacts{subresource: true}},
		{"a script", "GET", map[string]string{"Sec-Fetch-Dest": "script"}, requestFacts{subresource: true}},
		{"a client of an API", "GET", map[string]string{"Accept": "application/json"}, requestFacts{}},
		{"curl", "GET", map[string]string{"Accept": "*/*"}, requestFacts{}},
		{"a fragment by htmx", "GET", map[string]string{"Accept": "text/html", "HX-Request": "true"}, requestFacts{}},
		{"a fragment by jQuery", "GET", map[string]string{"Accept": "text/html", "X-Requested-With": "XMLHttpRequest"}, requestFacts{}},
		{
			"prefetch", "GET", map[string]string{"Sec-Fetch-Dest": "document", "Sec-Purpose": "prefetch"},
			requestFacts{navigation: true, speculative: true},
		},
		{
			"prerender", "GET", map[string]string{"Sec-Fetch-Dest": "document", "Sec-Purpose": "prefetch;prerender"},
			requestFacts{navigation: true, speculative: true},
		},
		{
			"prefetch by Turbo", "GET", map[string]string{"Sec-Fetch-Dest": "empty", "X-Sec-Purpose": "prefetch"},
			requestFacts{speculative: true},
		},
		{
			"prefetch of older browsers", "GET", map[string]string{"Accept": "text/html", "Purpose": "prefetch"},
			requestFacts{navigation: true, speculative: true},
		},
		{
			"a crawler", "GET", map[string]string{"Accept": "text/html", "User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1)"},
			requestFacts{navigation: true, bot: botByName},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, "/", nil)
			for name, value := range tt.h {
				r.Header.Set(name, value)
			}
			if got := factsOf(r, nil); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestBotNames(t *testing.T) {
	var bots *Bots
	for agent, want := range map[string]bool{
		chrome: false,
		"":     false,
		"Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)":        true,
		"facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)":      true,
		"Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)":               true,
		"Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 Chrome/120 Mobile": false,
	} {
		if got := bots.named(agent); got != want {
			t.Errorf("named(%q) = %v, want %v", agent, got, want)
		}
	}
	if allocs := testing.AllocsPerRun(100, func() { bots.named(chrome) }); allocs != 0 {
		t.Errorf("named allocates %v times", allocs)
	}
}

func TestPageAnswer(t *testing.T) {
	html := http.Header{"Content-Type": {"text/html; charset=utf-8"}}
	for _, tt := range []struct {
		name   string
		status int
		h      http.Header
		body   []byte
		want   bool
	}{
		{"HTML", 200, html, nil, true},
		{"XHTML", 200, http.Header{"Content-Type": {"application/xhtml+xml"}}, nil, true},
		{"the browser's copy is fresh", 304, http.Header{}, nil, true},
		{"no type, unknown body", 200, http.Header{}, nil, true},
		{"no type, an HTML body", 200, http.Header{}, []byte("<!doctype html><p>"), true},
		{"no type, a PNG", 200, http.Header{}, []byte("\x89PNG\r\n\x1a\n"), false},
		{"JSON", 200, http.Header{"Content-Type": {"application/json"}}, nil, false},
		{"a download", 200, http.Header{"Content-Type": {"text/html"}, "Content-Disposition": {"attachment; filename=a.html"}}, nil, false},
		{"a redirect", 302, html, nil, false},
		{"not found", 404, html, nil, false},
		{"no content", 204, http.Header{}, nil, false},
		{"a part", 206, html, nil, false},
		{"created", 201, html, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := pageAnswer(tt.status, tt.h, tt.body); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// No header makes a request both a document and something that must not count.
func FuzzFacts(f *testing.F) {
	f.Add("document", "text/html", chrome, "prefetch", "GET")
	f.Add("", "text/html", "Googlebot", "", "GET")
	f.Fuzz(func(t *testing.T, dest, accept, agent, purpose, method string) {
		r := &http.Request{Method: method, Header: http.Header{
			"Sec-Fetch-Dest": {dest}, "Accept": {accept}, "User-Agent": {agent}, "Sec-Purpose": {purpose},
		}}
		got := factsOf(r, nil)
		if got.document && (!got.navigation || got.speculative || got.bot != "" || got.subresource || method != http.MethodGet) {
			t.Errorf("%+v", got)
		}
		if got.subresource && got.navigation {
			t.Errorf("%+v", got)
		}
	})
}

// Reserved names and announcements survive any spelling.
func FuzzStrip(f *testing.F) {
	f.Add("intilery-track", "Checksum, Intilery-Track", "x")
	f.Add("0", "0Intilery-", "0") // another's, that only contains the prefix
	f.Fuzz(func(t *testing.T, name, announced, value string) {
		h := http.Header{name: {value}, http.TrailerPrefix + name: {value}, "Trailer": {announced}}
		takeReserved(h)
		stripResponse(h)
		wantStripped(t, h, nil)
		for left := range h {
			if reserved(strings.TrimPrefix(left, http.TrailerPrefix)) {
				t.Errorf("%q is left", left)
			}
		}
	})
}
