package navigation

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	chrome  = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36"
	firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	webview = "Mozilla/5.0 (Linux; Android 13; SM-S901B Build/TP1A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/120.0.0.0 Mobile Safari/537.36 Instagram 300.0"

	safari     = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.3 Safari/605.1.15"
	pageAccept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
)

type headers map[string]string

func request(method, url string, h headers) *http.Request {
	r := httptest.NewRequest(method, url, nil)
	for name, value := range h {
		r.Header.Set(name, value)
	}
	return r
}

// with returns a copy with more headers.
func (h headers) with(more headers) headers {
	all := headers{}
	for _, part := range []headers{h, more} {
		for name, value := range part {
			all[name] = value
		}
	}
	return all
}

var (
	navigate  = headers{"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate", "Accept": pageAccept, "User-Agent": chrome}
	byWorker  = headers{"Sec-Fetch-Dest": "empty", "Upgrade-Insecure-Requests": "1", "Accept": pageAccept, "User-Agent": chrome}
	plain     = headers{"Accept": pageAccept, "User-Agent": firefox}
	fetchHTML = headers{"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors", "Accept": "text/html", "User-Agent": chrome}
)

func TestOf(t *testing.T) {
	document := Facts{Navigation: true, Document: true}
	speculativeNavigation := Facts{Navigation: true, Speculative: true}
	for _, tt := range []struct {
		name, method string
		h            headers
		want         Facts
	}{
		{"a document", "GET", navigate, document},
		{"a document without Fetch Metadata", "GET", plain, document},
		{"a document with the mode alone", "GET", plain.with(headers{"Sec-Fetch-Mode": "navigate"}), document},
		{"a form's POST is no page", "POST", navigate, Facts{Navigation: true}},
		{"HEAD is no page", "HEAD", plain, Facts{Navigation: true}},
		{"a preflight", "OPTIONS", plain, Facts{}},
		{"OPTIONS as a document", "OPTIONS", navigate, Facts{}},
		{"a frame", "GET", headers{"Sec-Fetch-Dest": "iframe", "Accept": pageAccept}, Facts{Frame: true}},
		{"a fenced frame", "GET", headers{"Sec-Fetch-Dest": "fencedframe", "Accept": pageAccept}, Facts{Frame: true}},
		{"fetch", "GET", fetchHTML, Facts{}},
		{"fetch that asks for an upgrade", "GET", byWorker.with(headers{"Sec-Fetch-Mode": "cors"}), Facts{}},
		{"link rel=prefetch", "GET", byWorker.with(headers{"Sec-Fetch-Mode": "no-cors", "Sec-Purpose": "prefetch"}), Facts{Speculative: true}},
		{"fetch by an older Chromium", "GET", plain.with(headers{"Sec-Fetch-Mode": "cors"}), Facts{}},
		{"an image", "GET", headers{"Sec-Fetch-Dest": "image"}, Facts{Subresource: true}},
		{"a script", "GET", headers{"Sec-Fetch-Dest": "script"}, Facts{Subresource: true}},
		{"speculation rules", "GET", headers{"Sec-Fetch-Dest": "speculationrules"}, Facts{Subresource: true}},
		{"an unknown destination", "GET", headers{"Sec-Fetch-Dest": "hologram", "Accept": pageAccept}, Facts{}},
		{"a client of an API", "GET", headers{"Accept": "application/json"}, Facts{}},
		{"curl", "GET", headers{"Accept": "*/*"}, Facts{}},
		{"a crawler", "GET", navigate.with(headers{"User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1)"}), Facts{Navigation: true, Bot: RuleWord}},
		{"a crawler's image", "GET", headers{"Sec-Fetch-Dest": "image", "User-Agent": "Googlebot/2.1"}, Facts{Subresource: true}},

		{"through a worker, Chromium", "GET", byWorker.with(headers{"Sec-Fetch-Mode": "navigate"}), document},
		{"through a worker, Firefox", "GET", byWorker.with(headers{"Sec-Fetch-Mode": "same-origin", "User-Agent": firefox}), document},
		{"through a worker, WebKit", "GET", headers{"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "navigate", "Accept": webkitAccept, "User-Agent": safari}, document},
		{"through a worker with options, WebKit", "GET", headers{"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "same-origin", "Accept": webkitAccept, "User-Agent": safari}, document},
		{"the same by Chromium, which sends more", "GET", headers{"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "same-origin", "Accept": webkitAccept, "User-Agent": chrome}, Facts{}},
		{"a fetch of HTML in WebKit", "GET", headers{"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "same-origin", "Accept": "text/html", "User-Agent": safari}, Facts{}},
		{"through a worker, a form's POST", "POST", byWorker.with(headers{"Sec-Fetch-Mode": "navigate"}), Facts{Navigation: true}},
		{"through a worker, a fetch", "GET", headers{"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "same-origin", "Accept": pageAccept}, Facts{}},
		{"through a worker, a fetch of data", "GET", byWorker.with(headers{"Sec-Fetch-Mode": "same-origin", "Accept": "*/*"}), Facts{}},

		{"an Android WebView", "GET", headers{"Accept": pageAccept, "User-Agent": webview, "X-Requested-With": "com.instagram.android"}, document},
		{"an Android WebView without the header", "GET", headers{"Accept": pageAccept, "User-Agent": webview}, document},
		{"an Android WebView with Fetch Metadata", "GET", navigate.with(headers{"X-Requested-With": "com.instagram.android"}), document},

		{"prefetch", "GET", navigate.with(headers{"Sec-Purpose": "prefetch"}), speculativeNavigation},
		{"Firefox's link preview", "GET", navigate.with(headers{"X-Firefox-AI": "1"}), speculativeNavigation},

		{"an include by templates", "GET", navigate.with(headers{"Caddy-Templates-Include": "1"}), Facts{Virtual: true}},
		{"an include without a value", "GET", plain.with(headers{"Caddy-Templates-Include": ""}), Facts{Virtual: true}},

		{"a frame of another site, no cookies", "GET", headers{"Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Storage-Access": "none"}, Facts{NoStorage: true}},
		{"a frame of another site, not activated", "POST", headers{"Sec-Fetch-Dest": "empty", "Sec-Fetch-Storage-Access": "inactive"}, Facts{NoStorage: true}},
		{"a frame of another site, with cookies", "POST", headers{"Sec-Fetch-Dest": "empty", "Sec-Fetch-Storage-Access": "active"}, Facts{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := request(tt.method, "https://shop.example.com/", tt.h)
			if diff := cmp.Diff(tt.want, Of(r, "shop.example.com", true, nil)); diff != "" {
				t.Errorf("facts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadsPage(t *testing.T) {
	for _, tt := range []struct {
		name, method string
		h            headers
		want         bool
	}{
		{"a document", "GET", navigate, true},
		{"a document without Fetch Metadata", "GET", plain, true},
		{"a document through a worker", "GET", byWorker, true},
		{"a prefetched document", "GET", navigate.with(headers{"Sec-Purpose": "prefetch"}), true},
		{"a frame", "GET", headers{"Sec-Fetch-Dest": "iframe"}, true},
		{"an object", "GET", headers{"Sec-Fetch-Dest": "object"}, true},
		{"fetch", "GET", fetchHTML, false},
		{"an image", "GET", headers{"Sec-Fetch-Dest": "image", "Accept": pageAccept}, false},
		{"a preflight", "OPTIONS", plain, false},
		{"an include by templates", "GET", navigate.with(headers{"Caddy-Templates-Include": "1"}), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := LoadsPage(request(tt.method, "https://shop.example.com/", tt.h)); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestOfDoesNotAllocate(t *testing.T) {
	for name, r := range map[string]*http.Request{
		"document": request("GET", "/", navigate),
		"worker":   request("GET", "/", byWorker),
		"plain":    request("GET", "/", plain),
		"image":    request("GET", "/", headers{"Sec-Fetch-Dest": "image"}),
		"fetch":    request("POST", "/", fetchHTML.with(headers{"Sec-Fetch-Site": "same-origin", "Origin": "https://shop.example.com"})),
		"form":     request("POST", "/", plain.with(headers{"Origin": "https://shop.example.com"})),
	} {
		if allocs := testing.AllocsPerRun(100, func() { Of(r, "shop.example.com", true, nil) }); allocs != 0 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
}

// No headers make a request both a page and something that must not count.
func FuzzFacts(f *testing.F) {
	f.Add("GET", "document", "navigate", "none", pageAccept, chrome, "prefetch;anonymous-client-ip", "", "shop.example.com:443", "Hx-Request", "true")
	f.Add("GET", "", "", "", pageAccept, "Mozilla/5.0 (compatible; Googlebot/2.1)", "", "null", "[::1]:80", "X-Requested-With", "com.instagram.android")
	f.Add("POST", "empty", "same-origin", "cross-site", pageAccept, firefox, "", "https://bank.example", "localhost", "Upgrade-Insecure-Requests", "1")
	f.Add("OPTIONS", "iframe", "cors", "same-site", "*/*", "", "pre", "https://[::1", "", "Caddy-Templates-Include", "")
	f.Fuzz(func(t *testing.T, method, dest, mode, site, accept, agent, purpose, origin, host, name, value string) {
		h := http.Header{name: {value}}
		given := headers{
			"Sec-Fetch-Dest": dest, "Sec-Fetch-Mode": mode, "Sec-Fetch-Site": site, "Accept": accept,
			"User-Agent": agent, "Sec-Purpose": purpose, "Origin": origin,
		}
		for name, value := range given {
			if value != "" {
				h[name] = []string{value}
			}
		}
		r := &http.Request{Method: method, Header: h}
		for _, secure := range []bool{false, true} {
			got := Of(r, host, secure, nil)
			if got.Document && (!got.Navigation || got.Speculative || got.Bot != "" || method != http.MethodGet) {
				t.Errorf("a document that must not count: %+v", got)
			}
			kinds := 0
			for _, is := range []bool{got.Navigation, got.Frame, got.Subresource, got.Virtual} {
				if is {
					kinds++
				}
			}
			if kinds > 1 {
				t.Errorf("more than one kind: %+v", got)
			}
			if got.Bot != "" && (!got.Navigation || !slices.Contains(Rules(), got.Bot)) {
				t.Errorf("bot %q: %+v", got.Bot, got)
			}
			if got.Navigation && method == http.MethodOptions {
				t.Errorf("OPTIONS navigates: %+v", got)
			}
			if got.CrossSite && got.Navigation && safe(method) {
				t.Errorf("a link is cross-site: %+v", got)
			}
			if LoadsPage(r) != (got.Navigation || got.Frame) {
				t.Errorf("LoadsPage is %v: %+v", LoadsPage(r), got)
			}
		}
	})
}

func BenchmarkOf(b *testing.B) {
	for _, bb := range []struct {
		name string
		h    headers
	}{
		{"document", navigate},
		{"documentThroughWorker", byWorker},
		{"documentWithoutFetchMetadata", plain},
		{"longUserAgent", navigate.with(headers{"User-Agent": webview + " (33/13; 480dpi; 1080x2120; samsung; SM-S901B; r0s; qcom; en_US; 500160596)"})},
		{"image", headers{"Sec-Fetch-Dest": "image", "User-Agent": chrome}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			r := request("GET", "/", bb.h)
			b.ReportAllocs()
			for b.Loop() {
				Of(r, "shop.example.com", true, nil)
			}
		})
	}
}
