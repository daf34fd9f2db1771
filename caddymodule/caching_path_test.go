package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// query is a path whose query makes the app answer with headers.
func query(path string, pairs ...string) string {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return path + "?" + values.Encode()
}

// Behind a cache what the app says still counts where it can only be meant for
// this visitor, and nothing else does.
func TestAppHeadersBehindACache(t *testing.T) {
	for name, tt := range map[string]struct {
		method, field, value string
		counts               bool
	}{
		"a sign-up with Age":                   {"POST", "Age", "12", true},
		"Varnish, which adds Age: 0":           {"GET", "Age", "0", true},
		"Squid, whose host's name holds a hit": {"GET", "X-Cache", "MISS from proxy1.whitehall.example", true},
		"a hit of another kind":                {"GET", "X-Drupal-Dynamic-Cache", "HIT", true},
		"a hit":                                {"GET", "Cache-Status", `"edge one"; hit=?1`, false},
		"no hit":                               {"GET", "Cache-Status", `edge; hit=?0`, true},
		"a stale copy":                         {"GET", "X-Cache-Status", "STALE", false},
		"LiteSpeed":                            {"GET", "X-Litespeed-Cache", "hit", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.serve("intilery\nreverse_proxy " + newServer(t, http.HandlerFunc(echoing)))
			r.get("/page")
			id := r.id()
			resp := r.do(tt.method, query("/said", tt.field, tt.value, "Intilery-Reset", "true", "Intilery-Track", "Signed Out"), nil)
			wantStripped(t, resp.Header, nil)
			if counted := r.id() != id; counted != tt.counts {
				t.Errorf("the logout counted %v, want %v", counted, tt.counts)
			}
		})
	}
}

// No cookie leaves on a response that a shared cache may store, whichever field
// allows it.
func TestNoCookieOnStoredResponses(t *testing.T) {
	r := newRig(t)
	r.serve("intilery {\nquerystring drop\n}\nreverse_proxy " + newServer(t, http.HandlerFunc(echoing)))
	for _, field := range []string{
		"Cdn-Cache-Control", "Cloudflare-Cdn-Cache-Control", "Vercel-Cdn-Cache-Control", "Netlify-Cdn-Cache-Control",
		"Akamai-Cache-Control", "X-Litespeed-Cache-Control", "Surrogate-Control", "Edge-Control",
	} {
		resp := r.stranger().get(query("/page", "Cache-Control", "private, no-store", field, "max-age=600", "Intilery-User-Id", "42"))
		if got := resp.Header["Set-Cookie"]; got != nil {
			t.Errorf("%s: set %v", field, got)
		}
	}
	if got := r.stranger().get(query("/page", "Cache-Control", "private", "X-Accel-Expires", "600")).Header["Set-Cookie"]; got != nil {
		t.Errorf("X-Accel-Expires: set %v", got)
	}
	// A redirect that takes the identity off a URL sets no cookie beside them either.
	resp := r.stranger().get("/page?ajs_aid=x")
	if got := resp.Header.Get("Cache-Control"); resp.StatusCode != http.StatusFound || got != "no-store" {
		t.Errorf("%d, Cache-Control %q", resp.StatusCode, got)
	}
	r.get("/last")
	r.calls(1)
}

// A header directive that removes something defers all of its changes: they must
// not make a response public after it has got its cookies.
func TestHeaderDirectiveOutside(t *testing.T) {
	for name, tt := range map[string]struct {
		options string
		cookies int
		control string
	}{
		"skipped": {"", 0, "public, s-maxage=600"},
		"private": {" {\ncacheable private\n}", 2, "private"},
	} {
		r := newRig(t)
		r.serve("intilery" + tt.options + "\nheader {\nCache-Control \"public, s-maxage=600\"\n-Server\n}\nreverse_proxy " +
			newServer(t, http.HandlerFunc(echoing)))
		resp := r.get("/page")
		if n := len(resp.Header["Set-Cookie"]); n != tt.cookies || resp.Header.Get("Cache-Control") != tt.control {
			t.Errorf("%s: %d cookies with Cache-Control %q", name, n, resp.Header["Cache-Control"])
		}
	}
}

// A static page that says nothing of its freshness is asked for again each time.
func TestRevalidate(t *testing.T) {
	for name, tt := range map[string]struct {
		options, file, query, want string
	}{
		"a page":                  {"", "page.html", "", "no-cache, private"},
		"a visitor who refuses":   {"consent {\nimplied\n}", "page.html", "", ""},
		"turned off":              {"revalidate off", "page.html", "", "private"},
		"no page event":           {"page off", "page.html", "", "private"},
		"a file":                  {"", "style.css", "", ""},
		"the site says something": {"", "page.html", "max-age=60, private", "max-age=60, private"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, tt.file), []byte("<h1>page</h1>"), 0o600); err != nil {
				t.Fatal(err)
			}
			site := "intilery {\n" + tt.options + "\n}\nroot " + dir + "\nfile_server"
			if tt.query != "" {
				site += "\nheader Cache-Control \"" + tt.query + "\""
			}
			r.serve(site)
			dest := header("Sec-Fetch-Dest", "document")
			if strings.HasSuffix(tt.file, ".css") {
				dest = header("Sec-Fetch-Dest", "style")
			}
			refuses := func(q *http.Request) {
				if name == "a visitor who refuses" {
					q.Header.Set("Sec-Gpc", "1")
				}
			}
			first := r.get("/"+tt.file, dest, refuses)
			if got := first.Header.Get("Cache-Control"); got != tt.want {
				t.Errorf("Cache-Control %q, want %q", got, tt.want)
			}
			if name != "a page" {
				return
			}
			again := r.get("/"+tt.file, dest, header("If-None-Match", first.Header.Get("Etag")))
			if again.StatusCode != http.StatusNotModified || again.Header.Get("Cache-Control") != "no-cache" {
				t.Errorf("again: %d, Cache-Control %q", again.StatusCode, again.Header.Get("Cache-Control"))
			}
			if got := paths(r.calls(2)); got != "/page.html /page.html" {
				t.Errorf("events %s", got)
			}
		})
	}
}

// A logout that clears cookies too lets the tag restore the old ID: the log says
// so, once.
func TestClearSiteData(t *testing.T) {
	r := newRig(t)
	r.serve("intilery\nreverse_proxy " + newServer(t, http.HandlerFunc(echoing)))
	for _, tt := range []struct {
		value string
		want  int
	}{{`"cookies", "storage"`, 0}, {`"cache"`, 0}, {`"cookies"`, 1}, {`"cookies"`, 1}} {
		r.get(query("/logout", "Intilery-Reset", "true", "Clear-Site-Data", tt.value))
		if got := strings.Count(r.log(), "Clear-Site-Data"); got != tt.want {
			t.Errorf("%s: %d warnings, want %d", tt.value, got, tt.want)
		}
	}
}

// An error route opens the response to shared caches after the cookies were set.
func TestErrorRouteOnStoredResponses(t *testing.T) {
	for control, cookies := range map[string]int{"public, max-age=600": 0, "private": 2} {
		r := newRig(t)
		app := newServer(t, http.HandlerFunc(echoing))
		r.serve("intilery\nreverse_proxy " + app + " {\n@all status 2xx\nhandle_response @all {\ncopy_response_headers\nerror 404\n}\n}\n" +
			"handle_errors {\nintilery\nheader Cache-Control \"" + control + "\"\nrespond \"gone\" 404\n}")
		resp := r.get("/page?Intilery-Track=Seen")
		if n := len(resp.Header["Set-Cookie"]); n != cookies || resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d with %d cookies, want %d", control, resp.StatusCode, n, cookies)
		}
		wantStripped(t, resp.Header, nil)
	}
}

// A logout and a consent that cannot be kept are reported.
func TestForgettingOnStoredResponses(t *testing.T) {
	r := newRig(t)
	r.serve("intilery\nreverse_proxy " + newServer(t, http.HandlerFunc(echoing)))
	for header, value := range map[string]string{"Intilery-Reset": "true", "Intilery-Consent": "denied"} {
		rejected := siteMetrics.rejected.WithLabelValues("srv0", header, errCacheable.Error())
		before := counter(t, rejected)
		r.get(query("/public", header, value, "Cache-Control", "public, max-age=60"))
		if got := counter(t, rejected) - before; got != 1 {
			t.Errorf("%s: counted %v, want 1", header, got)
		}
	}
}

// A hand-off's redirect carries cookies: what tells caches to store it goes.
func TestHandoffDropsTargetedFields(t *testing.T) {
	h := newBenchHandler(t)
	h.Querystring = querySigned
	r := request(t, "document", nil)
	hook := &responseHook{exchange: exchange{h: h, r: r}}
	hook.ResponseWriter = httptest.NewRecorder()
	hook.exchange.begin(nil)
	value, _ := hook.exchange.placeholder("http.intilery.handoff.outlet.example.org")
	w := httptest.NewRecorder()
	w.Header().Set("Cdn-Cache-Control", "max-age=600")
	w.Header().Set("Surrogate-Control", "max-age=600")
	onOutlet := request(t, "document", nil)
	onOutlet.Host = "outlet.example.org"
	onOutlet.Header.Set("Referer", "https://shop.example.com/")
	*originalURL(onOutlet) = url.URL{Path: "/sale", RawQuery: "intilery_handoff=" + value.(string)}
	if err := h.ServeHTTP(w, onOutlet, answer(document)); err != nil {
		t.Fatal(err)
	}
	got := w.Result().Header
	if len(got["Set-Cookie"]) != 2 || got.Get("Cdn-Cache-Control")+got.Get("Surrogate-Control") != "" || got.Get("Cache-Control") != "no-store" {
		t.Errorf("header %v", got)
	}
}

// A page that a script fetches and the app names is counted each time, also when the
// browser has it: it must ask, and is answered with 304.
func TestFetchedPageIsRevalidated(t *testing.T) {
	r := newRig(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "page.html"), []byte("<h1>page</h1>"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.serve("intilery\nroot " + dir + "\nfile_server\nheader /page.html Intilery-Page Named")
	r.get("/page.html") // a fetch mints no ID
	fetch := headers("Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "cors")
	first := r.get("/page.html", fetch)
	if got := first.Header.Get("Cache-Control"); got != "no-cache" {
		t.Errorf("fetched: Cache-Control %q", got)
	}
	again := r.get("/page.html", fetch, header("If-None-Match", first.Header.Get("Etag")))
	if again.StatusCode != http.StatusNotModified {
		t.Errorf("fetched again: %d", again.StatusCode)
	}
	if got := paths(r.calls(3)); got != "/page.html /page.html /page.html" {
		t.Errorf("events %s", got)
	}
}
