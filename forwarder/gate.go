package forwarder

import (
	"context"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/intilery/caddy-intilery/forwarder/tracking"
)

// Pause is why a destination is not sent to at present.
type Pause string

// The reasons of a pause.
const (
	// NotPaused: the destination is sent to.
	NotPaused Pause = ""
	// Unavailable: the receiver or the way to it fails. It is tried again with
	// growing gaps of 0.5 to 60 s.
	Unavailable Pause = "unavailable"
	// Misconfigured: address, account or token are wrong. It is tried again every
	// 30 s, growing to 5 min, and at once when the token changes.
	Misconfigured Pause = "misconfigured"
	// MassRejection: more than a fifth of the last events were rejected. Nothing
	// is dead-lettered in bulk; it is tried again like Misconfigured.
	MassRejection Pause = "mass rejection"
)

const (
	firstProbe   = 30 * time.Second
	lastProbe    = 5 * time.Minute
	tokenRecheck = 10 * time.Second // how often a paused destination's token is re-read
	failuresDown = 2                // consecutive failures, over all lanes, that make a destination down
)

// gate decides which lanes may send. It is open, or it is closed for a reason;
// when closed, one lane at a time may probe with one batch, and other lanes go
// on when a probe was answered well: first one, then two, four, all.
type gate struct {
	// recheck is called now and then while misconfigured and reports whether the
	// token has changed.
	recheck func() bool

	mu       sync.Mutex
	closed   Pause
	since    time.Time
	epoch    uint64 // counts openings and closings: tells late answers
	failures int    // consecutive
	width    int    // lanes that may send side by side
	inflight int
	probing  bool
	prober   int // the lane that probed last
	probeAt  time.Time
	checkAt  time.Time
	waiting  int
	short    *backoff.ExponentialBackOff
	long     *backoff.ExponentialBackOff
	changed  chan struct{} // closed, and made anew, at each change
}

// ticket is the right to send one batch.
type ticket struct {
	epoch uint64
	probe bool
}

func newGate(recheck func() bool) *gate {
	return &gate{
		recheck: recheck,
		width:   lanesPerDestination,
		prober:  -1,
		short:   newBackoff(),
		long:    &backoff.ExponentialBackOff{InitialInterval: firstProbe, Multiplier: 2, MaxInterval: lastProbe},
		changed: make(chan struct{}),
	}
}

// newBackoff yields waits with full jitter above minBackoff: the first is
// within 0.5 and 1 s, the upper end doubles until it is 60 s.
func newBackoff() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval:     250 * time.Millisecond,
		Multiplier:          2,
		RandomizationFactor: 1,
		MaxInterval:         (maxBackoff - minBackoff) / 2,
	}
}

const (
	minBackoff = 500 * time.Millisecond
	maxBackoff = 60 * time.Second
)

func nextBackoff(b *backoff.ExponentialBackOff) time.Duration { return minBackoff + b.NextBackOff() }

// enter returns when the lane may send one batch. Each ticket must be given
// back by leave.
func (g *gate) enter(ctx context.Context, lane int) (ticket, error) {
	g.mu.Lock()
	g.waiting++
	defer func() {
		g.waiting--
		g.mu.Unlock()
	}()
	for {
		now := time.Now()
		wake := time.Duration(-1)
		switch {
		case g.closed == NotPaused:
			if g.inflight < g.width {
				g.inflight++
				return ticket{epoch: g.epoch}, nil
			}
		case g.probing:
		case !now.Before(g.probeAt):
			// Lanes take turns, so that one bad batch does not decide for all.
			if lane != g.prober || g.waiting == 1 {
				g.probing, g.prober = true, lane
				return ticket{epoch: g.epoch, probe: true}, nil
			}
		default:
			wake = g.probeAt.Sub(now)
			if g.closed == Misconfigured {
				if !now.Before(g.checkAt) {
					g.checkToken(now)
					continue
				}
				wake = min(wake, g.checkAt.Sub(now))
			}
		}
		if err := g.await(ctx, wake); err != nil {
			g.broadcast() // the others may have waited for this lane's turn
			return ticket{}, err
		}
	}
}

// checkToken re-reads the token, outside the lock because that may take time.
func (g *gate) checkToken(now time.Time) {
	g.checkAt = now.Add(tokenRecheck)
	g.mu.Unlock()
	changed := g.recheck()
	g.mu.Lock()
	if changed && g.closed == Misconfigured {
		g.probeAt = time.Now()
		g.broadcast()
	}
}

// await releases the lock until something changes or d, if not negative, passes.
func (g *gate) await(ctx context.Context, d time.Duration) error {
	changed := g.changed
	g.mu.Unlock()
	defer g.mu.Lock()
	var due <-chan time.Time
	if d >= 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		due = t.C
	}
	select {
	case <-changed:
		return nil
	case <-due:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *gate) broadcast() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// valid reports whether a ticket still stands: nothing closed the gate since.
func (g *gate) valid(t ticket) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return t.epoch == g.epoch
}

// transition is what an answer changed.
type transition struct {
	from, to Pause
	since    time.Time     // when from began
	retry    time.Duration // until the next probe
}

// news reports whether the reason is another one than before.
func (t transition) news() bool { return t.from != t.to }

// abandon gives a ticket back that was not used.
func (g *gate) abandon(t ticket) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.epoch == g.epoch {
		g.release(t)
	}
}

// release frees the ticket's place without a verdict.
func (g *gate) release(t ticket) {
	if t.probe {
		g.probing, g.probeAt = false, time.Now()
	} else {
		g.inflight--
	}
	g.broadcast()
}

// leave gives a ticket back with the answer that it led to.
func (g *gate) leave(t ticket, a tracking.Answer) transition {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.epoch != g.epoch {
		// Sent before the gate closed or opened: it says nothing new.
		return transition{from: g.closed, to: g.closed}
	}
	switch a.Class {
	case tracking.Unavailable:
		g.failures++
		if t.probe || g.failures >= failuresDown {
			return g.shut(Unavailable, max(nextBackoff(g.short), a.RetryAfter))
		}
	case tracking.Misconfigured:
		return g.shut(Misconfigured, g.long.NextBackOff())
	case tracking.Rejected, tracking.TooLarge:
		if g.closed == MassRejection {
			return g.shut(MassRejection, g.long.NextBackOff())
		}
		return g.open() // the receiver is there and knows us
	case tracking.Accepted:
		return g.open()
	}
	g.release(t)
	return transition{from: g.closed, to: g.closed}
}

// reject closes the gate because too many events were rejected.
func (g *gate) reject() transition {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed == MassRejection {
		return transition{from: g.closed, to: g.closed}
	}
	return g.shut(MassRejection, g.long.NextBackOff())
}

// shut closes the gate, or keeps it closed, until a probe after d.
func (g *gate) shut(why Pause, d time.Duration) transition {
	now := time.Now()
	tr := transition{from: g.closed, to: why, since: g.since, retry: d}
	if g.closed != why {
		g.closed, g.since = why, now
	}
	g.epoch++
	g.inflight, g.probing = 0, false
	g.probeAt = now.Add(d)
	g.checkAt = now
	g.broadcast()
	return tr
}

// open counts a good answer: it opens the gate, or lets more lanes side by side.
func (g *gate) open() transition {
	tr := transition{from: g.closed, since: g.since}
	g.failures = 0
	g.short.Reset()
	g.long.Reset()
	if g.closed != NotPaused {
		g.closed, g.since = NotPaused, time.Now()
		g.epoch++
		g.inflight, g.probing, g.width = 0, false, 1
	} else {
		g.inflight--
		g.width = min(2*g.width, lanesPerDestination)
	}
	g.broadcast()
	return tr
}

// nudge lets a closed gate be probed at once: the configuration was loaded anew.
func (g *gate) nudge() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed == NotPaused {
		return
	}
	g.short.Reset()
	g.long.Reset()
	g.probeAt = time.Now()
	g.broadcast()
}

// state is what Stats tells about the gate.
func (g *gate) state() (closed Pause, since, probeAt time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed == NotPaused {
		return NotPaused, time.Time{}, time.Time{}
	}
	return g.closed, g.since, g.probeAt
}
