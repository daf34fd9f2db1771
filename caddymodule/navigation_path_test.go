package caddymodule

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// headers sets request headers; one without a value is removed.
func headers(pairs ...string) func(*http.Request) {
	return func(r *http.Request) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i+1] == "" {
				r.Header.Del(pairs[i])
			} else {
				r.Header.Set(pairs[i], pairs[i+1])
			}
		}
	}
}

// What counts as a page, among what browsers and frameworks send.
func TestWhatCountsAsAPage(t *testing.T) {
	r := newRig(t)
	r.serve("intilery\nreverse_proxy " + newServer(t, http.HandlerFunc(echoing)))
	forwarded := []string{"Sec-Fetch-Dest", "empty", "Upgrade-Insecure-Requests", "1"}
	r.get("/first") // a fetch mints no ID
	want := []string{"/first"}
	for path, tt := range map[string]struct {
		headers []string
		page    bool
	}{
		"/plain":                       {nil, true},
		"/worker-chromium":             {append(forwarded, "Sec-Fetch-Mode", "navigate"), true},
		"/worker-firefox":              {append(forwarded, "Sec-Fetch-Mode", "same-origin"), true},
		"/fetch":                       {[]string{"Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "cors"}, false},
		"/fetch-html":                  {[]string{"Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "cors", "Accept", "text/html"}, false},
		"/fetch-named?Intilery-Page=P": {[]string{"Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "cors"}, true},
		"/image-named?Intilery-Page=P": {[]string{"Sec-Fetch-Dest", "image", "Sec-Fetch-Mode", "no-cors"}, false},
		"/webview":                     {[]string{"Sec-Fetch-Dest", "", "Sec-Fetch-Mode", "", "X-Requested-With", "com.instagram.android"}, true},
		"/xhr":                         {[]string{"Sec-Fetch-Dest", "", "Sec-Fetch-Mode", "", "X-Requested-With", "XMLHttpRequest"}, false},
		"/turbo":                       {[]string{"Sec-Fetch-Dest", "", "Sec-Fetch-Mode", "", "X-Turbo-Request-Id", "1"}, false},
		"/link-preview":                {[]string{"X-Firefox-Ai", "1"}, false},
		"/prefetch":                    {[]string{"Sec-Purpose", "prefetch;prerender"}, false},
		"/included":                    {[]string{"Caddy-Templates-Include", "1"}, false},
		"/crawler":                     {[]string{"User-Agent", "Mozilla/5.0 (compatible; Examplebot/1.0; +http://example.com/bot)"}, false},
	} {
		r.get(path, headers(tt.headers...))
		if tt.page {
			path, _, _ = strings.Cut(path, "?")
			want = append(want, path)
		}
	}
	r.get("/last")
	got := strings.Fields(paths(r.calls(len(want) + 1)))
	slices.Sort(got)
	want = append(want, "/last")
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("pages %v\nwant  %v", got, want)
	}
}

// Nothing is done on a preflight, whose browser keeps no cookies.
func TestPreflight(t *testing.T) {
	r := newRig(t)
	r.serve("intilery\nreverse_proxy " + newServer(t, http.HandlerFunc(echoing)))
	resp := r.do(http.MethodOptions, "/?Intilery-Track=Seen&Intilery-User-Id=42", nil, headers("Sec-Fetch-Dest", "empty", "Origin", "https://a.example"))
	wantStripped(t, resp.Header, nil)
	if got := resp.Header["Set-Cookie"]; got != nil {
		t.Errorf("set %v", got)
	}
	r.get("/page")
	if got := paths(r.calls(1)); got != "/page" {
		t.Errorf("events %s", got)
	}
}

// The parts of a page that templates include are no pages, and mint nothing.
func TestTemplatesInclude(t *testing.T) {
	r := newRig(t)
	r.serve(`
	intilery
	templates
	header Content-Type text/html
	handle /part* {
		header Intilery-Track Included
		respond "part"
	}
	respond ` + "`{{httpInclude \"/part1\"}} {{httpInclude \"/part2\"}} {{httpInclude \"/part3\"}}`")
	resp := r.get("/page")
	if got := bodyText(t, resp); got != "part part part" {
		t.Fatalf("body %q", got)
	}
	if n := len(resp.Header["Set-Cookie"]); n != 2 {
		t.Errorf("%d cookies: %v", n, resp.Header["Set-Cookie"])
	}
	id := r.id()
	r.get("/again")
	for _, c := range r.calls(5) { // the second time the parts are a known visitor's
		if c.AnonymousID != id {
			t.Errorf("%s %s went as %s, want %s", c.Type, c.Event, c.AnonymousID, id)
		}
	}
}

// One exchange per request, whatever the Caddyfile nests.
func TestNestedDirectives(t *testing.T) {
	for name, site := range map[string]string{
		"in handle": "intilery\nhandle {\nintilery\nreverse_proxy %s\n}",
		"in route":  "route {\nintilery\nintilery\nreverse_proxy %s\n}",
		"in an error route": "intilery\nreverse_proxy /fails %[1]s {\n@bad status 404\nhandle_response @bad {\nerror 404\n}\n}\n" +
			"reverse_proxy %[1]s\nhandle_errors {\nintilery\nreverse_proxy %[1]s\n}",
		"two servers": "intilery\nreverse_proxy inner",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			var told string
			app := newServer(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				told = req.Header.Get("Intilery-Anonymous-Id")
				echoing(w, req)
			}))
			extra := ""
			if name == "two servers" {
				port := freePort(t)
				extra = "http://localhost:" + port + " {\nintilery off\nreverse_proxy " + app + "\n}\n"
				site = strings.ReplaceAll(site, "inner", "localhost:"+port)
			}
			site = strings.ReplaceAll(strings.ReplaceAll(site, "%[1]s", app), "%s", app)
			r.load(r.global("")+extra, site)
			resp := r.get("/page?Intilery-Track=Seen")
			wantStripped(t, resp.Header, nil)
			if n := len(resp.Header["Set-Cookie"]); n != 2 {
				t.Errorf("%d cookies", n)
			}
			id := r.id()
			if told != id || id == "" {
				t.Errorf("the app was told %q, the browser %q", told, id)
			}
			r.get("/fails")
			if got := paths(r.calls(3)); got != "/page Seen /fails" {
				t.Errorf("events %s", got)
			}
		})
	}
}

// Placeholders are always known: empty where nobody is.
func TestPlaceholders(t *testing.T) {
	r := newRig(t)
	const all = "[{http.intilery.identity}|{intilery.identity}|{intilery.anonymous_id}|{http.intilery.user_id}|{intilery.handoff.shop.example.com}]"
	r.serve("intilery {\nmatch {\nnot path /untracked\n}\n}\nrespond `" + all + "`")
	for _, tt := range []struct {
		path, dest, want string
	}{
		{"/untracked", "document", "[||||]"},
		{"/style.css", "style", "[none|none|||]"},
		{"/fetch", "empty", "[none|none|||]"},
	} {
		if got := bodyText(t, r.get(tt.path, header("Sec-Fetch-Dest", tt.dest))); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.path, got, tt.want)
		}
	}
	r.get("/page")
	if got := bodyText(t, r.get("/style.css", header("Sec-Fetch-Dest", "style"))); !strings.HasPrefix(got, "[kept|kept|"+r.id()+"||") {
		t.Errorf("a known visitor's stylesheet: %s", got)
	}
}

// Where the module is turned off they are known too, also towards an upstream.
func TestPlaceholdersOff(t *testing.T) {
	r := newRig(t)
	var told string
	upstream := newServer(t, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { told = req.Header.Get("X-Who") }))
	r.serve("intilery off\nreverse_proxy " + upstream + " {\nheader_up X-Who \"[{http.intilery.identity}]\"\n}")
	if r.get("/page"); told != "[]" {
		t.Errorf("the upstream was told %q", told)
	}
}
