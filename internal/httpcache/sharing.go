package httpcache

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Sharing says what a shared cache may do with a response (RFC 9111). A greater
// value permits more.
type Sharing uint8

const (
	// Unshared: the response says that a shared cache must not store it, or it is
	// of a kind that none stores.
	Unshared Sharing = iota
	// Silent: a cache may store it, by its own heuristics (RFC 9111, 4.2.2) or to
	// revalidate it before each use, whose 304 would replay our Set-Cookie. After
	// KeepPrivate it may not.
	Silent
	// Shared: the response says that it may be stored and reused.
	Shared
)

// SharingOf classifies a response before our own headers are added. A method
// other than GET and HEAD is not stored by caches in practice.
//
// Cache-Control and each targeted field (RFC 9213) are judged on their own, since
// a cache that knows a targeted field ignores Cache-Control, and the caches that
// do not know it ignore the targeted field. The most permissive one decides.
//
// A malformed directive counts if it permits storing and not if it forbids it.
// Vary is not read, not even "Vary: *": caches can be set up to ignore it
// (nginx's proxy_ignore_headers, Akamai's removeVary), and so it protects no
// cookie. What forbids storing is no-store and private, with or without it.
func SharingOf(method string, status int, h http.Header, now time.Time) Sharing {
	if !safe(method) {
		return Unshared
	}
	sharing, explicit := judge(h["Cache-Control"])
	if !explicit {
		sharing = byExpires(h["Expires"], status, now)
	}
	for name, lines := range h {
		switch {
		case !targeted(name):
		case name == "X-Accel-Expires":
			sharing = max(sharing, byAccel(lines, now))
		default:
			own, explicit := judge(lines)
			if !explicit && strings.HasSuffix(name, "-Cache-Control") && cachingOnly(lines) {
				// RFC 9213, 2.2: Cache-Control and Expires are ignored even so.
				own = byHeuristic(status)
			}
			sharing = max(sharing, own)
		}
	}
	return sharing
}

// safe reports whether caches answer the method (RFC 9110, 9.2.3).
func safe(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// judge says what one field's directives permit. explicit is false if none of them
// is about storing or freshness.
func judge(lines []string) (sharing Sharing, explicit bool) {
	var private, noStore, understand, public, stale bool
	var buf [32]byte
	for all := (directives{lines: lines}); ; {
		d, ok := all.next()
		if !ok {
			break
		}
		switch string(lower(&buf, d.name)) {
		case "private":
			// With an argument it restricts single fields only (RFC 9111, 5.2.2.7).
			private = private || !d.valued && !d.malformed
		case "no-store":
			noStore = noStore || !d.valued && !d.malformed
		case "must-understand":
			// A cache that knows the status ignores no-store (RFC 9111, 5.2.2.3).
			understand = true
		case "public":
			public = true
		case "!no-store", "!no-cache", "!bypass-cache": // Edge-Control
			public = true
		case "no-cache":
			// As with private.
			stale = stale || !d.valued
		case "max-age", "s-maxage", "stale-while-revalidate", "stale-if-error",
			"cache-maxage", "downstream-ttl": // the last two are Edge-Control's
			if positive(d.argument) {
				public = true
			} else {
				stale = true
			}
		}
	}
	switch {
	case private || noStore && !understand:
		return Unshared, true
	case public:
		return Shared, true
	case stale:
		return Silent, true
	}
	return Unshared, false
}

// byExpires judges a response whose Cache-Control leaves it open. With several
// Expires the latest counts.
func byExpires(lines []string, status int, now time.Time) Sharing {
	if len(lines) == 0 {
		return byHeuristic(status)
	}
	for _, line := range lines {
		// The shortest date that ParseTime knows is time.ANSIC. "0" and "-1" are
		// frequent, and the error would allocate.
		if len(line) < len(time.ANSIC) {
			continue
		}
		if at, err := http.ParseTime(line); err == nil && at.After(now) {
			return Shared
		}
	}
	return Silent
}

// byHeuristic judges a response that says nothing. The statuses are those that a
// cache may store without being told (RFC 9110, 15.1).
func byHeuristic(status int) Sharing {
	switch status {
	case 200, 203, 204, 206, 300, 301, 304, 308, 404, 405, 410, 414, 501:
		return Silent
	}
	return Unshared
}

// byAccel judges nginx's X-Accel-Expires: seconds, or @ and a Unix time. 0 forbids
// storing, anything else is ignored (nginx, proxy_cache_valid).
func byAccel(lines []string, now time.Time) Sharing {
	sharing := Unshared
	for _, line := range lines {
		line = strings.TrimSpace(line)
		if epoch, absolute := strings.CutPrefix(line, "@"); absolute {
			ok, _ := count(epoch)
			if !ok {
				continue
			}
			// What does not fit is far ahead.
			at, err := strconv.ParseInt(epoch, 10, 64)
			if err != nil || at > now.Unix() {
				return Shared
			}
			sharing = Silent
		} else if _, more := count(line); more {
			return Shared
		}
	}
	return sharing
}

// targeted reports whether a field speaks to one kind of cache or to one vendor's
// caches only. Besides those of RFC 9213, which all end in -Cache-Control, there
// are three older ones: Surrogate-Control (Edge Architecture), Edge-Control
// (Akamai) and X-Accel-Expires (nginx).
func targeted(name string) bool {
	switch name {
	case "Surrogate-Control", "Edge-Control", "X-Accel-Expires":
		return true
	}
	return strings.HasSuffix(name, "-Cache-Control")
}

// processing reports whether a directive of a targeted field tells the cache how
// to process the body instead of whether to store it: content="ESI/1.0" of
// Surrogate-Control, dca=esi of Edge-Control, esi=on of X-LiteSpeed-Cache-Control.
func processing(name string) bool {
	var buf [32]byte
	switch string(lower(&buf, name)) {
	case "content", "dca", "esi":
		return true
	}
	return false
}

// cachingOnly reports whether a field has a directive and none is for processing.
func cachingOnly(lines []string) bool {
	all, found := directives{lines: lines}, false
	for {
		d, ok := all.next()
		if !ok || processing(d.name) {
			return found && !ok
		}
		found = true
	}
}
