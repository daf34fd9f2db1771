package caddymodule

import (
	"iter"
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
	for _, field := range [...]string{"Cache-Control", "Cdn-Cache-Control", "Surrogate-Control", "Cloudflare-Cdn-Cache-Control"} {
		for _, line := range h[field] {
			for directive := range strings.SplitSeq(line, ",") {
				name, argument, _ := strings.Cut(strings.TrimSpace(directive), "=")
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
					seconds := positive(argument)
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
	dropTargeted(h)
	if line := first(h, "Cache-Control"); line != "" {
		h["Cache-Control"] = []string{strings.Join(h["Cache-Control"], ", ") + ", private"}
		return
	}
	h["Cache-Control"] = []string{"private"}
}

// makePrivate takes a response that a shared cache may store away from it. What
// is said to shared caches alone goes; what is said to the browser stays.
func makePrivate(h http.Header) {
	dropTargeted(h)
	kept := []string{"private"}
	for _, line := range h["Cache-Control"] {
		for directive := range directives(line) {
			name, _, _ := strings.Cut(directive, "=")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "", "public", "private", "s-maxage", "proxy-revalidate", "must-understand":
			default:
				kept = append(kept, directive)
			}
		}
	}
	h["Cache-Control"] = []string{strings.Join(kept, ", ")}
}

// directives splits a Cache-Control line at the commas outside of quotes.
func directives(line string) iter.Seq[string] {
	return func(yield func(string) bool) {
		quoted, start := false, 0
		for i := 0; i <= len(line); i++ {
			if i < len(line) && line[i] == '"' {
				quoted = !quoted
			}
			if i == len(line) || line[i] == ',' && !quoted {
				if !yield(strings.TrimSpace(line[start:i])) {
					return
				}
				start = i + 1
			}
		}
	}
}

// targeted are the fields by which an app speaks to the caches of a kind or of a
// vendor (RFC 9213 and older habits). They beat Cache-Control there.
var targeted = [...]string{
	"Cdn-Cache-Control", "Surrogate-Control", "Cloudflare-Cdn-Cache-Control", "Edge-Control", "X-Accel-Expires",
}

func dropTargeted(h http.Header) {
	for _, name := range targeted {
		delete(h, name)
	}
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
