package doctor

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/intilery/caddy-intilery/cookie"
)

const tagged = `<p>Shop</p><script>x()</script><script async src="/x7/hello.js"></script>`

// endpoint is a site with a sound collection endpoint below /x7, on which an edit
// is made: one that returns true has answered itself.
func endpoint(t *testing.T, body string, edit func(http.ResponseWriter, *http.Request) bool) app {
	site := mints(readableSet, keeperSet)
	taken := map[string]int{}
	t.Cleanup(func() {
		for id, n := range taken {
			if n > 2 {
				t.Errorf("%s was sent %d times", id, n)
			}
		}
		if len(taken) > 1 {
			t.Errorf("%d events were sent", len(taken))
		}
	})
	return secured(func(w http.ResponseWriter, r *http.Request) {
		if edit(w, r) {
			return
		}
		below, ok := strings.CutPrefix(r.URL.Path, "/x7/")
		if !ok {
			site(w, r)
			_, _ = io.WriteString(w, body)
			return
		}
		if r.UserAgent() != userAgent {
			t.Errorf("asked as %q", r.UserAgent())
		}
		if origin := r.Header.Get("Origin"); strings.HasSuffix(origin, ".example.com") {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Allow-Credentials", "true")
		}
		switch {
		case r.Method == http.MethodOptions:
			w.Header().Set("Access-Control-Allow-Headers", "authorization, content-type")
			w.WriteHeader(http.StatusNoContent)
		case below == "hello.js":
			w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		case below == "v1/projects/the-key/settings":
			_, _ = io.WriteString(w, `{"integrations":{"Segment.io":{"apiKey":"the-key","apiHost":"`+r.Host+`/x7","protocol":"https"}}}`)
		case below == "t":
			var body io.Reader = r.Body
			if r.Header.Get("Content-Encoding") == "gzip" {
				body, _ = gzip.NewReader(r.Body)
			}
			var sent map[string]string
			_ = json.NewDecoder(body).Decode(&sent)
			if sent["writeKey"] != "the-key" {
				w.WriteHeader(http.StatusUnauthorized)
				_, _ = io.WriteString(w, `{"success":false,"error":"`+map[bool]string{true: "missing_key", false: "unknown_key"}[sent["writeKey"] == ""]+`"}`)
				return
			}
			taken[sent["messageId"]]++
			if sent["event"] != TestEvent || sent["type"] != "track" || len(r.Cookies()) == 0 && sent["anonymousId"] == "" {
				t.Errorf("sent %v with %v", sent, r.Cookies())
			}
			for _, line := range []string{readableSet, keeperSet} {
				w.Header().Add("Set-Cookie", strings.Replace(line, "NN", "1", 1))
			}
			w.Header().Set("Cache-Control", "no-store")
			_, _ = io.WriteString(w, `{"success":true}`)
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"success":false,"error":"unknown_key"}`)
		}
	})
}

func TestEndpoint(t *testing.T) {
	at := func(method, below string, answer app) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/x7/"+below || r.Method != method {
				return false
			}
			answer(w, r)
			return true
		}
	}
	says := func(status int, text string) app {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
		}
	}
	// later answers requests with a key only.
	later := func(answer app) func(http.ResponseWriter, *http.Request) bool {
		n := 0
		return at("POST", "t", func(w http.ResponseWriter, r *http.Request) {
			if n++; n == 1 {
				says(http.StatusUnauthorized, `{"success":false,"error":"missing_key"}`)(w, r)
				return
			}
			answer(w, r)
		})
	}
	none := func(http.ResponseWriter, *http.Request) bool { return false }
	for _, tt := range []struct {
		name, page, body string
		collect          Endpoint
		edit             func(http.ResponseWriter, *http.Request) bool
		want             []string
	}{
		{"sound", shop, tagged, Endpoint{"/x7", "the-key"}, none, []string{
			"ok endpoint: it answers", "ok endpoint CORS: ", "ok endpoint script: ", "ok endpoint settings: ", `ok test event: "Intilery Doctor" was taken`}},
		{"without a key", shop, tagged, Endpoint{"/x7/", ""}, none, []string{"ok endpoint: it answers", "ok endpoint script: "}},
		{"another key", shop, tagged, Endpoint{"/x7", "other"}, none, []string{
			"problem endpoint settings: there are none for this key", "problem test event: the endpoint refuses it: 401, unknown_key fix: list it in"}},
		{"pages of another host", "https://www.example.com/", tagged, Endpoint{"/x7", "the-key"}, none, []string{
			"note endpoint host: pages of www.example.com send to shop.example.com", "ok endpoint CORS: ", "ok test event: "}},
		{"not there", shop, tagged, Endpoint{"/elsewhere", "the-key"}, none, []string{"problem endpoint: there is none at this path: a POST request is answered with 200"}},
		{"a listed path, not there", shop, tagged, Endpoint{"/my-tracking", ""}, none, []string{
			"note endpoint path: blockers' lists have many rules with the word track", "problem endpoint: there is none"}},
		{"no destination", shop, tagged, Endpoint{"/x7", "the-key"}, at("POST", "t", says(503, `{"success":false,"error":"no_destination"}`)), []string{
			"problem endpoint: the endpoint refuses it: 503, no_destination fix: give the site a destination"}},
		{"a firewall", shop, tagged, Endpoint{"/x7", "the-key"}, later(says(403, "<html>")), []string{"problem test event: the answer is not the endpoint's: 403"}},
		{"no connection", shop, tagged, Endpoint{"/x7", "the-key"}, at("POST", "t", set("Connection", "refused")), []string{"problem endpoint: opening https://shop.example.com/x7/t: connection refused"}},
		{"a status that was changed", shop, tagged, Endpoint{"/x7", "the-key"}, later(says(202, `{"success":true}`)), []string{"problem test event: the answer's status is 202"}},
		{"an error that is not known", shop, tagged, Endpoint{"/x7", "the-key"}, later(says(500, `{"success":false,"error":"\u001b[2J"}`)), []string{
			"problem test event: the endpoint refuses it: 500, \x1b[2J fix: check the path"}},
		{"cookies are lost on the way", shop, tagged, Endpoint{"/x7", "the-key"}, later(says(200, `{"success":true}`)), []string{
			"problem test event: the answer does not renew the cookie intilery_keeper", "problem test event: the answer does not renew the cookie ajs_anonymous_id"}},
		{"gzip is refused", shop, tagged, Endpoint{"/x7", "the-key"}, func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Content-Encoding") == "" {
				return false
			}
			says(400, `{"success":false,"error":"malformed"}`)(w, r)
			return true
		}, []string{"problem test event: the endpoint refuses it: 400, malformed"}},
		{"any origin", shop, tagged, Endpoint{"/x7", ""}, at("OPTIONS", "t", set("Access-Control-Allow-Origin", "*")), []string{
			"problem endpoint CORS: pages of any site may send events"}},
		{"no origin", "https://www.example.com/", tagged, Endpoint{"/x7", ""}, at("OPTIONS", "t", set()), []string{
			"note endpoint host: ", `problem endpoint CORS: pages of https://www.example.com may not send: the answer allows ""`}},
		{"an origin that is refused", "https://www.example.com/", tagged, Endpoint{"/x7", ""}, at("OPTIONS", "t", says(403, "{}")), []string{
			"note endpoint host: ", "problem endpoint CORS: pages of https://www.example.com may not send: the browser's preflight request is answered with 403"}},
		{"no credentials", "https://www.example.com/", tagged, Endpoint{"/x7", ""}, at("OPTIONS", "t", set("Access-Control-Allow-Origin", "https://www.example.com")), []string{
			"note endpoint host: ", "problem endpoint CORS: events of https://www.example.com come without cookies"}},
		{"no headers", "https://www.example.com/", tagged, Endpoint{"/x7", ""}, at("OPTIONS", "t", set("Access-Control-Allow-Origin", "https://www.example.com", "Access-Control-Allow-Credentials", "true", "Access-Control-Allow-Headers", "*")), []string{
			"note endpoint host: ", "problem endpoint CORS: tags cannot send their key"}},
		{"no script", shop, "", Endpoint{"/x7", ""}, none, []string{
			"note endpoint script: the page loads none"}},
		{"a script of another host", shop, `<script src="https://cdn.example.com/x7/a.js"></script><a src="/x7/b.js"></a>`, Endpoint{"/x7", ""}, none, []string{"note endpoint script: the page loads none"}},
		{"the vendor's script path", shop, `<SCRIPT SRC="//shop.example.com/x7/analytics.js/v1/a/analytics.min.js?v=1">`, Endpoint{"/x7", ""}, none, []string{"note endpoint script: blockers' lists have many rules with the word analytic", "problem endpoint script: the page loads one that is answered with 404"}},
		{"a script of another type", shop, tagged, Endpoint{"/x7", ""}, at("GET", "hello.js", set("Content-Type", "text/html")), []string{
			`problem endpoint script: browsers do not run it: its type is "text/html"`}},
		{"settings of another host", shop, tagged, Endpoint{"/x7", "the-key"}, at("GET", "v1/projects/the-key/settings", says(200, `{"integrations":{"Segment.io":{"apiHost":"app:8080/x7","protocol":"http"}}}`)), []string{
			"problem endpoint settings: tags are told to send to http://app:8080/x7 instead of https://shop.example.com/x7", "ok test event: "}},
		{"settings that something else answers", shop, tagged, Endpoint{"/x7", "the-key"}, at("GET", "v1/projects/the-key/settings", says(200, "<html>")), []string{
			"problem endpoint settings: a tag that asks for them gets 200"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := &Doctor{Resolver: home, Transport: endpoint(t, tt.body, tt.edit), Collect: &tt.collect}
			judged(t, d, shop, tt.page, tt.want...)
		})
	}
}

// A visitor without cookies sends an ID of the tag's, and nothing says whether a
// site that asks for consent takes it.
func TestEndpointBeforeConsent(t *testing.T) {
	d := &Doctor{Resolver: home, Collect: &Endpoint{"/x7", "the-key"}, Transport: endpoint(t, tagged, func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Type", "text/html")
		return r.URL.Path == "/"
	})}
	judged(t, d, shop, shop, "note endpoint script: ", "note test event: it was answered", "problem cookie intilery_keeper: ", "problem cookie ajs_anonymous_id: ")
}

func TestCancelledAtEndpoint(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	d := &Doctor{Resolver: home, Collect: &Endpoint{"/x7", ""}, Cookies: cookie.Config{}, Transport: endpoint(t, tagged, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		cancel()
		set("Connection", "refused")(w, r)
		return true
	})}
	at := address(t, shop)
	if _, err := d.Examine(ctx, at, at); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

func TestSameAddress(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"https://Shop.example.com/x7", "https://shop.example.com:443/x7", true},
		{"https://xn--bcher-kva.example/x7", "https://B\u00fccher.example/x7", true},
		{"http://shop.example.com:80/x7", "http://shop.example.com/x7", true},
		{"http://shop.example.com/x7", "https://shop.example.com/x7", false},
		{"https://shop.example.com:8443/x7", "https://shop.example.com/x7", false},
		{"https://shop.example.com/x8", "https://shop.example.com/x7", false},
		{"https://www.example.com/x7", "https://shop.example.com/x7", false},
		{"://", "https://shop.example.com/x7", false},
	} {
		if got := sameAddress(tt.a, address(t, tt.b)); got != tt.want {
			t.Errorf("%s and %s: %t", tt.a, tt.b, got)
		}
	}
}

func TestListedWord(t *testing.T) {
	for path, want := range map[string]string{
		"/collect": "collect", "/my/Analytics2": "analytic", "/x/tracking": "track", "/s/ga.js": "ga", "/api/v1/events": "events", "/js/tag": "tag",
		"/x7": "", "/garden": "", "/blog": "", "/shop/stage": "", "/whitepaper": "", "/hello.js": "", "": "",
	} {
		if got := listedWord(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}
