package forwarder

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/tracking"
)

// enterAll lets lanes 0 to n-1 enter and returns the channel on which those that
// may send are told.
func enterAll(t *testing.T, ctx context.Context, g *gate, n int) chan int {
	entered := make(chan int, n)
	for lane := range n {
		go func() {
			if _, err := g.enter(ctx, lane); err == nil {
				entered <- lane
			}
		}()
	}
	synctest.Wait()
	return entered
}

func never() bool { return false }

// TestLanesTakeTurns: a lane that has probed lets another one go first.
func TestLanesTakeTurns(t *testing.T) {
	for range 20 { // which lane wakes first is chance
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			g := newGate(never)
			first, err := g.enter(ctx, 0)
			if err != nil {
				t.Fatal(err)
			}
			g.leave(first, tracking.Answer{Class: tracking.Misconfigured})
			time.Sleep(firstProbe)
			probe, err := g.enter(ctx, 0)
			if err != nil || !probe.probe {
				t.Fatalf("ticket %+v, %v", probe, err)
			}
			g.leave(probe, tracking.Answer{Class: tracking.Misconfigured})
			entered := enterAll(t, ctx, g, 2)
			time.Sleep(2 * firstProbe)
			synctest.Wait()
			if len(entered) != 1 {
				t.Fatalf("%d lanes probe, want one", len(entered))
			}
			if lane := <-entered; lane != 1 {
				t.Error("the lane that probed last was first again")
			}
		})
	}
}

// TestLateAnswers: what was sent before the gate closed decides nothing.
func TestLateAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(never)
		var tickets []ticket
		for lane := range lanesPerDestination {
			tk, err := g.enter(t.Context(), lane)
			if err != nil {
				t.Fatal(err)
			}
			tickets = append(tickets, tk)
		}
		if tr := g.leave(tickets[0], tracking.Answer{Class: tracking.Misconfigured}); !tr.news() || tr.retry != firstProbe {
			t.Fatalf("transition %+v", tr)
		}
		for i, c := range []tracking.Class{tracking.Accepted, tracking.Misconfigured, tracking.Unavailable, tracking.Rejected, tracking.Throttled} {
			if tr := g.leave(tickets[i+1], tracking.Answer{Class: c}); tr.news() {
				t.Errorf("a late %v led to %+v", c, tr)
			}
		}
		if why, _, at := g.state(); why != Misconfigured || time.Until(at) != firstProbe {
			t.Errorf("closed for %q, next try in %v", why, time.Until(at))
		}
	})
}

// TestProbeTimes: 30 s, 1, 2, 4, then every 5 minutes.
func TestProbeTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(never)
		for i, want := range []time.Duration{0, 30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute, 5 * time.Minute} {
			start := time.Now()
			tk, err := g.enter(t.Context(), 0)
			if err != nil {
				t.Fatal(err)
			}
			if d := time.Since(start); d != want || tk.probe != (i > 0) {
				t.Errorf("attempt %d after %v, want %v", i, d, want)
			}
			g.leave(tk, tracking.Answer{Class: tracking.Misconfigured})
		}
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
