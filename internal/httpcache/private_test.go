package httpcache

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestKeepPrivate(t *testing.T) {
	for _, tt := range []struct {
		name string
		h    http.Header
		want http.Header
	}{
		{"nothing", http.Header{}, http.Header{"Cache-Control": {"private"}}},
		{"empty", http.Header{"Cache-Control": {""}}, http.Header{"Cache-Control": {"private"}}},
		{"two lines", http.Header{"Cache-Control": {"no-cache", "must-revalidate"}}, http.Header{"Cache-Control": {"no-cache, must-revalidate, private"}}},
		{"private for one field", http.Header{"Cache-Control": {`no-cache, private="X-A"`}}, http.Header{"Cache-Control": {`no-cache, private="X-A", private`}}},
		{"a quoted comma", http.Header{"Cache-Control": {`no-cache="a, b"`}}, http.Header{"Cache-Control": {`no-cache="a, b", private`}}},
		{"a quote that is not closed", http.Header{"Cache-Control": {`no-cache, x="a`}}, http.Header{"Cache-Control": {`private, no-cache, x="a`}}},
		{"semicolons", http.Header{"Cache-Control": {"no-cache; no-store"}}, http.Header{"Cache-Control": {"no-cache; no-store, private"}}},
		{"targeted", http.Header{"Cache-Control": {"no-store"}, "Cdn-Cache-Control": {"no-cache"}, "X-Accel-Expires": {"@1"}}, http.Header{"Cache-Control": {"no-store, private"}}},
		{"ESI", http.Header{"Surrogate-Control": {`max-age=0, content="ESI/1.0"`}}, http.Header{"Cache-Control": {"private"}, "Surrogate-Control": {`content="ESI/1.0"`}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := SharingOf(http.MethodGet, 200, tt.h, testNow); got != Silent {
				t.Errorf("before: %v, want Silent", got)
			}
			KeepPrivate(tt.h)
			if diff := cmp.Diff(tt.want, tt.h); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			if got := SharingOf(http.MethodGet, 200, tt.h, testNow); got != Unshared {
				t.Errorf("after: %v, want Unshared", got)
			}
		})
	}
}

func TestMakePrivate(t *testing.T) {
	control := func(lines ...string) http.Header { return http.Header{"Cache-Control": lines} }
	for _, tt := range []struct {
		name string
		h    http.Header
		want string
	}{
		{"public", control("public, max-age=60"), "private, max-age=60"},
		{"for shared caches only", control("max-age=60, s-maxage=600", "stale-while-revalidate=30, PROXY-REVALIDATE"), "private, max-age=60, stale-while-revalidate=30"},
		{"private for some fields", control(`private="X-A, X-B", max-age=60`), "private, max-age=60"},
		{"no-cache for some fields", control(`no-cache="Set-Cookie, X-B", public`), `private, no-cache="Set-Cookie, X-B"`},
		{"must-understand", control("must-understand, no-store, max-age=60"), "private, no-store, max-age=60"},
		{"a quote that is not closed", control(`public, x="never closed, max-age=60`), `private, x="never closed, max-age=60`},
		{"semicolons", control("public; max-age=60"), "private, max-age=60"},
		{"white space", control("public , S-Maxage = 60,, max-age=60"), "private, max-age=60"},
		{"CDN-Cache-Control", http.Header{"Cache-Control": {"no-cache"}, "Cdn-Cache-Control": {"max-age=60"}}, "private, no-cache"},
		{"CDN-Cache-Control beside private, no-store", http.Header{"Cache-Control": {"private, no-store"}, "Cdn-Cache-Control": {"max-age=60"}}, "private, no-store"},
		{"Surrogate-Control", http.Header{"Surrogate-Control": {"max-age=60"}}, "private"},
		{"X-Accel-Expires", http.Header{"X-Accel-Expires": {"60"}}, "private"},
		{"Expires", http.Header{"Expires": {"Fri, 01 Jan 2100 00:00:00 GMT"}}, "private"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := SharingOf(http.MethodGet, 200, tt.h, testNow); got != Shared {
				t.Errorf("before: %v, want Shared", got)
			}
			MakePrivate(tt.h)
			if diff := cmp.Diff([]string{tt.want}, tt.h["Cache-Control"]); diff != "" {
				t.Errorf("Cache-Control (-want +got):\n%s", diff)
			}
			if got := SharingOf(http.MethodGet, 200, tt.h, testNow); got != Unshared {
				t.Errorf("after: %v, want Unshared", got)
			}
			for name := range tt.h {
				if targeted(name) {
					t.Errorf("%s is left: %q", name, tt.h[name])
				}
			}
		})
	}
}

func TestDropTargeted(t *testing.T) {
	h := http.Header{
		"Cache-Control":                {"private"},
		"Access-Control-Allow-Origin":  {"*"},
		"Cdn-Cache-Control":            {"max-age=600"},
		"Cloudflare-Cdn-Cache-Control": {"max-age=600"},
		"Vercel-Cdn-Cache-Control":     {"max-age=600"},
		"Netlify-Cdn-Cache-Control":    {"max-age=600"},
		"Akamai-Cache-Control":         {"max-age=600"},
		"X-Litespeed-Cache-Control":    {"public, max-age=600, esi=on"},
		"Surrogate-Control":            {`content="ESI/1.0, x", max-age=600`, "CONTENT=a"},
		"Edge-Control":                 {"!no-store, cache-maxage=10m, dca=esi"},
		"X-Accel-Expires":              {"600"},
		"Acme-Cache-Control":           {`content="never closed, max-age=600`, "content=a;max-age=600"},
	}
	DropTargeted(h)
	want := http.Header{
		"Cache-Control":               {"private"},
		"Access-Control-Allow-Origin": {"*"},
		"X-Litespeed-Cache-Control":   {"esi=on"},
		"Surrogate-Control":           {`content="ESI/1.0, x", CONTENT=a`},
		"Edge-Control":                {"dca=esi"},
	}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if got := SharingOf(http.MethodGet, 200, h, testNow); got != Unshared {
		t.Errorf("what is left is %v, want Unshared", got)
	}
}

func TestRevalidate(t *testing.T) {
	with := func(control ...string) http.Header {
		return http.Header{"Last-Modified": {"Fri, 27 Nov 2026 11:00:00 GMT"}, "Cache-Control": control}
	}
	for _, tt := range []struct {
		name string
		h    http.Header
		want string // the Cache-Control afterwards, or empty if nothing is added
	}{
		{"file_server", http.Header{"Last-Modified": {"Fri, 27 Nov 2026 11:00:00 GMT"}, "Etag": {`"a"`}}, "no-cache"},
		{"an ETag only", http.Header{"Etag": {`W/"a"`}}, "no-cache"},
		{"private", with("private"), "private, no-cache"},
		{"private, two lines", with("private", "no-transform"), "private, no-transform, no-cache"},
		{"max-age within quotes", with(`private="a, max-age=60"`), `private="a, max-age=60", no-cache`},
		{"a quote that is not closed", with(`x="a`), `no-cache, x="a`},
		{"no validator", http.Header{}, ""},
		{"an empty validator", http.Header{"Etag": {""}, "Last-Modified": {}}, ""},
		{"max-age", with("Max-Age=0"), ""},
		{"s-maxage", with("s-maxage=60"), ""},
		{"no-cache", with("no-cache"), ""},
		{"no-store in the second line", with("private", "no-store"), ""},
		{"must-revalidate", with("must-revalidate"), ""},
		{"immutable", with("immutable"), ""},
		{"Expires", http.Header{"Etag": {`"a"`}, "Expires": {"0"}}, ""},
		{"Pragma", http.Header{"Etag": {`"a"`}, "Pragma": {"No-Cache"}}, ""},
		{"another Pragma", http.Header{"Etag": {`"a"`}, "Pragma": {"public"}}, "no-cache"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := tt.h.Clone()
			if got := Revalidate(tt.h); got != (tt.want != "") {
				t.Errorf("reports %v", got)
			}
			want := before
			if tt.want != "" {
				want["Cache-Control"] = []string{tt.want}
			}
			if diff := cmp.Diff(want, tt.h); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			if tt.want != "" && Revalidate(tt.h) {
				t.Errorf("adds it again: %q", tt.h["Cache-Control"])
			}
		})
	}
}
