package httpcache

import (
	"net/http"
	"testing"
)

func TestHit(t *testing.T) {
	for _, tt := range []struct {
		header string
		lines  []string
		want   bool
	}{
		{"Cache-Control", []string{"public"}, false},

		{"Age", []string{"12"}, true},
		{"Age", []string{"0"}, false},
		{"Age", []string{"000"}, false},
		{"Age", []string{"0", "7"}, true},
		{"Age", []string{" 7 "}, true},
		{"Age", []string{"99999999999999999999"}, true},
		{"Age", []string{""}, false},
		{"Age", []string{"-7"}, false},
		{"Age", []string{"7.5"}, false},
		{"Age", []string{"7s"}, false},
		{"Age", []string{"hit"}, false},

		{"X-Varnish", []string{"32770"}, false},
		{"X-Varnish", []string{"32770 3"}, true},
		{"X-Varnish", []string{"32770, 3"}, false}, // two Varnishes that missed
		{"X-Varnish", []string{"1", "2 1"}, true},
		{"X-Varnish", []string{"a b"}, false},
		{"X-Varnish", []string{"1 "}, false},

		{"Cache-Status", []string{"Souin; hit; ttl=99"}, true},
		{"Cache-Status", []string{"edge;hit=?1"}, true},
		{"Cache-Status", []string{"edge;hit=?0"}, false},
		{"Cache-Status", []string{`"Netlify Edge"; hit`}, true},
		{"Cache-Status", []string{`"Netlify Edge; hit"; fwd=miss`}, false},
		{"Cache-Status", []string{`"a, b; hit"`}, false},
		{"Cache-Status", []string{"edge; fwd=uri-miss, origin; hit"}, true},
		{"Cache-Status", []string{"edge; fwd=uri-miss", "origin; hit"}, true},
		{"Cache-Status", []string{"edge; fwd=uri-miss; stored"}, false},
		{"Cache-Status", []string{"Souin; fwd=uri-miss; stored; key=GET-hit"}, false},
		{"Cache-Status", []string{`edge; fwd=uri-miss; detail="a; hit"`}, false},
		{"Cache-Status", []string{"Souin; hit; ttl=-3; key=GET-/; detail=DEFAULT; fwd=stale"}, true},
		{"Cache-Status", []string{"edge; fwd=stale; fwd-status=304"}, true},
		{"Cache-Status", []string{"edge; fwd=request; fwd-status=304"}, true},
		{"Cache-Status", []string{"edge; fwd=stale; fwd-status=200"}, false},
		{"Cache-Status", []string{"edge; fwd=uri-miss; fwd-status=304"}, false}, // the browser's own question
		{"Cache-Status", []string{"edge; fwd=uri-miss; collapsed"}, true},
		{"Cache-Status", []string{"edge; fwd=uri-miss; collapsed=?0"}, false},
		{"Cache-Status", []string{"fresh; fwd=miss"}, false},
		{"Cache-Status", []string{"fresh.hit.example; ttl=4"}, false},
		{"Cache-Status", []string{"edge-hit; ttl=4"}, false},
		{"Cache-Status", []string{"(a b);hit"}, false},
		{"Cache-Status", []string{"HIT"}, true},
		{"Cache-Status", []string{"MISS"}, false},
		{"Cache-Status", []string{"TCP_MEM_HIT"}, true},
		{"Cache-Status", []string{"HIT; age=4"}, true},
		// Malformed.
		{"Cache-Status", []string{"HIT from whitehall.example"}, true},
		{"Cache-Status", []string{"MISS from hit.example"}, false},
		{"Cache-Status", []string{"Souin; hit; ttl=9; key=GET-http-a-/?fwd=miss"}, true},
		{"Cache-Status", []string{"Souin; fwd=uri-miss; key=GET-http-a-/?a;hit"}, false},
		{"Cache-Status", []string{"Souin; HIT ;"}, true},
		{"Cache-Status", []string{"Souin; hit=?1;"}, true},
		{"Cache-Status", []string{"Souin; hit=?0;"}, false},
		{"Cache-Status", []string{`"never closed; hit`}, true},
		{"Cache-Status", []string{`"never closed`, "edge; hit"}, true},
		{"Cache-Status", []string{`edge; x="a, b; hit";`}, false},
		{"Cache-Status", []string{"edge;;hits; rehit"}, false},
		{"Cache-Status", []string{""}, false},

		{"X-Cache", []string{"HIT"}, true},
		{"X-Cache", []string{"MISS"}, false},
		{"X-Cache", []string{"MISS from proxy1.whitehall.example"}, false},
		{"X-Cache", []string{"MISS from proxy1.hit.example"}, false},
		{"X-Cache", []string{"MISS from hit"}, false},
		{"X-Cache", []string{"MISS via fresh"}, false},
		{"X-Cache", []string{"Pass via fresh"}, false},
		{"X-Cache", []string{"HIT from proxy1.whitehall.example"}, true},
		{"X-Cache", []string{"HIT\tfrom\thit.example"}, true},
		{"X-Cache", []string{"fresh.example MISS"}, false},
		{"X-Cache", []string{"MISS, HIT"}, true},
		{"X-Cache", []string{"HIT, MISS"}, true},
		{"X-Cache", []string{"MISS, MISS"}, false},
		{"X-Cache", []string{"MISS from a.example", "HIT from b.example"}, true},
		{"X-Cache", []string{"MISS|HIT"}, true},
		{"X-Cache", []string{"Hit from cloudfront"}, true},
		{"X-Cache", []string{"RefreshHit from cloudfront"}, true},
		{"X-Cache", []string{"Miss from cloudfront"}, false},
		{"X-Cache", []string{"Error from cloudfront"}, false},
		{"X-Cache", []string{"Error from fresh"}, false},
		{"X-Cache", []string{"Miss edge-hit-01"}, false},
		{"X-Cache", []string{"BYPASS (hit limit)"}, false},
		{"X-Cache", []string{"LambdaGeneratedResponse from cloudfront"}, false},
		{"X-Cache", []string{"TCP_HIT"}, true},
		{"X-Cache", []string{"TCP_MEM_HIT from a23-51-224-170.deploy.example (AkamaiGHost/9.5.0-1) (-)"}, true},
		{"X-Cache", []string{"TCP_REFRESH_HIT"}, true},
		{"X-Cache", []string{"TCP_EXPIRED_HIT"}, true},
		{"X-Cache", []string{"TCP_REMOTE_HIT"}, true},
		{"X-Cache", []string{"TCP_REFRESH_FAIL_HIT"}, true},
		{"X-Cache", []string{"TCP_REFRESH_MISS"}, false},
		{"X-Cache", []string{"TCP_CLIENT_REFRESH_MISS"}, false},
		{"X-Cache", []string{"TCP_MISS from a23.example (AkamaiGHost/9.5 hit) (-)"}, false},
		{"X-Cache", []string{"CONFIG_NOCACHE"}, false},
		{"X-Cache", []string{"PRIVATE_NOSTORE"}, false},
		{"X-Cache", []string{"HIT TCP_MEM_HIT dirn:2:123"}, true},
		{"X-Cache", []string{"MISS TCP_MISS dirn:-2:-2"}, false},
		{"X-Cache", []string{"REVALIDATE from localhost"}, true},
		{"X-Cache", []string{"INVALIDATE from localhost"}, false},
		{"X-Cache", []string{"hit-fresh"}, true},
		{"X-Cache", []string{"hit-stale"}, true},
		{"X-Cache", []string{"HIT-CLUSTER"}, true},
		{"X-Cache", []string{"HITPASS"}, false},
		{"X-Cache", []string{"hit-for-pass"}, false},
		{"X-Cache", []string{"hit for miss"}, false},
		{"X-Cache", []string{"hit cached"}, true},
		{"X-Cache", []string{"miss cached"}, false},
		{"X-Cache", []string{"hit graced"}, true},
		{"X-Cache", []string{"NO HIT"}, false},
		{"X-Cache", []string{"not fresh"}, false},
		{"X-Cache", []string{"white"}, false},
		{"X-Cache", []string{"whitehall"}, false},
		{"X-Cache", []string{"éhit"}, false},
		{"X-Cache", []string{"key=/hit"}, false},
		{"X-Cache", []string{"MISS; key=/fresh hit"}, false},
		{"X-Cache", []string{"max-age=0, must-revalidate, stale-while-revalidate=9"}, false},
		{"X-Cache", []string{`"cache hit" from localhost`}, true},
		{"X-Cache", []string{""}, false},
		{"X-Cache", nil, false},

		{"X-Cache-Status", []string{"STALE"}, true},
		{"X-Cache-Status", []string{"EXPIRED"}, false},
		{"X-Cache-Status", []string{"BYPASS"}, false},
		{"X-Cache-Status", []string{"Edge : HIT,"}, true},
		{"CF-Cache-Status", []string{"UPDATING"}, true},
		{"CF-Cache-Status", []string{"REVALIDATED"}, true},
		{"CF-Cache-Status", []string{"DYNAMIC"}, false},
		{"X-FastCGI-Cache", []string{"HIT"}, true},
		{"X-Proxy-Cache", []string{"hit"}, true},
		{"X-Vercel-Cache", []string{"PRERENDER"}, true},
		{"X-Varnish-Cache", []string{"HIT"}, true},
		{"X-Kinsta-Cache", []string{"HIT"}, true},
		{"X-WP-Rocket-Cache", []string{"HIT"}, true},
		{"CDN-Cache", []string{"HIT"}, true},
		{"X-Hcdn-Cache-Status", []string{"HIT"}, true},
		{"X-Drupal-Cache", []string{"HIT"}, true},
		{"X-Drupal-Cache", []string{"UNCACHEABLE (request policy)"}, false},
		{"Cache", []string{"HIT"}, true},
		{"X-Cached", []string{"HIT"}, true},
		{"X-Cache-Remote", []string{"TCP_HIT from a23.example"}, true},
		{"X-Cache-Detail", []string{`"conditional cache hit: entity refreshed" from localhost`}, true},
		{"X-Cache-Detail", []string{`"cache miss: attempting entity save" from localhost`}, false},
		{"X-Magento-Cache-Debug", []string{"HIT"}, true},
		{"X-Nananana", []string{"Batcache-Hit"}, true},
		{"X-Nananana", []string{"Batcache-Set"}, false},
		{"X-Ac", []string{"3.fra _dca HIT"}, true},
		{"X-Cache-Lookup", []string{"Hit From Disktank3"}, true},
		{"X-Cache-Lookup", []string{"Cache Miss", "Hit From Inner Cluster"}, true},

		{"X-Symfony-Cache", []string{"GET /: fresh"}, true},
		{"X-Symfony-Cache", []string{"fresh"}, true},
		{"X-Symfony-Cache", []string{"GET /: stale, valid, store"}, true},
		{"X-Symfony-Cache", []string{"GET /: stale, invalid, store"}, false},
		{"X-Symfony-Cache", []string{"GET /hit/fresh?a,hit: miss, store"}, false},
		{"X-Symfony-Cache", []string{"GET /: miss; GET /esi: fresh"}, false},
		{"X-Symfony-Cache", []string{"stale/valid/store"}, true},
		{"X-Symfony-Cache", []string{"stale/invalid/store"}, false},
		{"X-Symfony-Cache", []string{"miss/store"}, false},
		{"X-Rack-Cache", []string{"stale, invalid, store"}, false},

		{"X-LiteSpeed-Cache", []string{"hit"}, true},
		{"X-LiteSpeed-Cache", []string{"hit,litemage"}, true},
		{"X-LiteSpeed-Cache", []string{"hit,private"}, false},
		{"X-LiteSpeed-Cache", []string{"miss"}, false},
		{"X-QC-Cache", []string{"hit, Private"}, false},
		{"X-Drupal-Dynamic-Cache", []string{"HIT"}, false},
		{"X-Nextjs-Cache", []string{"HIT"}, false},

		{"X-Cache-Hits", []string{"3"}, true},
		{"X-Cache-Hits", []string{"0, 3"}, true},
		{"X-Cache-Hits", []string{"0"}, false},
		{"X-Cache-Hits", []string{"0, 0"}, false},
		{"X-Cache-Hit", []string{"1"}, true},
		{"X-Cache-Hit", []string{"0"}, false},
		{"X-Cache-Hit", []string{"TRUE"}, true},
		{"X-Cache-Hit", []string{"MISS"}, false},
		{"X-Served-From-Cache", []string{"yes"}, true},
		{"X-Served-From-Cache", []string{"Yes "}, true},
		{"X-Served-From-Cache", []string{"no"}, false},
		{"X-From-Cache", []string{"1"}, true},

		{"Server-Timing", []string{"cdn-cache; desc=HIT"}, true},
		{"Server-Timing", []string{"cdn-cache; desc=HIT, edge; dur=1"}, true},
		{"Server-Timing", []string{"edge; dur=1", "cdn-cache; desc=REVALIDATE"}, true},
		{"Server-Timing", []string{"cdn-cache; desc=MISS"}, false},
		{"Server-Timing", []string{"cdn-cache; dur=1; desc=HIT"}, true},
		{"Server-Timing", []string{`cfCacheStatus;desc="HIT"`}, true},
		{"Server-Timing", []string{`cfCacheStatus;desc="DYNAMIC", x;desc="HIT"`}, false},
		{"Server-Timing", []string{`x;desc="a, cdn-cache;desc=HIT"`}, false},
		{"Server-Timing", []string{"cdn-cache-hit,cdn-pop;desc=\"FRA\""}, true},
		{"Server-Timing", []string{"cdn-cache-refresh"}, true},
		{"Server-Timing", []string{"cdn-cache-miss"}, false},
		{"Server-Timing", []string{"cache;desc=hit"}, false}, // the app's own
		{"Server-Timing", []string{"cdn-cache;description=HIT"}, false},
		{"Server-Timing", []string{"missedCache, cdn-cache"}, false},
	} {
		h := http.Header{http.CanonicalHeaderKey(tt.header): tt.lines, "Content-Type": {"text/html"}}
		if got := Hit(http.MethodGet, h); got != tt.want {
			t.Errorf("%s: %q: got %v, want %v", tt.header, tt.lines, got, tt.want)
		}
		if got := Hit(http.MethodHead, h); got != tt.want {
			t.Errorf("HEAD, %s: %q: got %v, want %v", tt.header, tt.lines, got, tt.want)
		}
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, "QUERY"} {
			if Hit(method, h) {
				t.Errorf("%s, %s: %q: a hit", method, tt.header, tt.lines)
			}
		}
	}
}

func TestHitOfSeveralHeaders(t *testing.T) {
	for _, tt := range []struct {
		name string
		h    http.Header
		want bool
	}{
		{"none", http.Header{}, false},
		{"Varnish, fetched", http.Header{"Age": {"0"}, "X-Varnish": {"5"}, "Via": {"1.1 varnish (Varnish/7.1)"}}, false},
		{"Varnish, a hit in its first second", http.Header{"Age": {"0"}, "X-Varnish": {"7 6"}, "Via": {"1.1 varnish (Varnish/7.1)"}}, true},
		{"a broken Age beside a hit", http.Header{"Age": {"x"}, "X-Cache": {"HIT"}}, true},
		{"Squid found it and fetched it anew", http.Header{"X-Cache": {"MISS from squid"}, "X-Cache-Lookup": {"HIT from squid:3128"}}, false},
		{"Squid", http.Header{"X-Cache": {"HIT from squid"}, "X-Cache-Lookup": {"HIT from squid:3128"}}, true},
		{"Drupal's own caches", http.Header{"X-Drupal-Cache": {"MISS"}, "X-Drupal-Dynamic-Cache": {"HIT"}}, false},
		{"Fastly in front of LiteSpeed", http.Header{"X-Litespeed-Cache": {"hit,private"}, "X-Cache": {"MISS, HIT"}}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Hit(http.MethodGet, tt.h); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
