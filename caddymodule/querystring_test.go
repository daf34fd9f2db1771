package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

func TestCleanQuery(t *testing.T) {
	for _, tt := range []struct {
		query, want string
		found       links
	}{
		{"", "", links{}},
		{"q=tea&size=2", "q=tea&size=2", links{}},
		{"a_b=1&%zz", "a_b=1&%zz", links{}},
		{"ajs_aid=x", "", links{tag: true}},
		{"q=tea&ajs_aid=x&size=2", "q=tea&size=2", links{tag: true}},
		{"ajs_uid=1&ajs_trait_email=a%40b&ajs_event=E&ajs_prop_x=1", "ajs_event=E&ajs_prop_x=1", links{tag: true}},
		{"ajs%5Faid=x", "", links{tag: true}},
		{"%61js_%61id=x&q=1", "q=1", links{tag: true}},
		{"ajs_aid[0]=x", "", links{tag: true}},
		{"x[ajs_aid]=x", "", links{tag: true}},
		{"?ajs_aid=x", "", links{tag: true}},
		{"ajs_aid", "", links{tag: true}},
		{"q=ajs_aid", "q=ajs_aid", links{}},
		{"intilery_handoff=v%2Dw&q=1", "q=1", links{handoff: true, value: "v-w"}},
		{"intilery_handoff=1&intilery_handoff=2", "", links{handoff: true, value: "1"}},
		{"intilery_handoff=&ajs_uid=2", "", links{tag: true, handoff: true}},
	} {
		got, found := cleanQuery(tt.query, true)
		if got != tt.want || found != tt.found {
			t.Errorf("%q: got %q, %+v, want %q, %+v", tt.query, got, found, tt.want, tt.found)
		}
		if again, found := cleanQuery(got, true); again != got || found.any() {
			t.Errorf("%q: %q is cleaned again, to %q: a loop", tt.query, got, again)
		}
	}
	if query, found := cleanQuery("intilery_handoff=1", false); query != "intilery_handoff=1" || found.any() {
		t.Errorf("unsigned: %q, %+v", query, found)
	}
}

// The redirect stays on the host, whatever the path.
func TestLocation(t *testing.T) {
	for target, want := range map[string]string{
		"/":                     "/",
		"/a%20b/%2e%2e/c":       "/a%20b/%2e%2e/c",
		"//evil.example/x":      "/.//evil.example/x",
		"///evil.example":       "/.///evil.example",
		"/%5Cevil.example":      "/%5Cevil.example",
		"/%0d%0aSet-Cookie:%20": "/%0d%0aSet-Cookie:%20",
		"http://evil.example/y": "/y",
		"http://evil.example":   "/",
	} {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			t.Fatal(err)
		}
		got := location(u, "")
		if got != want {
			t.Errorf("%q: got %q, want %q", target, got, want)
		}
		base, err := url.Parse("https://shop.example.com/somewhere")
		if err != nil {
			t.Fatal(err)
		}
		if to, err := base.Parse(got); err != nil || to.Host != "shop.example.com" {
			t.Errorf("%q leads to %v, %v", got, to, err)
		}
	}
	if got := location(&url.URL{Path: "/"}, "a=\r\n\"\xff<b>"); got != "/?a=%0D%0A%22%FF%3Cb%3E" {
		t.Errorf("query: %q", got)
	}
}

// stripped serves one request of a site with the given querystring option.
func stripped(t *testing.T, h *Handler, target string, edit ...func(*http.Request)) (resp *http.Response, reached bool) {
	t.Helper()
	r := request(t, "document", nil)
	u, err := url.ParseRequestURI(target)
	if err != nil {
		t.Fatal(err)
	}
	*originalURL(r) = *u
	r.URL = u
	for _, f := range edit {
		f(r)
	}
	w := httptest.NewRecorder()
	err = h.ServeHTTP(w, r, answer(func(h http.Header) { reached = true; document(h) }))
	if err != nil {
		t.Fatal(err)
	}
	return w.Result(), reached
}

func TestQuerystring(t *testing.T) {
	const (
		victim = "11111111-2222-4333-8444-555555555555"
		landed = "/p%20q?size=2&ajs_aid=" + victim + "&ajs_uid=9&ajs_trait_email=x%40y"
	)
	method := func(m string) func(*http.Request) { return func(r *http.Request) { r.Method = m } }
	none := func(*http.Request) {}
	for _, tt := range []struct {
		name, option, target string
		edit                 func(*http.Request)
		status               int
		location             string
	}{
		{"allow: the tag's feature", queryAllow, landed, none, 200, ""},
		{"drop", queryDrop, landed, none, 302, "/p%20q?size=2"},
		{"signed drops them too", querySigned, landed, none, 302, "/p%20q?size=2"},
		{"HEAD", queryDrop, landed, method(http.MethodHead), 302, "/p%20q?size=2"},
		{"in a frame", queryDrop, landed, header("Sec-Fetch-Dest", "iframe"), 302, "/p%20q?size=2"},
		{"prefetched", queryDrop, landed, header("Sec-Purpose", "prefetch"), 302, "/p%20q?size=2"},
		{"a form", queryDrop, landed, method(http.MethodPost), 200, ""},
		{"fetch()", queryDrop, landed, header("Sec-Fetch-Dest", "empty"), 200, ""},
		{"an image", queryDrop, landed, header("Sec-Fetch-Dest", "image"), 200, ""},
		{"no such parameter", queryDrop, "/?q=1&utm_source=mail", none, 200, ""},
		{"a hand-off is none of drop's business", queryDrop, "/?intilery_handoff=x", none, 200, ""},
		{"a path that looks like a host", queryDrop, "//evil.example/?ajs_aid=x", none, 302, "/.//evil.example/"},
		{"a hand-off of nobody's", querySigned, "/?intilery_handoff=" + victim + "&q=1", none, 302, "/?q=1"},
		{"a hand-off that is prefetched: asked again later", querySigned, "/?intilery_handoff=x", header("Sec-Purpose", "prefetch"), 503, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newBenchHandler(t)
			h.Querystring = tt.option
			resp, reached := stripped(t, h, tt.target, tt.edit)
			if resp.StatusCode != tt.status || resp.Header.Get("Location") != tt.location || reached != (tt.status == 200) {
				t.Errorf("%d to %q, reached the app: %v", resp.StatusCode, resp.Header.Get("Location"), reached)
			}
			if tt.status != 200 && (resp.Header.Get("Cache-Control") != "no-store" || resp.Header["Set-Cookie"] != nil) {
				t.Errorf("header %v", resp.Header)
			}
			for name, values := range resp.Header {
				if text := strings.Join(values, " "); strings.Contains(text, victim) {
					t.Errorf("%s repeats the value: %s", name, text)
				}
			}
		})
	}
}

// One visitor, two domains: a link made on one takes the ID to the other, once,
// for whoever comes from there.
func TestHandoffBetweenSites(t *testing.T) {
	h := newBenchHandler(t) // both sites have the app's keys
	h.Querystring = querySigned

	// On shop.example.com, a page with a link to the outlet.
	first := httptest.NewRecorder()
	r := request(t, "document", nil)
	hook := &responseHook{exchange: exchange{h: h, r: r}}
	hook.ResponseWriter = first
	hook.exchange.begin(nil)
	made, ok := hook.exchange.placeholder("intilery.handoff.outlet.example.org")
	value, _ := made.(string)
	if !ok || value == "" {
		t.Fatalf("placeholder %v, %v", made, ok)
	}
	id := hook.exchange.id.AnonymousID

	onOutlet := func(r *http.Request) {
		r.Host = "outlet.example.org"
		r.Header.Set("Referer", "https://shop.example.com/")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
	}
	link := "/sale?size=2&intilery_handoff=" + value
	resp, reached := stripped(t, h, link, onOutlet)
	if reached || resp.StatusCode != 302 || resp.Header.Get("Location") != "/sale?size=2" || resp.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	cookies := resp.Header["Set-Cookie"]
	if len(cookies) != 2 || !strings.Contains(cookies[0], id) || !strings.Contains(cookies[0], "Domain=example.org") {
		t.Errorf("cookies %v, want those of %s", cookies, id)
	}
	for name, edit := range map[string]func(*http.Request){
		"sent on by mail":         func(r *http.Request) { r.Header.Del("Referer") },
		"put onto another's page": func(r *http.Request) { r.Header.Set("Referer", "https://evil.example/") },
		"a broken Referer":        func(r *http.Request) { r.Header.Set("Referer", "https://shop.example.com/%zz:::\x7f") },
		"to another site":         func(r *http.Request) { r.Host = "other.example.org" },
		"of a crawler":            header("User-Agent", "Googlebot/2.1"),
	} {
		resp, reached := stripped(t, h, link, onOutlet, edit)
		if reached || resp.StatusCode != 302 || resp.Header["Set-Cookie"] != nil {
			t.Errorf("%s: %d, %v", name, resp.StatusCode, resp.Header)
		}
	}
	// A site may name the origins whose links it takes.
	for origin, want := range map[string]int{"https://shop.example.com": 2, "shop.example.com:443": 2, "http://shop.example.com": 0, "https://other.example.com": 0} {
		h.QuerystringFrom = []string{origin}
		if err := h.provisionOrigins(caddy.NewReplacer()); err != nil {
			t.Fatal(err)
		}
		if resp, _ := stripped(t, h, link, onOutlet); len(resp.Header["Set-Cookie"]) != want {
			t.Errorf("from %s: cookies %v, want %d", origin, resp.Header["Set-Cookie"], want)
		}
	}
	if got := counter(t, siteMetrics.links.WithLabelValues("UNKNOWN", linkHandedOver)); got < 1 {
		t.Errorf("handed over %v times", got)
	}
}

// FuzzQuerystring: any URL that a server lets through is answered on the host,
// without what was removed and without a header of the URL's making.
func FuzzQuerystring(f *testing.F) {
	for _, seed := range []string{
		"/?ajs_aid=x", "//evil.example?ajs_uid=%0d%0a", "/\\evil?ajs_aid", "/%?&&ajs_trait_=;intilery_handoff=\x00",
		"http://evil.example//x?ajs_aid=1&ajs_aid=2", "/?intilery_handoff=AQ&%61js_aid=%",
	} {
		f.Add(seed)
	}
	h := newBenchHandler(f)
	h.Querystring = querySigned
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		r := request(t, "document", nil)
		*originalURL(r) = *u
		r.URL = u
		w := httptest.NewRecorder()
		before := counter(t, siteMetrics.panics.WithLabelValues("srv0"))
		if err := h.ServeHTTP(w, r, answer(document)); err != nil || counter(t, siteMetrics.panics.WithLabelValues("srv0")) != before {
			t.Fatalf("error %v, or a panic", err)
		}
		if w.Code != http.StatusFound {
			return
		}
		to := w.Header().Get("Location")
		if len(to) == 0 || to[0] != '/' || strings.HasPrefix(to, "//") || strings.HasPrefix(to, `/\`) || strings.ContainsFunc(to, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
			t.Errorf("%q leads to %q", target, to)
		}
		_, query, _ := strings.Cut(to, "?")
		if _, found := cleanQuery(query, true); found.any() {
			t.Errorf("%q leads to %q: a loop", target, to)
		}
		if w.Body.Len() > 0 || w.Header()["Set-Cookie"] != nil {
			t.Errorf("%q: %v %q", target, w.Header(), w.Body)
		}
	})
}
