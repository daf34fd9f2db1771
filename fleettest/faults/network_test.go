package faults

import (
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/fleettest/harness"
)

// A node without its network keeps what it captures; its lanes go to others.
func TestPartition(t *testing.T) {
	f := harness.NewFleet(t, harness.FleetOptions{})
	load := &harness.Load{Rate: 1000, Visitors: 200}
	start(t, f, load)
	away := f.Nodes[0]
	f.Network(away, func(p *harness.Proxy) { p.Partition(true) })
	passed(t, load, 6*time.Second)
	// The others' visitors are served, in all lanes.
	at := time.Now()
	passed(t, load, 2*time.Second)
	served := map[int]bool{}
	for _, d := range f.Receiver.Deliveries() {
		if d.At.After(at) && d.ID.Visitor%len(f.Nodes) != 0 {
			served[d.ID.Visitor] = true
		}
	}
	if want := load.Visitors * 6 / 10; len(served) < want {
		t.Errorf("%d visitors of the other nodes were served, want at least %d", len(served), want)
	}
	f.Network(away, func(p *harness.Proxy) { p.Partition(false) })
	passed(t, load, time.Second)
	r := f.Deliver(t, load.Stop(), deliverLimit)
	inOrder(t, r)
	repeats(t, r, load.Rate*3/8) // a second of its three lanes
}

// What a node writes is done, but it does not hear so.
func TestAnswersAreLost(t *testing.T) {
	f := harness.NewFleet(t, harness.FleetOptions{})
	load := &harness.Load{Rate: 1000, Visitors: 200}
	start(t, f, load)
	for i := range 12 {
		n := f.Nodes[i%len(f.Nodes)]
		f.Network(n, func(p *harness.Proxy) { p.HoldAnswers(true) })
		passed(t, load, time.Duration(50+50*i)*time.Millisecond)
		f.Network(n, func(p *harness.Proxy) {
			p.Reset()
			p.HoldAnswers(false)
		})
		passed(t, load, 500*time.Millisecond)
	}
	r := f.Deliver(t, load.Stop(), deliverLimit)
	inOrder(t, r)
	repeats(t, r, load.Rate/10) // no lane has another owner: what is repeated is under way at most
}

// Intilery takes events, but its answers are lost while nodes crash: the worst for
// repeats, and still no reason for loss or disorder.
func TestIntilerysAnswersAreLost(t *testing.T) {
	f := harness.NewFleet(t, harness.FleetOptions{})
	f.Receiver.Answer(func(request int) harness.Reply {
		if request%10 == 9 {
			return harness.Reply{Status: 200, Drop: true}
		}
		return harness.OK
	})
	load := &harness.Load{Rate: 500, Visitors: 100}
	start(t, f, load)
	f.Nodes[1].Kill()
	passed(t, load, 4*time.Second)
	f.Nodes[1].Start()
	passed(t, load, 2*time.Second)
	inOrder(t, f.Deliver(t, load.Stop(), deliverLimit))
}

// A slow network between nodes and brokers.
func TestSlowNetwork(t *testing.T) {
	f := harness.NewFleet(t, harness.FleetOptions{Lease: 3 * time.Second})
	for _, n := range f.Nodes {
		f.Network(n, func(p *harness.Proxy) { p.Delay(100 * time.Millisecond) })
	}
	load := &harness.Load{Rate: 1000, Visitors: 200}
	start(t, f, load)
	passed(t, load, 8*time.Second)
	r := f.Deliver(t, load.Stop(), deliverLimit)
	inOrder(t, r)
	if r.Repeats > 0 {
		t.Errorf("%d events were sent twice though nothing failed", r.Repeats)
	}
}
