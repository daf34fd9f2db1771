package faults

import (
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/fleettest/harness"
)

// A node that is stopped hands over all it has, and its disk may go.
func TestScaleIn(t *testing.T) {
	f := harness.NewFleet(t, harness.FleetOptions{})
	load := &harness.Load{Rate: 1000, Visitors: 200}
	start(t, f, load)
	n := f.Nodes[0]
	at := time.Now()
	took := n.Stop()
	n.RemoveDir()
	t.Log("the node has ended after", took)
	if took > 12*time.Second {
		t.Errorf("a node took %v to end, want no more than its stop_timeout", took)
	}
	passed(t, load, 3*time.Second)
	r := f.Deliver(t, load.Stop(), deliverLimit)
	inOrder(t, r)
	if r.Repeats > 0 {
		t.Errorf("%d events were sent twice though nothing failed", r.Repeats)
	}
	// The visitors of the node that has gone make no events any more; those of
	// others must not have waited for its lanes' leases to end.
	if gap := longestGap(f, at, load.Visitors); gap > 1500*time.Millisecond {
		t.Errorf("a visitor waited %v, want a clean hand-over of lanes", gap)
	}
}

// One node after the other is restarted, as for an update.
func TestRollingRestart(t *testing.T) {
	f := harness.NewFleet(t, harness.FleetOptions{})
	load := &harness.Load{Rate: 1000, Visitors: 200}
	start(t, f, load)
	for _, n := range f.Nodes {
		n.Stop()
		passed(t, load, 500*time.Millisecond)
		n.Start()
		passed(t, load, time.Second)
	}
	r := f.Deliver(t, load.Stop(), deliverLimit)
	inOrder(t, r)
	repeats(t, r, 0)
}

// A crash takes a node's disk with it, long after its events were handed over.
func TestDiskIsLostAfterTheHandOver(t *testing.T) {
	f := harness.NewFleet(t, harness.FleetOptions{})
	f.Receiver.AnswerAll(harness.Reply{Status: 503})
	n := f.Nodes[0]
	ids := numbered(7, 500)
	if err := n.Capture(soon(t), ids...); err != nil {
		t.Fatal(err)
	}
	harness.Await(t, 10*time.Second, "the events are handed over", func() bool { return f.Streamed(t) == len(ids) })
	n.Kill()
	n.RemoveDir()
	f.Receiver.Answer(nil)
	inOrder(t, f.Deliver(t, ids, deliverLimit))
}

// A 429 that one node is given pauses the whole fleet.
func TestThrottledTogether(t *testing.T) {
	f := harness.NewFleet(t, harness.FleetOptions{})
	load := &harness.Load{Rate: 500, Visitors: 200}
	start(t, f, load)
	refused := -1 // the request's number
	f.Receiver.Answer(func(request int) harness.Reply {
		if refused < 0 {
			refused = request
			return harness.Reply{Status: 429, RetryAfter: 4}
		}
		return harness.OK
	})
	passed(t, load, 6*time.Second)
	f.Receiver.Answer(nil) // refused is not written to any more
	if refused < 0 {
		t.Fatal("no request came")
	}
	requests := f.Receiver.Requests()[refused:]
	var paused int
	for _, at := range requests {
		// The news takes a moment, and requests under way are not called back.
		if since := at.Sub(requests[0]); since > time.Second && since < 3500*time.Millisecond {
			paused++
		}
	}
	if paused > 0 {
		t.Errorf("%d requests in the pause that was asked for", paused)
	}
	inOrder(t, f.Deliver(t, load.Stop(), deliverLimit))
}
