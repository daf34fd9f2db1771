package faults

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/fleettest/harness"
)

// What was refused through one node is a dead letter for all of them, whatever becomes
// of that node's disk. Another node has it sent again, once, and an erasure takes the
// letters of its visitor.
func TestDeadLettersAreTheFleets(t *testing.T) {
	const erased, kept, well = 1, 2, 3
	f := harness.NewFleet(t, harness.FleetOptions{})
	here, there := f.Nodes[0], f.Nodes[1]
	// The fleet is up, and its destination well: refusals are the events' own fault.
	fine := numbered(well, 100)
	if err := here.Capture(soon(t), fine...); err != nil {
		t.Fatal(err)
	}
	f.Deliver(t, fine, deliverLimit)
	harness.Await(t, 30*time.Second, "each node reaches the brokers", func() bool {
		return holds(t, here, nil) && holds(t, there, nil)
	})

	f.Receiver.AnswerAll(harness.Reply{Status: http.StatusBadRequest})
	refused := append(numbered(erased, 3), numbered(kept, 3)...)
	if err := here.Capture(soon(t), refused...); err != nil {
		t.Fatal(err)
	}
	harness.Await(t, 20*time.Second, "another node lists the dead letters", func() bool {
		return holds(t, there, refused)
	})
	// In order: what an owner that is killed had in its cursor only would be sent again.
	f.Nodes[2].Stop()
	f.Nodes[2].RemoveDir()

	n, err := there.Erase(soon(t), erased)
	if err != nil {
		t.Fatal("erase:", err)
	}
	if n.DeadLetters != 3 {
		t.Errorf("%d dead letters were erased, want 3", n.DeadLetters)
	}
	if !holds(t, here, numbered(kept, 3)) {
		t.Error("the dead letters that are left are not the other visitor's")
	}

	f.Receiver.Answer(nil)
	if n, err := there.Replay(soon(t)); n != 3 || err != nil {
		t.Errorf("replayed %d, %v", n, err)
	}
	r := f.Deliver(t, append(fine, numbered(kept, 3)...), deliverLimit)
	inOrder(t, r)
	repeats(t, r, 0)
	if slices.ContainsFunc(numbered(erased, 3), f.Receiver.Has) {
		t.Error("an erased event was delivered")
	}
	for _, n := range []*harness.Node{here, there} {
		if !holds(t, n, nil) {
			t.Errorf("%s still lists what was replayed", n.Name)
		}
	}
}

// holds reports whether the dead letters that a node lists are these events, in any order.
func holds(t *testing.T, n *harness.Node, ids []harness.ID) bool {
	t.Helper()
	list, err := n.DeadLetters(soon(t))
	if err != nil {
		t.Log("list:", err)
		return false
	}
	if len(list) != len(ids) {
		return false
	}
	for _, id := range ids {
		if !slices.Contains(list, id) {
			return false
		}
	}
	return true
}
