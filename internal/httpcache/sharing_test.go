package httpcache

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

var testNow = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func TestSharingOf(t *testing.T) {
	at := func(d time.Duration) string { return testNow.Add(d).Format(http.TimeFormat) }
	epoch := func(d time.Duration) string { return "@" + strconv.FormatInt(testNow.Add(d).Unix(), 10) }
	control := func(lines ...string) http.Header { return http.Header{"Cache-Control": lines} }
	beside := func(name, value string) http.Header {
		return http.Header{"Cache-Control": {"private, no-store"}, http.CanonicalHeaderKey(name): {value}}
	}
	for _, tt := range []struct {
		name   string
		status int
		h      http.Header
		want   Sharing
	}{
		{"WordPress, Django: nothing", 200, http.Header{}, Silent},
		{"Rails: max-age=0, private, must-revalidate", 200, control("max-age=0, private, must-revalidate"), Unshared},
		{"no-store", 200, control("no-store"), Unshared},
		{"no-store beats public", 200, control("public, no-store"), Unshared},
		{"public", 200, control("public"), Shared},
		{"max-age", 200, control("max-age=60"), Shared},
		{"white space around the equals sign", 200, control("max-age = 60"), Shared},
		{"s-maxage beside max-age=0", 200, control("max-age=0, s-maxage=300"), Shared},
		{"two lines, odd case", 200, control("must-revalidate", "Max-Age=\"60\""), Shared},
		{"private in the second line", 200, control("max-age=60", "PRIVATE"), Unshared},
		{"stale-while-revalidate", 200, control("max-age=0, stale-while-revalidate=30"), Shared},
		{"private for one field only", 200, control(`private="X-A", max-age=60`), Shared},
		{"private for several fields", 200, control(`private="X-A, no-store", max-age=60`), Shared},
		{"max-age within quotes", 200, control(`no-cache="a, max-age=60"`), Silent},
		{"public within quotes", 302, control(`x="a, public"`), Unshared},
		{"escaped quote", 302, control(`x="a\", public, b"`), Unshared},
		{"private behind a quoted string", 200, control(`no-cache="a, b", private`), Unshared},
		{"no-cache is stored to be revalidated", 200, control("no-cache"), Silent},
		{"no-cache for one field only", 302, control(`no-cache="X-A"`), Unshared},
		{"max-age=0 likewise", 200, control("max-age=0"), Silent},
		{"a negative max-age likewise", 200, control("max-age=-1"), Silent},
		{"max-age too large for an integer", 200, control("max-age=99999999999999999999999"), Shared},
		{"must-revalidate says nothing of storing", 302, control("must-revalidate"), Unshared},
		{"must-understand lifts no-store", 200, control("must-understand, no-store, max-age=60"), Shared},
		{"must-understand lifts no-store, heuristics", 200, control("must-understand, no-store"), Silent},
		{"must-understand does not lift private", 200, control("must-understand, private, max-age=60"), Unshared},
		{"Vary: * protects nothing", 200, http.Header{"Cache-Control": {"max-age=60"}, "Vary": {"*"}}, Shared},
		{"no-store beside Vary: *", 200, http.Header{"Cache-Control": {"no-store"}, "Vary": {"*"}}, Unshared},

		{"malformed: semicolons, some caches see private", 200, control("private; max-age=60"), Shared},
		{"malformed: semicolons, no-cache counts", 200, control("no-cache; no-store"), Silent},
		{"malformed: a clean private counts", 200, control("no-cache; no-store, private"), Unshared},
		{"malformed: an open quote hides no max-age", 302, control(`x="never closed, max-age=60`), Shared},
		{"malformed: private behind an open quote", 200, control(`x="never closed, private`), Silent},
		{"malformed: private in the line after an open quote", 200, control(`x="never closed`, "private"), Silent},
		{"malformed: private before an open quote", 200, control(`private, x="never closed`), Unshared},

		{"Expires ahead", 200, http.Header{"Expires": {at(time.Hour)}}, Shared},
		{"Expires past", 200, http.Header{"Expires": {at(-time.Hour)}}, Silent},
		{"Expires: 0", 200, http.Header{"Expires": {"0"}}, Silent},
		{"two Expires, one ahead", 200, http.Header{"Expires": {"0", at(time.Hour)}}, Shared},
		{"max-age=0 beats Expires", 200, http.Header{"Cache-Control": {"max-age=0"}, "Expires": {at(time.Hour)}}, Silent},
		{"Expires counts if Cache-Control leaves it open", 302, http.Header{"Cache-Control": {"must-revalidate"}, "Expires": {at(time.Hour)}}, Shared},

		{"a found redirect", 302, http.Header{}, Unshared},
		{"a permanent redirect is cached by default", 301, http.Header{}, Silent},
		{"a redirect with max-age", 302, control("max-age=60"), Shared},
		{"a server error", 500, http.Header{}, Unshared},

		{"Symfony's API: CDN-Cache-Control", 200, beside("CDN-Cache-Control", "max-age=600"), Shared},
		{"Surrogate-Control", 200, beside("Surrogate-Control", "max-age=600"), Shared},
		{"Surrogate-Control with a stale time", 200, beside("Surrogate-Control", `content="ESI/1.0", max-age=600+60`), Shared},
		{"Surrogate-Control with a target", 200, beside("Surrogate-Control", "no-store;varnish, max-age=600"), Shared},
		{"Surrogate-Control for ESI only", 200, beside("Surrogate-Control", `content="ESI/1.0"`), Unshared},
		{"Cloudflare", 200, beside("Cloudflare-CDN-Cache-Control", "max-age=600"), Shared},
		{"Vercel", 200, beside("Vercel-CDN-Cache-Control", "s-maxage=600"), Shared},
		{"Netlify", 200, beside("Netlify-CDN-Cache-Control", "public, durable, max-age=600"), Shared},
		{"Akamai", 200, beside("Akamai-Cache-Control", "max-age=600"), Shared},
		{"LiteSpeed", 200, beside("X-LiteSpeed-Cache-Control", "public,max-age=600"), Shared},
		{"LiteSpeed, each visitor's own", 200, beside("X-LiteSpeed-Cache-Control", "private,max-age=600"), Unshared},
		{"LiteSpeed for ESI only", 200, beside("X-LiteSpeed-Cache-Control", "esi=on"), Unshared},
		{"a vendor yet unknown", 200, beside("Acme-Cache-Control", "max-age=600"), Shared},
		{"no targeted field by its name", 200, beside("X-Control", "max-age=600"), Unshared},
		{"Edge-Control max-age", 200, beside("Edge-Control", "max-age=600"), Shared},
		{"Edge-Control cache-maxage", 200, beside("Edge-Control", "cache-maxage=10m"), Shared},
		{"Edge-Control downstream-ttl", 200, beside("Edge-Control", "cache-maxage=0s, downstream-ttl=300s"), Shared},
		{"Edge-Control !no-store", 200, beside("Edge-Control", "!no-store"), Shared},
		{"Edge-Control with 0s", 200, beside("Edge-Control", "cache-maxage=0s"), Silent},
		{"Edge-Control no-store", 200, beside("Edge-Control", "no-store"), Unshared},
		{"Edge-Control for processing only", 200, beside("Edge-Control", "dca=esi"), Unshared},
		{"X-Accel-Expires seconds", 200, beside("X-Accel-Expires", "600"), Shared},
		{"X-Accel-Expires epoch ahead", 200, beside("X-Accel-Expires", epoch(time.Hour)), Shared},
		{"X-Accel-Expires epoch past", 200, beside("X-Accel-Expires", epoch(-time.Hour)), Silent},
		{"X-Accel-Expires epoch far ahead", 200, beside("X-Accel-Expires", "@99999999999999999999"), Shared},
		{"X-Accel-Expires 0", 200, beside("X-Accel-Expires", "0"), Unshared},
		{"X-Accel-Expires off", 200, beside("X-Accel-Expires", "off"), Unshared},
		{"X-Accel-Expires @ alone", 200, beside("X-Accel-Expires", "@"), Unshared},
		{"targeted no-cache", 200, beside("CDN-Cache-Control", "no-cache"), Silent},
		{"targeted no-store does not permit", 200, beside("CDN-Cache-Control", "no-store"), Unshared},
		{"targeted and empty", 200, beside("CDN-Cache-Control", ""), Unshared},
		{"targeted, silent on storing: heuristics", 200, beside("CDN-Cache-Control", "must-revalidate"), Silent},
		{"targeted, silent on storing: no heuristics", 302, beside("CDN-Cache-Control", "must-revalidate"), Unshared},
		{"targeted no-store, public for other caches", 200, http.Header{"Cache-Control": {"public, max-age=60"}, "Cdn-Cache-Control": {"no-store"}}, Shared},
		{"targeted private, heuristics of other caches", 200, http.Header{"Cdn-Cache-Control": {"private"}}, Silent},
		{"two targeted fields", 200, http.Header{"Cache-Control": {"no-store"}, "Cdn-Cache-Control": {"no-store"}, "Vercel-Cache-Control": {"max-age=1"}}, Shared},
		{"targeted, two lines", 200, http.Header{"Cache-Control": {"no-store"}, "Cdn-Cache-Control": {"must-revalidate", "MAX-AGE=60"}}, Shared},
		{"a redirect with a targeted field", 302, beside("CDN-Cache-Control", "max-age=600"), Shared},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := SharingOf(http.MethodGet, tt.status, tt.h, testNow); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if got := SharingOf(http.MethodHead, tt.status, tt.h, testNow); got != tt.want {
				t.Errorf("HEAD: got %v, want %v", got, tt.want)
			}
		})
	}
	for _, h := range []http.Header{control("public"), beside("CDN-Cache-Control", "max-age=600")} {
		if got := SharingOf(http.MethodPost, 200, h, testNow); got != Unshared {
			t.Errorf("POST with %v: got %v, want Unshared", h, got)
		}
	}
}

// appHeader is a frequent response without any field that needs a closer look.
func appHeader() http.Header {
	return http.Header{
		"Content-Type":           {"text/html; charset=utf-8"},
		"Content-Length":         {"18234"},
		"Date":                   {"Fri, 27 Nov 2026 12:00:00 GMT"},
		"Server":                 {"nginx"},
		"Vary":                   {"Accept-Encoding, Cookie"},
		"X-Powered-By":           {"PHP/8.3"},
		"X-Frame-Options":        {"SAMEORIGIN"},
		"X-Content-Type-Options": {"nosniff"},
		"Link":                   {"</style.css>; rel=preload"},
		"Set-Cookie":             {"PHPSESSID=abc; path=/"},
		"Cache-Control":          {"No-Store, no-cache, must-revalidate"},
		"Expires":                {"Thu, 19 Nov 1981 08:52:00 GMT"},
		"Pragma":                 {"no-cache"},
		"Etag":                   {`"abc"`},
	}
}

func TestNoAllocations(t *testing.T) {
	plain := appHeader()
	delete(plain, "Cache-Control")
	zero := appHeader()
	delete(zero, "Cache-Control")
	zero["Expires"] = []string{"0"}
	targeted := appHeader()
	targeted["Cdn-Cache-Control"] = []string{`no-cache="a, b", Max-Age=60`}
	targeted["X-Accel-Expires"] = []string{"@1"}
	long := appHeader()
	long["Cache-Control"] = []string{strings.Repeat("X", 100) + `, Stale-While-Revalidate=60`}
	cached := appHeader()
	cached["Age"] = []string{"0"}
	cached["X-Varnish"] = []string{"32770"}
	cached["X-Cache"] = []string{"MISS from proxy1.whitehall.example, MISS"}
	cached["X-Cache-Hits"] = []string{"0, 0"}
	cached["Server-Timing"] = []string{`db;dur=3, cdn-cache; desc="MISS"`}
	for _, tt := range []struct {
		name string
		call func()
	}{
		{"SharingOf", func() { SharingOf(http.MethodGet, 200, ordinary, testNow) }},
		{"SharingOf, Expires past", func() { SharingOf(http.MethodGet, 200, plain, testNow) }},
		{"SharingOf, Expires: 0", func() { SharingOf(http.MethodGet, 200, zero, testNow) }},
		{"SharingOf, targeted", func() { SharingOf(http.MethodGet, 200, targeted, testNow) }},
		{"SharingOf, long names", func() { SharingOf(http.MethodGet, 200, long, testNow) }},
		{"Hit", func() { Hit(http.MethodGet, ordinary) }},
		{"Hit, caches that missed", func() { Hit(http.MethodGet, cached) }},
		{"DropTargeted", func() { DropTargeted(ordinary) }},
		{"Revalidate that is not needed", func() { Revalidate(ordinary) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if n := testing.AllocsPerRun(100, tt.call); n != 0 {
				t.Errorf("%v allocations, want 0", n)
			}
		})
	}
}

var ordinary = appHeader()

func BenchmarkSharingOf(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		SharingOf(http.MethodGet, 200, ordinary, testNow)
	}
}

func BenchmarkHit(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Hit(http.MethodGet, ordinary)
	}
}
