package forwarder

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
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
// A 429 pauses it, halves its rate and empties its bucket; each second without
// a 429 gives back one request per second up to the configured rate.
type limiter struct {
	bucket *rate.Limiter

	mu      sync.Mutex
	full    float64   // the configured rate
	until   time.Time // no request before this
	clean   time.Time // up to when clean seconds have been given back
	backoff *backoff.ExponentialBackOff
}

func newLimiter() *limiter {
	return &limiter{
		bucket: rate.NewLimiter(DefaultRate, DefaultBurst),
		full:   DefaultRate,
		backoff: &backoff.ExponentialBackOff{
			InitialInterval: time.Second, Multiplier: 2, RandomizationFactor: 0.25, MaxInterval: time.Minute,
		},
	}
}

// configure sets the allowed rate. A rate that a 429 has lowered stays lowered.
func (l *limiter) configure(perSecond float64, burst, nodes int) {
	full := perSecond / float64(nodes)
	l.mu.Lock()
	defer l.mu.Unlock()
	lowered := float64(l.bucket.Limit()) < l.full
	if !lowered || full < float64(l.bucket.Limit()) {
		l.bucket.SetLimit(rate.Limit(full))
	}
	l.bucket.SetBurst(max(1, burst/nodes))
	l.full = full
}

// wait returns nil when a request may go out.
func (l *limiter) wait(ctx context.Context) error {
	for {
		if d := l.pause(time.Now()); d > 0 {
			if err := sleep(ctx, d); err != nil {
				return err
			}
			continue
		}
		if err := l.bucket.Wait(ctx); err != nil {
			return err
		}
		// Another lane may have met a 429 in the meantime.
		if l.pause(time.Now()) <= 0 {
			return nil
		}
	}
}

// pause is how long no request may go out. It also gives back what clean
// seconds have earned.
func (l *limiter) pause(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d := l.until.Sub(now); d > 0 {
		return d
	}
	if cur := float64(l.bucket.Limit()); cur < l.full {
		if n := math.Floor(now.Sub(l.clean).Seconds()); n >= 1 {
			l.bucket.SetLimitAt(now, rate.Limit(math.Min(l.full, cur+n)))
			l.clean = l.clean.Add(time.Duration(n) * time.Second)
		}
	}
	return 0
}

// throttled takes a 429 into account. retryAfter is the receiver's wish, 0 if
// it had none. Answers to requests that went out before the pause began do not
// lower the rate once more.
func (l *limiter) throttled(now time.Time, retryAfter time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !now.Before(l.until) {
		half := max(float64(l.bucket.Limit())/2, math.Min(minRate, l.full))
		l.bucket.SetLimitAt(now, rate.Limit(half))
		l.bucket.ReserveN(now, max(0, int(l.bucket.TokensAt(now))))
		if retryAfter <= 0 {
			retryAfter = l.backoff.NextBackOff()
		}
	}
	if t := now.Add(retryAfter); t.After(l.until) {
		l.until = t
		l.clean = t
	}
}

// accepted ends a run of 429s.
func (l *limiter) accepted() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.backoff.Reset()
}

// state is the allowed rate at present and until when requests are held.
func (l *limiter) state() (perSecond float64, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return float64(l.bucket.Limit()), l.until
}

// sleep waits for d, or returns the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
