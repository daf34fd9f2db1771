package faults

import (
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/fleettest/harness"
)

// A broker that comes back with an older copy of its directory has lost what nodes
// handed over since. They still have it, and send it again.
func TestBrokerGoesBackToAnOlderCopy(t *testing.T) {
	f := harness.NewFleet(t, harness.FleetOptions{Cluster: harness.ClusterOptions{Brokers: 1}})
	load := &harness.Load{Rate: 500, Visitors: 100}
	start(t, f, load)
	b := f.Cluster.Brokers[0]
	b.Stop()
	older := b.Copy()
	f.Cluster.Start()
	flows(t, f, 500)
	// What is lost must not have been delivered, else the test says nothing.
	f.Receiver.AnswerAll(harness.Reply{Status: 503})
	passed(t, load, 2*time.Second)
	harness.Await(t, 10*time.Second, "events are handed over", func() bool { return f.Streamed(t) > 800 })
	b.Kill()
	b.Restore(older)
	f.Cluster.Start()
	f.Receiver.Answer(nil)
	passed(t, load, time.Second)
	inOrder(t, f.Deliver(t, load.Stop(), deliverLimit))
}

// When the streams are full, events stay on the nodes.
func TestStreamsAreFull(t *testing.T) {
	f := harness.NewFleet(t, harness.FleetOptions{})
	load := &harness.Load{Rate: 2000, Visitors: 200, Bytes: 6000}
	start(t, f, load)
	f.Receiver.AnswerAll(harness.Reply{Status: 503})
	harness.Await(t, 30*time.Second, "events stay on the nodes", func() bool {
		streamed := f.Streamed(t)
		return streamed >= 0 && len(load.Committed())-len(f.Receiver.Deliveries())-streamed > 5000
	})
	// A node that crashes then has them still.
	f.Nodes[0].Kill()
	f.Nodes[0].Start()
	committed := load.Stop()
	f.Receiver.Answer(nil)
	inOrder(t, f.Deliver(t, committed, deliverLimit))
	for _, n := range f.Nodes {
		if s, err := n.Stats(soon(t)); err != nil || s.Shed+s.Lost > 0 {
			t.Errorf("%s: shed %d, lost %d, %v", n.Name, s.Shed, s.Lost, err)
		}
	}
}
