package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestSharingOf(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for _, tt := range []struct {
		name   string
		status int
		h      http.Header
		want   sharing
	}{
		{"WordPress, Django: nothing said", 200, http.Header{}, silent},
		{"Rails: max-age=0, private, must-revalidate", 200, http.Header{"Cache-Control": {"max-age=0, private, must-revalidate"}}, unshared},
		{"no-store", 200, http.Header{"Cache-Control": {"no-store"}}, unshared},
		{"no-store beats public", 200, http.Header{"Cache-Control": {"public, no-store"}}, unshared},
		{"public", 200, http.Header{"Cache-Control": {"public"}}, shared},
		{"max-age", 200, http.Header{"Cache-Control": {"max-age=60"}}, shared},
		{"s-maxage beside max-age=0", 200, http.Header{"Cache-Control": {"max-age=0, s-maxage=300"}}, shared},
		{"in two lines, odd case", 200, http.Header{"Cache-Control": {"must-revalidate", "Max-Age=\"60\""}}, shared},
		{"private for one field only", 200, http.Header{"Cache-Control": {`private="X-A", max-age=60`}}, shared},
		{"no-cache is stored to be revalidated", 200, http.Header{"Cache-Control": {"no-cache"}}, silent},
		{"max-age=0 likewise", 200, http.Header{"Cache-Control": {"max-age=0"}}, silent},
		{"a CDN's own header", 200, http.Header{"Cache-Control": {"no-cache"}, "Cdn-Cache-Control": {"max-age=60"}}, shared},
		{"Expires ahead", 200, http.Header{"Expires": {at(time.Hour)}}, shared},
		{"Expires past", 200, http.Header{"Expires": {at(-time.Hour)}}, silent},
		{"Expires: 0", 200, http.Header{"Expires": {"0"}}, silent},
		{"a found redirect", 302, http.Header{}, unshared},
		{"a permanent redirect is cached by default", 301, http.Header{}, silent},
		{"a redirect with max-age", 302, http.Header{"Cache-Control": {"max-age=60"}}, shared},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := sharingOf(http.MethodGet, tt.status, tt.h, now); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	if got := sharingOf(http.MethodPost, 200, http.Header{"Cache-Control": {"public"}}, now); got != unshared {
		t.Errorf("POST: got %v, want unshared", got)
	}
}

func TestKeepPrivate(t *testing.T) {
	for _, tt := range []struct {
		h    http.Header
		want string
	}{
		{http.Header{}, "private"},
		{http.Header{"Cache-Control": {"no-cache", "must-revalidate"}}, "no-cache, must-revalidate, private"},
		{http.Header{"Cdn-Cache-Control": {"no-cache"}}, "private"},
	} {
		keepPrivate(tt.h)
		if got := tt.h["Cache-Control"]; len(got) != 1 || got[0] != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
		if got := sharingOf(http.MethodGet, 200, tt.h, time.Now()); got != unshared {
			t.Errorf("%q is still %v", tt.want, got)
		}
		if tt.h["Cdn-Cache-Control"] != nil {
			t.Errorf("%q: a CDN is still told otherwise", tt.want)
		}
	}
}

func TestMakePrivate(t *testing.T) {
	for _, tt := range []struct {
		h    http.Header
		want string
	}{
		{http.Header{"Cache-Control": {"public, max-age=60"}}, "private, max-age=60"},
		{http.Header{"Cache-Control": {"max-age=60, s-maxage=600", "stale-while-revalidate=30, PROXY-REVALIDATE"}}, "private, max-age=60, stale-while-revalidate=30"},
		{http.Header{"Cache-Control": {`private="X-A, X-B", max-age=60`}}, "private, max-age=60"},
		{http.Header{"Cache-Control": {`no-cache="Set-Cookie, X-B", public`}}, `private, no-cache="Set-Cookie, X-B"`},
		{http.Header{"Cache-Control": {`public, x="never closed, max-age=60`}}, `private, x="never closed, max-age=60`},
		{http.Header{"Cache-Control": {"no-cache"}, "Cdn-Cache-Control": {"max-age=60"}}, "private, no-cache"},
		{http.Header{"Surrogate-Control": {"max-age=60"}}, "private"},
		{http.Header{"Expires": {"Fri, 01 Jan 2100 00:00:00 GMT"}}, "private"},
	} {
		if got := sharingOf(http.MethodGet, 200, tt.h, time.Now()); got != shared {
			t.Errorf("%v is %v", tt.h, got)
		}
		makePrivate(tt.h)
		if got := tt.h["Cache-Control"]; len(got) != 1 || got[0] != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
		if got := sharingOf(http.MethodGet, 200, tt.h, time.Now()); got != unshared {
			t.Errorf("%v is still %v", tt.h, got)
		}
		for _, name := range targeted {
			if tt.h[name] != nil {
				t.Errorf("%s: %q is left", name, tt.h[name])
			}
		}
	}
}

// With cacheable private every copy of a document stays out of shared caches,
// whoever asked for it; what is no document is left alone.
func TestCacheable(t *testing.T) {
	public := func(kind string) answer {
		return func(h http.Header) { h.Set("Content-Type", kind); h.Set("Cache-Control", "public, max-age=60") }
	}
	html := "text/html; charset=utf-8"
	none := func(*http.Request) {}
	warmer := func(r *http.Request) { r.Header = http.Header{"User-Agent": {"warmer/1"}, "Accept": {"*/*"}} }
	for _, tt := range []struct {
		name, option, kind string
		edit               func(*http.Request)
		control            string
		cookies            int
	}{
		{"skip", cacheableSkip, html, none, "public, max-age=60", 0},
		{"private", cacheablePrivate, html, none, "private, max-age=60", 2},
		{"private, a bot's copy", cacheablePrivate, html, header("User-Agent", "Googlebot/2.1"), "private, max-age=60", 0},
		{"private, a prefetched copy", cacheablePrivate, html, header("Sec-Purpose", "prefetch"), "private, max-age=60", 0},
		{"private, a cache warmer's copy", cacheablePrivate, html, warmer, "private, max-age=60", 0},
		{"private, a stylesheet", cacheablePrivate, "text/css", header("Sec-Fetch-Dest", "style"), "public, max-age=60", 0},
		{"private, data", cacheablePrivate, "application/json", header("Sec-Fetch-Dest", "empty"), "public, max-age=60", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newBenchHandler(t)
			h.Cacheable = tt.option
			r := request(t, "document", nil)
			tt.edit(r)
			w := httptest.NewRecorder()
			if err := h.ServeHTTP(w, r, public(tt.kind)); err != nil {
				t.Fatal(err)
			}
			if got := w.Header().Get("Cache-Control"); got != tt.control {
				t.Errorf("Cache-Control %q, want %q", got, tt.control)
			}
			if got := w.Header()["Set-Cookie"]; len(got) != tt.cookies {
				t.Errorf("cookies %v, want %d", got, tt.cookies)
			}
		})
	}
}

func TestCacheHit(t *testing.T) {
	for _, tt := range []struct {
		name string
		h    http.Header
		want bool
	}{
		{"from the app", http.Header{"Cache-Control": {"public"}}, false},
		{"Age", http.Header{"Age": {"12"}}, true},
		{"RFC 9211 hit", http.Header{"Cache-Status": {"Souin; hit; ttl=99"}}, true},
		{"RFC 9211 hit of the second cache", http.Header{"Cache-Status": {"edge; fwd=uri-miss, origin; hit"}}, true},
		{"RFC 9211 miss", http.Header{"Cache-Status": {"Souin; fwd=uri-miss; stored; key=GET-hit"}}, false},
		{"Varnish's usual header", http.Header{"X-Cache": {"HIT"}}, true},
		{"its miss", http.Header{"X-Cache": {"MISS"}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := cacheHit(tt.h); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// Whatever an app writes there, a silent answer that is kept private is one
// that no shared cache stores.
func FuzzSharing(f *testing.F) {
	f.Add("max-age=0, private=\"X\"", "0", "hit", 200)
	f.Add("no-cache", "", "edge; hit", 301)
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, control, expires, status string, code int) {
		h := http.Header{"Cache-Control": {control}, "Expires": {expires}, "Cache-Status": {status}, "X-Cache": {status}}
		cacheHit(h)
		if sharingOf(http.MethodGet, code, h, now) != silent {
			return
		}
		keepPrivate(h)
		if got := sharingOf(http.MethodGet, code, h, now); got != unshared {
			t.Errorf("%q is %v", h["Cache-Control"], got)
		}
	})
}
