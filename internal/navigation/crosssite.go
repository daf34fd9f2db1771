package navigation

import (
	"net/http"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// crossSite reports a request on which the browser withholds SameSite=Lax
// cookies: one from another site that is not a top-level navigation of a safe
// method (RFC 6265bis, "Lax" enforcement; safe methods are RFC 9110's).
//
// A service worker's fetch is its own site's and says so.
func crossSite(r *http.Request, navigation bool, host string) bool {
	if navigation && safe(r.Method) {
		return false
	}
	switch first(r.Header, "Sec-Fetch-Site") {
	case "cross-site":
		return true
	case "":
		return otherOrigin(r, host)
	}
	return false
}

// otherOrigin stands in for Sec-Fetch-Site. A form's Origin is null if the
// page's referrer policy or sandbox hides it.
func otherOrigin(r *http.Request, host string) bool {
	origin := first(r.Header, "Origin")
	switch origin {
	case "":
		return false
	case "null":
		return !safe(r.Method)
	}
	_, authority, found := strings.Cut(origin, "://")
	if !found {
		return true
	}
	return !sameSite(hostname(authority), hostname(host))
}

func safe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, "":
		return true
	}
	return false
}

// sameSite compares registrable domains by the Public Suffix List. Hosts without
// one, such as addresses and localhost, are sites of their own.
func sameSite(a, b string) bool {
	if a == b {
		return true
	}
	siteA, errA := publicsuffix.EffectiveTLDPlusOne(a)
	siteB, errB := publicsuffix.EffectiveTLDPlusOne(b)
	return errA == nil && errB == nil && siteA == siteB
}

// hostname takes port, brackets and trailing dot off an authority and lowers its
// case.
func hostname(authority string) string {
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		authority = authority[:i]
	}
	return strings.ToLower(strings.Trim(strings.TrimSuffix(authority, "."), "[]"))
}
