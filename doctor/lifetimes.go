package doctor

import (
	"fmt"
	"net/http"
	"time"
)

const (
	// longestCookie is the cap of Chrome and Firefox on all cookies.
	longestCookie = 400 * 24 * time.Hour

	// itpCap is what Safari leaves of a cookie that a script wrote, or a server
	// that it takes for a tracker.
	itpCap = 7 * 24 * time.Hour
)

// lifetime is how long a family of browsers keeps our cookies.
type lifetime struct{ browser, keeper, readable string }

// lifetimesOf says how long browsers keep the cookies as they were set, by the
// measurements in docs/identity.md. With capped, Safari takes the site for
// another host than the pages'.
func lifetimesOf(ours ownCookies, capped bool, now time.Time) []lifetime {
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
	safari := lifetime{
		browser:  "Safari, and all browsers on iOS",
		keeper:   text(ours.keeper, longestCookie, ""),
		readable: text(ours.readable, longestCookie, "; 7 once a script rewrites it, then restored from the keeper"),
	}
	if capped {
		safari.keeper, safari.readable = text(ours.keeper, itpCap, " (capped)"), text(ours.readable, itpCap, " (capped)")
	}
	keeper, readable := text(ours.keeper, longestCookie, ""), text(ours.readable, longestCookie, "")
	return []lifetime{
		safari,
		{"Chrome, Edge and others based on Chromium", keeper, readable},
		{"Firefox", keeper, readable},
		{"any, in a private window", "until it is closed", "until it is closed"},
	}
}

// lifeOf returns how long a cookie asks to live, 0 for a session.
func lifeOf(c *http.Cookie, now time.Time) time.Duration {
	if c.MaxAge > 0 {
		return min(time.Duration(c.MaxAge), time.Duration(1<<62)/time.Second) * time.Second
	}
	return max(c.Expires.Sub(now), 0)
}

func days(life time.Duration) string {
	if n := int64(life.Round(time.Hour) / (24 * time.Hour)); n != 1 {
		return fmt.Sprintf("%d days", n)
	}
	return "1 day"
}
