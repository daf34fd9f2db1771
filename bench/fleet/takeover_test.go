//go:build linux

package fleet

import (
	"slices"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/fleettest/harness"
)

const (
	lease   = 5 * time.Second
	ends    = 21 // of nodes, by turns
	visible = 200
)

// end is the end of a node that had lanes.
type end struct {
	node  string
	at    time.Time
	lanes []int
}

// TestTakeover measures how long lanes stand still whose node is killed, or stopped.
func TestTakeover(t *testing.T) {
	for _, c := range []struct {
		name string
		stop func(n *harness.Node)
	}{
		{"killed", func(n *harness.Node) { n.Kill() }},
		{"stopped", func(n *harness.Node) { n.Stop() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			begin(t)
			f := harness.NewFleet(t, harness.FleetOptions{Lease: lease})
			load := &harness.Load{Rate: 1000, Visitors: visible}
			start(t, f, load)
			lane, held := lanesOf(t, f, visible), watchLeases(t, f.Cluster)
			var all []end
			for i := range ends {
				n := f.Nodes[i%len(f.Nodes)]
				held.balanced(t, f, load)
				e := end{n.Name, time.Now(), held.of(n.Name)}
				c.stop(n)
				harness.Await(t, 30*time.Second, "other nodes have its lanes", func() bool { return len(held.of(n.Name)) == 0 && e.taken(held) })
				passed(t, load, time.Second)
				n.Start()
				all = append(all, e)
			}
			r := f.Deliver(t, load.Stop(), time.Minute)
			if r.OutOfOrder > 0 {
				t.Errorf("%d events came out of their visitor's order", r.OutOfOrder)
			}
			tell(t, f, lane, held, all)
		})
	}
}

// taken reports whether others have the node's lanes.
func (e end) taken(held *leases) bool {
	return !slices.ContainsFunc(e.lanes, func(lane int) bool {
		_, taken := held.after(lane, e.node, e.at)
		return taken.IsZero()
	})
}

func tell(t *testing.T, f *harness.Fleet, lane []int, held *leases, all []end) {
	t.Helper()
	var delivered [lanes][]time.Time
	for _, d := range f.Receiver.Deliveries() {
		delivered[lane[d.ID.Visitor]] = append(delivered[lane[d.ID.Visitor]], d.At)
	}
	var first, each, lease, gap, free []time.Duration
	for _, e := range all {
		best := time.Hour
		for _, n := range e.lanes {
			back, taken := held.after(n, e.node, e.at)
			i, _ := slices.BinarySearchFunc(delivered[n], taken, time.Time.Compare)
			if i == len(delivered[n]) || i == 0 {
				t.Errorf("nothing of lane %d was delivered after %s had ended", n, e.node)
				continue
			}
			took := delivered[n][i].Sub(e.at)
			best = min(best, took)
			each = append(each, took.Round(time.Millisecond))
			gap = append(gap, delivered[n][i].Sub(delivered[n][i-1]).Round(time.Millisecond))
			lease = append(lease, taken.Sub(e.at).Round(time.Millisecond))
			if !back.IsZero() {
				free = append(free, taken.Sub(back).Round(100*time.Microsecond))
			}
		}
		first = append(first, best.Round(time.Millisecond))
	}
	t.Log("from the end to the first delivery of one of its lanes by another node:", summary(first))
	t.Log("the same of each of its lanes:", summary(each))
	t.Log("from the end to the lane's new lease:", summary(lease))
	t.Log("lane without an owner, from lease given back to lease taken:", summary(free))
	t.Log("longest time between two deliveries of the lane, at the takeover:", summary(gap))
}
