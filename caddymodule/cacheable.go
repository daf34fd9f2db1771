package caddymodule

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// sharing says what a shared cache may do with a response (RFC 9111).
type sharing uint8

const (
	// unshared: the response says that a shared cache must not store it, or it
	// is of a kind that none stores.
	unshared sharing = iota
	// silent: a cache may store it, by its own heuristics (RFC 9111, 4.2.2) or
	// to revalidate it before each use, whose 304 would replay our Set-Cookie.
	// With "private" added it may not; see keepPrivate.
	silent
	// shared: the response says that it may be stored.
	shared
)

// sharingOf classifies a response before our own headers are added. A method
// other than GET and HEAD is not stored by caches in practice.
func sharingOf(method string, status int, h http.Header, now time.Time) sharing {
	if method != http.MethodGet && method != http.MethodHead {
		return unshared
	}
	var public, private, fresh, stale bool
	for _, field := range [...]string{"Cache-Control", "Cdn-Cache-Control", "Surrogate-Control"} {
		for _, line := range h[field] {
			for directive := range strings.SplitSeq(line, ",") {
				name, argument, _ := strings.Cut(strings.TrimSpace(directive), "=")
				seconds := positive(argument)
				switch strings.ToLower(name) {
				case "no-store":
					private = true
				case "private":
					// private="Field" restricts single fields only.
					private = private || argument == ""
				case "no-cache":
					stale = stale || argument == ""
				case "public", "must-understand":
					public = true
				case "s-maxage", "max-age", "stale-while-revalidate", "stale-if-error":
					fresh = fresh || seconds
					stale = stale || !seconds
				}
			}
		}
	}
	switch {
	case private:
		return unshared
	case public || fresh:
		return shared
	case stale:
		return silent
	}
	if expires := h["Expires"]; len(expires) > 0 {
		if at, err := http.ParseTime(expires[0]); err == nil && at.After(now) {
			return shared
		}
		return silent
	}
	if !heuristic(status) {
		return unshared
	}
	return silent
}

// keepPrivate marks a silent response that now carries a Set-Cookie, so that
// no shared cache stores the cookie and hands it to the next visitor. What the
// browser itself caches does not change.
func keepPrivate(h http.Header) {
	if line := first(h, "Cache-Control"); line != "" {
		h["Cache-Control"] = []string{strings.Join(h["Cache-Control"], ", ") + ", private"}
		return
	}
	h["Cache-Control"] = []string{"private"}
}

// positive reads a delta-seconds argument, quoted or not.
func positive(argument string) bool {
	n, err := strconv.Atoi(strings.Trim(strings.TrimSpace(argument), `"`))
	return err == nil && n > 0
}

// heuristic lists the statuses that a cache may store without being told
// (RFC 9110, 15.1).
func heuristic(status int) bool {
	switch status {
	case 200, 203, 204, 206, 300, 301, 304, 308, 404, 405, 410, 414, 501:
		return true
	}
	return false
}

// cacheHit reports whether a response comes out of a cache between the app and
// us: what it says of its visitor was said of another one.
func cacheHit(h http.Header) bool {
	if age := h["Age"]; len(age) > 0 {
		return true
	}
	for _, line := range h["Cache-Status"] { // RFC 9211
		for cache := range strings.SplitSeq(line, ",") {
			for parameter := range strings.SplitSeq(cache, ";") {
				if strings.EqualFold(strings.TrimSpace(parameter), "hit") {
					return true
				}
			}
		}
	}
	for _, field := range [...]string{"X-Cache", "X-Cache-Status", "X-Proxy-Cache", "Cf-Cache-Status", "X-Varnish-Cache"} {
		if value := first(h, field); value != "" && strings.Contains(strings.ToLower(value), "hit") {
			return true
		}
	}
	return false
}
