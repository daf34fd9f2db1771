package forwarder

import (
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/tracking"
	"github.com/intilery/caddy-intilery/internal/faketime"
)

// testBreaker returns a breaker and workers that do nothing when they are woken.
func testBreaker() (b *breaker, workers []*worker) {
	d := newDestination("main", &shared{}, slog.New(slog.DiscardHandler))
	for range lanes {
		workers = append(workers, newWorker(d, nil, "", nil))
	}
	return newBreaker(func() bool { return false }), workers
}

func enter(t *testing.T, b *breaker, w *worker) ticket {
	t.Helper()
	tk, ok := b.enter(w)
	if !ok {
		t.Fatal("it may not enter")
	}
	return tk
}

// A lane that has probed lets the others go first, and one probes at a time.
func TestLanesTakeTurns(t *testing.T) {
	faketime.Test(t, func(t *testing.T) {
		b, w := testBreaker()
		b.leave(enter(t, b, w[0]), tracking.Answer{Class: tracking.Misconfigured})
		for i := range 3 {
			if _, ok := b.enter(w[i]); ok {
				t.Fatalf("lane %d may go at once", i)
			}
		}
		for i := range 6 {
			for time.Until(b.probeAt) > 0 {
				time.Sleep(time.Second)
			}
			synctest.Wait()
			prober := w[i%3]
			if len(b.waiting) != 2 || slices.Contains(b.waiting, prober) {
				t.Fatalf("round %d: lane %d was not woken alone", i, i%3)
			}
			probe := enter(t, b, prober)
			if _, ok := b.enter(w[(i+1)%3]); ok || !probe.probe {
				t.Errorf("round %d: two probes at a time", i)
			}
			b.leave(probe, tracking.Answer{Class: tracking.Misconfigured})
			if _, ok := b.enter(prober); ok {
				t.Errorf("round %d: no pause between the probes", i)
			}
		}
		b.halt()
	})
}

// A lane that is woken to probe and does not come is passed over.
func TestProbeOfAnotherLane(t *testing.T) {
	faketime.Test(t, func(t *testing.T) {
		b, w := testBreaker()
		b.leave(enter(t, b, w[0]), tracking.Answer{Class: tracking.Misconfigured})
		b.enter(w[0])
		b.enter(w[1])
		time.Sleep(30*time.Second + stuckAfter)
		synctest.Wait()
		if len(b.waiting) != 0 {
			t.Error("the second lane still waits for the first")
		}
		b.abandon(enter(t, b, w[1])) // it has nothing to send
		if !enter(t, b, w[0]).probe {
			t.Error("no probe after one was given up")
		}
		b.halt()
	})
}

// What was sent before the breaker opened decides nothing.
func TestLateAnswers(t *testing.T) {
	faketime.Test(t, func(t *testing.T) {
		b, w := testBreaker()
		var tickets []ticket
		for i := range w {
			tickets = append(tickets, enter(t, b, w[i]))
		}
		if tr := b.leave(tickets[0], tracking.Answer{Class: tracking.Misconfigured}); !tr.news() || tr.retry != 30*time.Second {
			t.Fatalf("transition %+v", tr)
		}
		for i, c := range []tracking.Class{tracking.Accepted, tracking.Misconfigured, tracking.Unavailable, tracking.Rejected, tracking.Throttled} {
			if tr := b.leave(tickets[i+1], tracking.Answer{Class: c}); tr.news() || tr.retry != 0 {
				t.Errorf("a late %v led to %+v", c, tr)
			}
		}
		if why, _, at := b.state(); why != Misconfigured || time.Until(at) != 30*time.Second {
			t.Errorf("open for %q, next try in %v", why, time.Until(at))
		}
	})
}

// 30 s, 1, 2, 4, then every 5 minutes.
func TestProbeTimes(t *testing.T) {
	faketime.Test(t, func(t *testing.T) {
		b, w := testBreaker()
		for i, want := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute, 5 * time.Minute} {
			tr := b.leave(enter(t, b, w[0]), tracking.Answer{Class: tracking.Misconfigured})
			if tr.retry != want {
				t.Errorf("pause %d is %v, want %v", i, tr.retry, want)
			}
			time.Sleep(want - time.Nanosecond)
			if _, ok := b.enter(w[0]); ok {
				t.Errorf("a probe before pause %d was over", i)
			}
			time.Sleep(time.Nanosecond)
		}
		b.halt()
	})
}

func TestBackoffRange(t *testing.T) {
	for range 200 {
		b := newBackoff()
		top := 2 * minBackoff
		for i := range 20 {
			if d := nextBackoff(b); d < minBackoff || d > top {
				t.Fatalf("wait %d is %v, want %v to %v", i, d, minBackoff, top)
			}
			top = min(maxBackoff, 2*top-minBackoff)
		}
	}
}
