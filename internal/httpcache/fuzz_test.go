package httpcache

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/dunglas/httpsfv"
)

// permits is what every cache takes for a permission to store and reuse.
var permits = regexp.MustCompile(`(?i)(^|,)[ \t]*((s-maxage|max-age)=[1-9][0-9]{0,8}|public)[ \t]*(,|$)`)

// forbids finds more than what caches take for a prohibition.
var forbids = regexp.MustCompile(`(?i)private|no-store|"`)

func FuzzSharing(f *testing.F) {
	for _, seed := range []struct{ control, expires, targeted string }{
		{`max-age=0, private="X"`, "0", ""},
		{"no-cache", "", "no-cache"},
		{"private, no-store", "", "max-age=600"},
		{`no-cache="a, max-age=60"`, "", `content="ESI/1.0"`},
		{`x="never closed, private`, "Fri, 01 Jan 2100 00:00:00 GMT", "@4102444800"},
		{"private; max-age=60", "-1", "!no-store, cache-maxage=10m, downstream-ttl=5m"},
		{"must-understand, no-store", "", "esi=on; public"},
		{`"\"\"\`, "", "dca=esi, no-store;varnish"},
	} {
		for which := range uint8(6) {
			f.Add(seed.control, seed.expires, seed.targeted, which, 200)
		}
	}
	names := []string{"Cdn-Cache-Control", "Surrogate-Control", "Edge-Control", "X-Accel-Expires", "X-Litespeed-Cache-Control", "Acme-Cache-Control"}
	f.Fuzz(func(t *testing.T, control, expires, value string, which uint8, status int) {
		name := names[int(which)%len(names)]
		header := func() http.Header {
			return http.Header{"Cache-Control": {control}, "Expires": {expires}, name: {value}}
		}
		of := func(h http.Header) Sharing { return SharingOf(http.MethodGet, status, h, testNow) }
		got := of(header())

		if permits.MatchString(control) && !forbids.MatchString(control) && got != Shared {
			t.Errorf("Cache-Control %q is %v", control, got)
		}
		if name != "X-Accel-Expires" && permits.MatchString(value) && !forbids.MatchString(value) && got != Shared {
			t.Errorf("%s %q is %v", name, value, got)
		}
		alone := header()
		delete(alone, name)
		if without := of(alone); got < without {
			t.Errorf("%s %q makes %v of %v", name, value, got, without)
		}
		for _, private := range []func(http.Header){KeepPrivate, MakePrivate} {
			h := header()
			private(h)
			if after := of(h); after != Unshared {
				t.Errorf("made private, %v is %v", h, after)
			}
			if left := h[name]; name == "X-Accel-Expires" && left != nil {
				t.Errorf("%s is left: %q", name, left)
			}
		}
		h := header()
		delete(h, "Expires")
		h["Etag"] = []string{`"a"`}
		if added := Revalidate(h); added && Revalidate(h) {
			t.Errorf("no-cache is added again to %q", h["Cache-Control"])
		}
	})
}

func FuzzHit(f *testing.F) {
	for _, seed := range []string{
		"12", "0, 3", "32770 3", "HIT", "MISS, HIT", "MISS from proxy1.whitehall.example", "STALE", "UPDATING",
		"hit,private", "Hit from cloudfront", "TCP_MEM_HIT from a", "GET /hit: stale, invalid", "hit-for-pass", "yes",
		"Souin; hit; ttl=99", "edge;hit=?1", `"a; hit";fwd=miss`, "edge; fwd=stale; fwd-status=304", `"never closed; hit`,
		"Souin; hit; key=GET-/?a", "cdn-cache; desc=HIT", `cfCacheStatus;desc="HIT"`, "(a b);hit", `a;b="\"`,
	} {
		f.Add(seed)
	}
	// Headers, each with a line that is a hit.
	hits := map[string]string{
		"Age": "7", "X-Varnish": "7 6", "Cache-Status": "edge; hit", "Server-Timing": "cdn-cache; desc=HIT", "X-Cache": "HIT",
		"X-Cache-Status": "STALE", "X-Fastcgi-Cache": "UPDATING", "X-Cache-Hits": "1", "X-Served-From-Cache": "yes",
	}
	f.Fuzz(func(t *testing.T, value string) {
		for name, hit := range hits {
			h := http.Header{name: {value}}
			found := Hit(http.MethodGet, h)
			if Hit(http.MethodPost, h) {
				t.Errorf("POST, %s %q: a hit", name, value)
			}
			if h := (http.Header{name: {value, hit}}); !Hit(http.MethodGet, h) {
				t.Errorf("%s %q hides the hit in the next line", name, value)
			}
			// Evidence is visible: no digit, no letter, no hit.
			if found && !strings.ContainsAny(value, "123456789hHsSuUrRfFpPyYtT") {
				t.Errorf("%s %q: a hit without evidence", name, value)
			}
		}
		host := strings.Map(func(r rune) rune {
			if strings.ContainsRune(",;|", r) {
				return -1
			}
			return r
		}, value)
		if h := (http.Header{"X-Cache": {"MISS from " + host}}); Hit(http.MethodGet, h) {
			t.Errorf("X-Cache %q: a hit", h["X-Cache"])
		}
		// A valid Cache-Status whose members all have fwd=uri-miss, and no more, has no hit.
		list, err := httpsfv.UnmarshalList([]string{value})
		if err != nil {
			return
		}
		for i, member := range list {
			item, ok := member.(httpsfv.Item)
			if !ok {
				return
			}
			item.Params = httpsfv.NewParams()
			item.Params.Add("fwd", httpsfv.Token("uri-miss"))
			list[i] = item
		}
		if line, err := httpsfv.Marshal(list); err == nil && Hit(http.MethodGet, http.Header{"Cache-Status": {line}}) {
			t.Errorf("Cache-Status %q: a hit", line)
		}
	})
}
