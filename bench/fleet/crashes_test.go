//go:build linux

package fleet

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/fleettest/harness"
)

// TestCrashes counts what is lost, sent twice and out of a visitor's order at 2,000
// events a second, while nodes are killed and the leader of a stream stops.
func TestCrashes(t *testing.T) {
	for _, c := range []struct {
		name string
		hop  bool // each event of a visitor may come through another node
		stop bool // of a stream's leader
	}{
		{"visitors stay with a node", false, true},
		{"visitors hop, nodes crash", true, false},
		{"visitors hop, nodes crash and a leader stops", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			begin(t)
			f := harness.NewFleet(t, harness.FleetOptions{})
			load := &harness.Load{Rate: 2000, Visitors: 400, Hop: c.hop}
			start(t, f, load)
			healthy := load.Begun()/load.Visitors + 1 // a visitor's number of an event; before it the streams were made
			const crashes, between = 5, 9 * time.Second
			for i := range crashes {
				n := f.Nodes[rand.IntN(len(f.Nodes))]
				n.Kill()
				passed(t, load, time.Duration(rand.IntN(2000))*time.Millisecond)
				n.Start()
				passed(t, load, between)
				if c.stop && i == crashes/2 {
					f.Cluster.Leader(harness.Stream(rand.IntN(8))).Stop()
					passed(t, load, 2*time.Second)
					f.Cluster.Start()
					passed(t, load, between)
				}
			}
			for load.Begun() < 140_000 {
				passed(t, load, time.Second)
			}
			r := f.Deliver(t, load.Stop(), time.Minute)
			late := outOfOrder(f.Receiver.Deliveries(), healthy)
			t.Logf("of %d events %d were durable: lost %d, sent twice %d (%.3f %%), out of their visitor's order %d (%.4f %%), and %d while the fleet began", load.Begun(), r.Committed,
				r.Lost, r.Repeats, percent(r.Repeats, r.Delivered), late, percent(late, r.Delivered), r.OutOfOrder-late)
		})
	}
}

// outOfOrder counts the first deliveries of events, from a visitor's number on, that
// came after that of a later event of the visitor.
func outOfOrder(list []harness.Delivery, from int) (n int) {
	seen, highest := make(map[harness.ID]bool, len(list)), make(map[int]int)
	for _, d := range list {
		if seen[d.ID] || d.ID.N < from {
			continue
		}
		seen[d.ID] = true
		if d.ID.N < highest[d.ID.Visitor] {
			n++
		}
		highest[d.ID.Visitor] = max(highest[d.ID.Visitor], d.ID.N)
	}
	return n
}

func percent(n, of int) float64 { return 100 * float64(n) / float64(of) }
