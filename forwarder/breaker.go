package forwarder

import (
	"slices"
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
	// Unavailable: the receiver or the way to it fails. It is tried again when the
	// receiver has asked for, else with growing gaps of 0.5 to 60 s.
	Unavailable Pause = "unavailable"
	// Throttled: the receiver has asked for fewer requests. It is tried again when
	// it has asked for, else with gaps of 1 to 60 s.
	Throttled Pause = "throttled"
	// Misconfigured: address, account or token are wrong. It is tried again every
	// 30 s, growing to 5 min, and at once when the token changes.
	Misconfigured Pause = "misconfigured"
	// MassRejection: more than a fifth of the last events were rejected. Nothing
	// is dead-lettered in bulk; it is tried again like Misconfigured.
	MassRejection Pause = "mass rejection"
)

const (
	tokenRecheck = 10 * time.Second // how often a paused destination's token is read
	failuresOpen = 2                // consecutive failures, over all lanes, that open the breaker
	stuckAfter   = time.Second      // when another lane is woken in place of one that was and did not come
)

// breaker is a destination's circuit breaker. While it is closed (NotPaused), the
// lanes send side by side. It opens for a reason; then one lane at a time, in
// turn, may probe with one batch. After a probe that went well the others go on:
// first one, then two, four, all. A lane that may not go queues up and is woken.
type breaker struct {
	// recheck is called now and then while misconfigured and reports whether the
	// token has changed.
	recheck func() bool

	mu       sync.Mutex
	reason   Pause
	follows  bool // another node tries first whether the pause is over
	since    time.Time
	epoch    uint64 // counts openings and closings: tells late answers
	failures int    // consecutive
	width    int    // lanes that may send side by side
	active   int    // lanes that do
	probing  bool
	probeAt  time.Time
	checkAt  time.Time
	waiting  []*worker
	timer    *time.Timer // wakes those that wait
	tally    tally
	short    *backoff.ExponentialBackOff
	throttle *backoff.ExponentialBackOff
	long     *backoff.ExponentialBackOff
}

// tally counts the attempts that were accepted, and those that met an unavailable
// receiver.
type tally struct{ accepted, unavailable uint64 }

// ticket is the right to send one batch.
type ticket struct {
	epoch uint64
	probe bool
}

func newBreaker(recheck func() bool) *breaker {
	return &breaker{
		recheck:  recheck,
		width:    lanes,
		short:    newBackoff(),
		throttle: &backoff.ExponentialBackOff{InitialInterval: time.Second, Multiplier: 2, RandomizationFactor: 0.25, MaxInterval: time.Minute},
		long:     &backoff.ExponentialBackOff{InitialInterval: 30 * time.Second, Multiplier: 2, MaxInterval: 5 * time.Minute},
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

// enter returns a ticket if the lane may send one batch now. Each ticket must be
// given back by leave or abandon. A lane that may not is woken later.
func (b *breaker) enter(w *worker) (t ticket, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if b.roomLocked(now) > 0 {
		probe := b.reason != NotPaused
		if probe {
			b.probing = true
		} else {
			b.active++
		}
		return ticket{epoch: b.epoch, probe: probe}, true
	}
	if !slices.Contains(b.waiting, w) {
		b.waiting = append(b.waiting, w)
	}
	b.scheduleLocked(now)
	return ticket{}, false
}

// roomLocked is how many lanes may go now beside those that do.
func (b *breaker) roomLocked(now time.Time) int {
	switch {
	case b.reason == NotPaused:
		return max(0, b.width-b.active)
	case b.probing || now.Before(b.probeAt):
		return 0
	}
	return 1
}

// dispatchLocked wakes the lanes that may go, those first that have waited longest.
func (b *breaker) dispatchLocked() {
	now := time.Now()
	n := min(b.roomLocked(now), len(b.waiting))
	for _, w := range b.waiting[:n] {
		w.wake()
	}
	b.waiting = slices.Delete(b.waiting, 0, n)
	b.scheduleLocked(now)
}

// scheduleLocked sets the timer.
func (b *breaker) scheduleLocked(now time.Time) {
	if len(b.waiting) == 0 || b.probing {
		return
	}
	d := stuckAfter
	if b.reason != NotPaused && now.Before(b.probeAt) {
		d = b.probeAt.Sub(now)
		if b.reason == Misconfigured {
			d = min(d, max(0, b.checkAt.Sub(now)))
		}
	}
	if b.timer == nil {
		b.timer = time.AfterFunc(d, b.due)
	} else {
		b.timer.Reset(d)
	}
}

// due is called by the timer.
func (b *breaker) due() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := time.Now(); b.reason == Misconfigured && !now.Before(b.checkAt) && now.Before(b.probeAt) {
		b.checkAt = now.Add(tokenRecheck)
		b.mu.Unlock() // reading the token may take time
		changed := b.recheck()
		b.mu.Lock()
		if changed && b.reason == Misconfigured {
			b.probeAt = now
		}
	}
	b.dispatchLocked()
}

// halt forgets the lanes that wait: nothing is sent until they are woken.
func (b *breaker) halt() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = nil
	if b.timer != nil {
		b.timer.Stop()
	}
}

// valid reports whether a ticket still stands: the breaker has not changed since.
func (b *breaker) valid(t ticket) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return t.epoch == b.epoch
}

// transition is what an answer changed.
type transition struct {
	from, to Pause
	since    time.Time     // when from began
	retry    time.Duration // until the next probe; 0 when the answer did not open the breaker
	tally    tally
}

// news reports whether the reason is another one than before.
func (t transition) news() bool { return t.from != t.to }

// abandon gives a ticket back that was not used.
func (b *breaker) abandon(t ticket) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.epoch == b.epoch {
		b.freeLocked(t)
	}
}

// freeLocked frees the ticket's place without a verdict.
func (b *breaker) freeLocked(t ticket) {
	if t.probe {
		b.probing, b.probeAt = false, time.Now()
	} else {
		b.active--
	}
	b.dispatchLocked()
}

// leave gives a ticket back with the answer that it led to.
func (b *breaker) leave(t ticket, a tracking.Answer) transition {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch a.Class {
	case tracking.Accepted:
		b.tally.accepted++
	case tracking.Unavailable:
		b.tally.unavailable++
	}
	if t.epoch != b.epoch {
		// Sent before the breaker opened or closed: it says nothing new.
		return transition{from: b.reason, to: b.reason, tally: b.tally}
	}
	switch a.Class {
	case tracking.Unavailable:
		b.failures++
		if t.probe || b.failures >= failuresOpen || a.RetryAfter > 0 {
			return b.openLocked(Unavailable, max(nextBackoff(b.short), a.RetryAfter))
		}
	case tracking.Throttled:
		if a.RetryAfter > 0 {
			return b.openLocked(Throttled, a.RetryAfter)
		}
		return b.openLocked(Throttled, b.throttle.NextBackOff())
	case tracking.Misconfigured:
		return b.openLocked(Misconfigured, b.long.NextBackOff())
	case tracking.Rejected, tracking.TooLarge:
		if b.reason == MassRejection {
			return b.openLocked(MassRejection, b.long.NextBackOff())
		}
		return b.closeLocked() // the receiver is there and knows us
	case tracking.Accepted:
		return b.closeLocked()
	}
	b.freeLocked(t)
	return transition{from: b.reason, to: b.reason, tally: b.tally}
}

// reject opens the breaker because too many events were rejected.
func (b *breaker) reject() transition {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reason == MassRejection {
		return transition{from: b.reason, to: b.reason}
	}
	return b.openLocked(MassRejection, b.long.NextBackOff())
}

// openLocked opens the breaker, or keeps it open, until a probe after d.
func (b *breaker) openLocked(why Pause, d time.Duration) transition {
	now := time.Now()
	tr := transition{from: b.reason, to: why, since: b.since, retry: d, tally: b.tally}
	if b.reason != why {
		b.reason, b.since = why, now
	}
	b.epoch++
	b.active, b.probing = 0, false
	b.probeAt, b.checkAt = now.Add(d), now
	b.dispatchLocked()
	return tr
}

// closeLocked counts a good answer: it closes the breaker, or lets more lanes side
// by side.
func (b *breaker) closeLocked() transition {
	tr := transition{from: b.reason, since: b.since, tally: b.tally}
	b.failures = 0
	b.short.Reset()
	b.throttle.Reset()
	b.long.Reset()
	if b.reason != NotPaused {
		b.reason, b.since, b.follows = NotPaused, time.Now(), false
		b.epoch++
		b.active, b.probing, b.width = 0, false, 1
	} else {
		b.active--
		b.width = min(2*b.width, lanes)
	}
	b.dispatchLocked()
	return tr
}

// hold opens the breaker because another node has found a reason: for d at least. If
// it follows, another node tries first, and this one after the longest gap: the other
// may have nothing to try with.
func (b *breaker) hold(why Pause, d time.Duration, follows bool) transition {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if follows {
		d = b.long.MaxInterval
	}
	if b.reason != why {
		b.follows = follows
		return b.openLocked(why, d)
	}
	switch {
	case follows && !b.follows:
		b.probeAt = now.Add(d)
	case b.follows && !follows:
		b.probeAt = now
	case b.probeAt.Before(now.Add(d)) && why == Throttled:
		b.probeAt = now.Add(d)
	}
	b.follows = follows
	b.dispatchLocked()
	return transition{from: b.reason, to: b.reason}
}

// lead has the breaker try by itself whether a pause is over, from now on.
func (b *breaker) lead() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.follows {
		b.follows = false
		b.probeAt = time.Now()
		b.dispatchLocked()
	}
}

// forget takes a worker that has stopped off those that wait.
func (b *breaker) forget(w *worker) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.waiting, w); i >= 0 {
		b.waiting = slices.Delete(b.waiting, i, i+1)
	}
}

// nudge lets an open breaker be probed at once: the configuration was loaded anew.
func (b *breaker) nudge() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reason == NotPaused {
		return
	}
	b.short.Reset()
	b.throttle.Reset()
	b.long.Reset()
	b.follows, b.probeAt = false, time.Now()
	b.dispatchLocked()
}

// state is what Stats tells about the breaker.
func (b *breaker) state() (reason Pause, since, probeAt time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reason == NotPaused {
		return NotPaused, time.Time{}, time.Time{}
	}
	return b.reason, b.since, b.probeAt
}
