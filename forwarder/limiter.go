package forwarder

import (
	"context"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Requests per second and burst towards one destination, unless configured.
// They leave room under the API's documented 100 and 500, because other servers
// of the same customer may share that allowance.
const (
	DefaultRate  = 80
	DefaultBurst = 50
)

const minRate = 1 // requests per second that are left after any number of 429s

// limiter is the rate of requests towards one destination, shared by its lanes.
// A 429 halves it and empties its bucket; each second after the pause that
// follows gives back one request per second up to the configured rate.
type limiter struct {
	bucket *rate.Limiter

	mu    sync.Mutex
	full  float64   // the configured rate, or this process's part of it
	clean time.Time // up to when seconds have been given back
}

func newLimiter() *limiter {
	return &limiter{bucket: rate.NewLimiter(DefaultRate, DefaultBurst), full: DefaultRate}
}

// configure sets the allowed rate, of which this process has a part. A rate that a
// 429 has lowered stays lowered.
func (l *limiter) configure(perSecond float64, burst int, part float64) {
	full := perSecond * part
	l.mu.Lock()
	defer l.mu.Unlock()
	lowered := float64(l.bucket.Limit()) < l.full
	if !lowered || full < float64(l.bucket.Limit()) {
		l.bucket.SetLimit(rate.Limit(full))
	}
	l.bucket.SetBurst(max(1, int(float64(burst)*part+1e-6)))
	l.full = full
}

// wait returns nil when a request may go out.
func (l *limiter) wait(ctx context.Context) error {
	l.regain(time.Now())
	return l.bucket.Wait(ctx)
}

// regain gives back what the seconds since the last pause have earned.
func (l *limiter) regain(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	cur, n := float64(l.bucket.Limit()), math.Floor(now.Sub(l.clean).Seconds())
	if cur < l.full && n >= 1 {
		l.bucket.SetLimitAt(now, rate.Limit(math.Min(l.full, cur+n)))
		l.clean = l.clean.Add(time.Duration(n) * time.Second)
	}
}

// throttled takes a 429 into account, after which nothing is sent until then.
func (l *limiter) throttled(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.bucket.SetLimitAt(now, rate.Limit(max(float64(l.bucket.Limit())/2, math.Min(minRate, l.full))))
	l.bucket.ReserveN(now, max(0, int(l.bucket.TokensAt(now))))
	l.clean = until
}

// perSecond is the allowed rate at present.
func (l *limiter) perSecond() float64 { return float64(l.bucket.Limit()) }
