package tracking

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Bounds of Answer.RetryAfter: below, a fleet would spin; above, a slip of the
// receiver would stop delivery for longer than anyone meant.
const (
	MinRetryAfter = 1 * time.Second
	MaxRetryAfter = 300 * time.Second
)

// parseRetryAfter reads a Retry-After header (RFC 9110, section 10.2.3):
// whole seconds or an HTTP date, which is taken relative to now. The result
// lies within MinRetryAfter and MaxRetryAfter; it is 0 when there is no header
// or it cannot be understood.
func parseRetryAfter(v string, now time.Time) time.Duration {
	v = strings.TrimSpace(v)
	if v == "" {
		return 0
	}
	if strings.Trim(v, "0123456789") == "" {
		n, err := strconv.ParseUint(v, 10, 31)
		if err != nil {
			return MaxRetryAfter // all digits, so only too large
		}
		return clampRetryAfter(time.Duration(n) * time.Second)
	}
	if t, err := http.ParseTime(v); err == nil {
		return clampRetryAfter(t.Sub(now))
	}
	return 0
}

func clampRetryAfter(d time.Duration) time.Duration {
	return min(max(d, MinRetryAfter), MaxRetryAfter)
}
