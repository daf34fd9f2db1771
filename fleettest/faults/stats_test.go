package faults

import (
	"fmt"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/fleettest/harness"
)

// What waits in the streams, and what was handed over, is what nodes say of them.
func TestNodesKnowTheFleet(t *testing.T) {
	f := harness.NewFleet(t, harness.FleetOptions{})
	f.Receiver.AnswerAll(harness.Reply{Status: 503})
	ids := numbered(7, 500)
	if err := f.Nodes[0].Capture(soon(t), ids...); err != nil {
		t.Fatal(err)
	}
	waiting := func(want uint64) func() bool {
		return func() bool {
			for _, n := range f.Nodes {
				s, err := n.Stats(soon(t))
				if err != nil || s.Fleet == nil || !s.Fleet.Session || s.Pending != 0 || len(s.Fleet.Nodes) != len(f.Nodes) || len(s.Fleet.Streams) != 8 {
					return false
				}
				var sum uint64
				for _, events := range s.Fleet.Streams {
					sum += events
				}
				if sum != want {
					return false
				}
			}
			return true
		}
	}
	harness.Await(t, time.Minute, "all nodes know what waits", waiting(500))
	f.Receiver.Answer(nil)
	f.Deliver(t, ids, deliverLimit)
	harness.Await(t, time.Minute, "all nodes know that nothing waits", waiting(0))
	s, err := f.Nodes[0].Stats(soon(t))
	if err != nil || s.Fleet.HandedOver != 500 || s.Captured+s.Fleet.TakenBack != s.Fleet.HandedOver+s.Shed+s.Lost+s.Erased+s.Pending {
		t.Error(fmt.Sprintf("%+v, %+v", s, s.Fleet), err)
	}
}
