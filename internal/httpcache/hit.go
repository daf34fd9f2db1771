package httpcache

import (
	"net/http"
	"strings"
)

// Hit reports whether a response comes out of a cache between the app and us, so
// that what it says about its visitor is about another one. That includes a stored
// response that the cache has revalidated, since its other headers are the stored
// ones (RFC 9111, 3.2), and one that was fetched for several requests at once
// (RFC 9211, 2.6).
//
// Evidence is an Age above 0, a hit in Cache-Status (RFC 9211), X-Varnish with two
// numbers, a hit count, or a word like "hit" or "stale" in a header by which
// caches report. Age: 0 is none: caches send it with what they have just fetched.
// The answer to a method other than GET and HEAD is never a hit: caches pass it
// on, even if they decorate it.
//
// Headers that report on a cache of the app itself, whose hit may be this
// visitor's own, are no evidence: X-Drupal-Dynamic-Cache, X-Nextjs-Cache and
// LiteSpeed's "hit,private".
func Hit(method string, h http.Header) bool {
	if !safe(method) {
		return false
	}
	for name, lines := range h {
		if len(lines) > 0 && evidence(h, name, lines) {
			return true
		}
	}
	return false
}

func evidence(h http.Header, name string, lines []string) bool {
	switch name {
	case "Age":
		return anyPositive(lines)
	case "X-Varnish":
		return anyPair(lines)
	case "Cache-Status":
		return cacheStatusHit(lines)
	case "Server-Timing":
		return serverTimingHit(lines)
	case "X-Drupal-Dynamic-Cache", "X-Nextjs-Cache", "X-Opennext-Cache":
		return false
	case "X-Litespeed-Cache", "X-Lsadc-Cache", "X-Qc-Cache":
		return anyReport(lines) && !anyPrivate(lines)
	case "X-Cache-Lookup":
		// In Squid's, a hit is what was found, and X-Cache says whether it was used.
		// Tencent and Huawei send it alone.
		return h["X-Cache"] == nil && anyReport(lines)
	case "Cache", // Gcore
		"X-Cached",              // a habit of nginx configurations
		"X-Cache-Remote",        // Akamai's parent tier
		"X-Cache-Detail",        // Apache
		"X-Magento-Cache-Debug", // Magento's Varnish configuration
		"X-Nananana", "X-Ac":    // WordPress: Batcache, WordPress.com
		return anyReport(lines)
	}
	switch {
	case strings.HasSuffix(name, "-Cache-Hits"):
		return anyPositive(lines)
	case strings.HasSuffix(name, "-Cache-Hit"), strings.HasSuffix(name, "-From-Cache"):
		return anyYes(lines) || anyPositive(lines) || anyReport(lines)
	case strings.HasSuffix(name, "-Cache"), strings.HasSuffix(name, "-Cache-Status"):
		return anyReport(lines)
	}
	return false
}

// anyPositive reports whether a list of whole numbers has one above 0.
func anyPositive(lines []string) bool {
	for _, line := range lines {
		for item := range strings.SplitSeq(line, ",") {
			if _, more := count(strings.TrimSpace(item)); more {
				return true
			}
		}
	}
	return false
}

// anyPair reports whether an X-Varnish has two numbers: its own transaction and
// the one that fetched the response.
func anyPair(lines []string) bool {
	for _, line := range lines {
		for item := range strings.SplitSeq(line, ",") {
			own, fetched, _ := strings.Cut(strings.TrimSpace(item), " ")
			_, a := count(own)
			_, b := count(strings.TrimSpace(fetched))
			if a && b {
				return true
			}
		}
	}
	return false
}

func anyYes(lines []string) bool {
	for _, line := range lines {
		line = strings.TrimSpace(line)
		if strings.EqualFold(line, "yes") || strings.EqualFold(line, "true") {
			return true
		}
	}
	return false
}

func anyPrivate(lines []string) bool {
	for _, line := range lines {
		for item := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(item), "private") {
				return true
			}
		}
	}
	return false
}

// serverTimingHit reads the metrics of Akamai (cdn-cache; desc=HIT), Cloudflare
// (cfCacheStatus;desc="HIT") and CloudFront (cdn-cache-hit, cdn-cache-refresh).
// Others are the app's own: many report a database cache as "cache".
// The grammar is in W3C Server Timing, 3.
func serverTimingHit(lines []string) bool {
	var metrics splitter
	for _, line := range lines {
		for metrics.rest = line; metrics.rest != ""; {
			metric, _ := metrics.next(",")
			params := splitter{rest: metric}
			name, _ := params.next(";")
			switch {
			case strings.EqualFold(name, "cdn-cache-hit"), strings.EqualFold(name, "cdn-cache-refresh"):
				return true
			case strings.EqualFold(name, "cdn-cache"), strings.EqualFold(name, "cfCacheStatus"):
				for params.rest != "" {
					param, _ := params.next(";")
					key, value, _ := strings.Cut(param, "=")
					if strings.EqualFold(strings.TrimSpace(key), "desc") && report(value) {
						return true
					}
				}
			}
		}
	}
	return false
}
