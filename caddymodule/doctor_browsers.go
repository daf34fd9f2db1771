package caddymodule

import (
	"net/http"
	"time"
)

// browserLife is how long a family of browsers keeps our cookies.
type browserLife struct{ name, keeper, readable string }

// itpCap is what Safari leaves of a cookie that a script wrote, or a server that
// it takes for a tracker.
const itpCap = 7 * 24 * time.Hour

// livesOf says what browsers make of the cookies as they were set: those of the
// table in docs/identity.md. capped says that Safari takes the site for another
// host than the pages'.
func livesOf(ours ownCookies, capped bool, now time.Time) []browserLife {
	text := func(c *http.Cookie, limit time.Duration, more string) string {
		if c == nil {
			return "not set"
		}
		life := lifeOf(c, now)
		if life == 0 {
			return "until the browser is closed"
		}
		return days(min(life, limit)) + more
	}
	safari := browserLife{
		name:     "Safari, and all browsers on iOS",
		keeper:   text(ours.keeper, longestCookie, ""),
		readable: text(ours.readable, longestCookie, "; 7 once a script rewrites it, then restored from the keeper"),
	}
	if capped {
		safari.keeper, safari.readable = text(ours.keeper, itpCap, " (capped)"), text(ours.readable, itpCap, " (capped)")
	}
	keeper, readable := text(ours.keeper, longestCookie, ""), text(ours.readable, longestCookie, "")
	return []browserLife{
		safari,
		{"Chrome, Edge and their kind", keeper, readable},
		{"Firefox", keeper, readable},
		{"any, in a private window", "until it is closed", "until it is closed"},
	}
}
