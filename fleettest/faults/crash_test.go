package faults

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/fleettest/harness"
)

// The disks stay. Visitors stay with a node, so each one's order must hold.
func TestNodesCrashAndAStreamsLeaderStops(t *testing.T) {
	f := harness.NewFleet(t, harness.FleetOptions{})
	load := &harness.Load{Rate: 2000, Visitors: 400}
	start(t, f, load)
	crashes(t, f, load, true)
	r := f.Deliver(t, load.Stop(), deliverLimit)
	inOrder(t, r)
	// A second of a node's lanes for each of six faults: the machine may be busy. What
	// it costs when it is not is measured in bench/fleet.
	repeats(t, r, 6*load.Rate*3/8)
}

// Each event of a visitor may come through another node. What a node has made durable
// and not handed over when it is killed comes late, if others served the visitor since.
func TestVisitorsHopWhileNodesCrash(t *testing.T) {
	f := harness.NewFleet(t, harness.FleetOptions{})
	load := &harness.Load{Rate: 2000, Visitors: 400, Hop: true}
	start(t, f, load)
	crashes(t, f, load, false)
	hopped(t, f.Deliver(t, load.Stop(), deliverLimit))
}

// Nodes are as far behind as the broker is from which their client has to go.
func TestVisitorsHopWhileAStreamsLeaderStops(t *testing.T) {
	f := harness.NewFleet(t, harness.FleetOptions{})
	load := &harness.Load{Rate: 2000, Visitors: 400, Hop: true}
	start(t, f, load)
	stopLeader(t, f, load)
	hopped(t, f.Deliver(t, load.Stop(), deliverLimit))
}

// hopped allows a quarter of the events to be out of their visitors' order: a node that
// has just started, or has to go to another broker, is behind by more than what is sent
// together. How many that are on a machine which is not busy is measured in bench/fleet.
func hopped(t *testing.T, r harness.Report) {
	t.Helper()
	if limit := r.Committed / 4; r.OutOfOrder > limit {
		t.Errorf("%d events came out of their visitor's order, want no more than %d", r.OutOfOrder, limit)
	}
}

// crashes kills five nodes, and stops a stream's leader if asked to.
func crashes(t *testing.T, f *harness.Fleet, load *harness.Load, leader bool) {
	t.Helper()
	for i := range 5 {
		n := f.Nodes[rand.IntN(len(f.Nodes))]
		n.Kill()
		passed(t, load, time.Duration(rand.IntN(2000))*time.Millisecond)
		n.Start()
		passed(t, load, time.Second)
		if leader && i == 2 {
			stopLeader(t, f, load)
		}
	}
}

func stopLeader(t *testing.T, f *harness.Fleet, load *harness.Load) {
	t.Helper()
	f.Cluster.Leader(harness.Stream(rand.IntN(8))).Stop()
	passed(t, load, 2*time.Second)
	f.Cluster.Start()
	passed(t, load, time.Second)
}

// All brokers lose their power at once and come back.
func TestAllBrokersAreKilled(t *testing.T) {
	f := harness.NewFleet(t, harness.FleetOptions{Cluster: harness.ClusterOptions{SyncAlways: true}})
	load := &harness.Load{Rate: 1000, Visitors: 200}
	start(t, f, load)
	for _, b := range f.Cluster.Brokers {
		b.Kill()
	}
	passed(t, load, 5*time.Second) // longer than a lease
	f.Cluster.Start()
	inOrder(t, f.Deliver(t, load.Stop(), deliverLimit))
}

// How long a lane stands still whose owner is killed.
func TestTakeoverAfterAKill(t *testing.T) {
	const lease = 5 * time.Second
	f := harness.NewFleet(t, harness.FleetOptions{Lease: lease})
	load := &harness.Load{Rate: 1000, Visitors: 200, Nodes: f.Nodes[1:]}
	start(t, f, load)
	f.Nodes[0].Kill() // it has captured nothing, and owns its share of the lanes
	at := time.Now()
	passed(t, load, lease+2*time.Second)
	committed := load.Stop()
	r := f.Deliver(t, committed, deliverLimit)
	inOrder(t, r)
	t.Log("longest gap of a visitor:", longestGap(f, at, load.Visitors))
}

// longestGap is the longest time between two deliveries of a visitor, as far as it
// reaches behind a moment. With five events a second it is a lane's gap.
func longestGap(f *harness.Fleet, from time.Time, visitors int) (longest time.Duration) {
	last := make(map[int]time.Time, visitors)
	for _, d := range f.Receiver.Deliveries() {
		if before, ok := last[d.ID.Visitor]; ok && d.At.After(from) {
			longest = max(longest, d.At.Sub(before))
		}
		last[d.ID.Visitor] = d.At
	}
	return longest
}

// A node that is stopped as it is, and goes on when its lanes have other owners.
func TestOwnerFreezesAndWakes(t *testing.T) {
	f := harness.NewFleet(t, harness.FleetOptions{})
	load := &harness.Load{Rate: 1000, Visitors: 200}
	start(t, f, load)
	for range 3 {
		f.Nodes[0].Freeze()
		passed(t, load, 5*time.Second) // more than two leases
		f.Nodes[0].Thaw()
		passed(t, load, time.Second)
	}
	r := f.Deliver(t, load.Stop(), deliverLimit)
	inOrder(t, r)
	repeats(t, r, 3*load.Rate*3/8) // a second of its three lanes each time
}

// A node that freezes while its requests are under way: their answers come when
// others have its lanes.
func TestOwnerFreezesWithSlowAnswers(t *testing.T) {
	f := harness.NewFleet(t, harness.FleetOptions{})
	f.Receiver.AnswerAll(harness.Reply{Status: 200, Delay: 300 * time.Millisecond})
	load := &harness.Load{Rate: 500, Visitors: 100}
	start(t, f, load)
	for i := range 4 {
		n := f.Nodes[i%len(f.Nodes)]
		n.Freeze()
		passed(t, load, 4*time.Second)
		n.Thaw()
	}
	inOrder(t, f.Deliver(t, load.Stop(), deliverLimit))
}
