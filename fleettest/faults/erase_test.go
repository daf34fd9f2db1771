package faults

import (
	"slices"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/fleettest/harness"
)

// An erasure reaches the streams, and the log of a node that was away.
func TestEraseWhileANodeIsAway(t *testing.T) {
	const erased, kept = 1, 2
	f := harness.NewFleet(t, harness.FleetOptions{})
	f.Receiver.AnswerAll(harness.Reply{Status: 503})
	here, away := f.Nodes[0], f.Nodes[2]

	// Some of the visitor's events are in the streams, others on a node that is cut off.
	if err := here.Capture(soon(t), append(numbered(erased, 50), numbered(kept, 50)...)...); err != nil {
		t.Fatal(err)
	}
	harness.Await(t, 10*time.Second, "the events are handed over", func() bool { return f.Streamed(t) == 100 })
	f.Network(away, func(p *harness.Proxy) {
		p.Refuse(true)
		p.Reset()
	})
	late := append(numbered(erased, 100)[50:], numbered(kept, 100)[50:]...)
	if err := away.Capture(soon(t), late...); err != nil {
		t.Fatal(err)
	}
	away.Kill()

	if _, err := here.Erase(soon(t), erased); err != nil {
		t.Fatal("erase:", err)
	}
	f.Network(away, func(p *harness.Proxy) { p.Refuse(false) })
	away.Start()
	f.Receiver.Answer(nil)

	inOrder(t, f.Deliver(t, numbered(kept, 100), deliverLimit))
	// What a visitor does after an erasure is new, and comes behind what was before it.
	after := []harness.ID{{Visitor: erased, N: 101}}
	if err := away.Capture(soon(t), after...); err != nil {
		t.Fatal(err)
	}
	harness.Await(t, deliverLimit, "an event of after the erasure is delivered", func() bool { return f.Receiver.Missing(after) == 0 })
	if slices.ContainsFunc(numbered(erased, 100), f.Receiver.Has) {
		t.Error("an erased event was delivered")
	}
}

// An erasure that the asked node cannot bring to the brokers is not said to be done,
// or is done when they are back.
func TestEraseWithoutBrokers(t *testing.T) {
	const erased, kept = 1, 2
	f := harness.NewFleet(t, harness.FleetOptions{})
	f.Receiver.AnswerAll(harness.Reply{Status: 503})
	if err := f.Nodes[0].Capture(soon(t), append(numbered(erased, 50), numbered(kept, 50)...)...); err != nil {
		t.Fatal(err)
	}
	harness.Await(t, 10*time.Second, "the events are handed over", func() bool { return f.Streamed(t) == 100 })
	for _, n := range f.Nodes {
		f.Network(n, func(p *harness.Proxy) {
			p.Refuse(true)
			p.Reset()
		})
	}
	_, said := f.Nodes[1].Erase(soon(t), erased)
	for _, n := range f.Nodes {
		f.Network(n, func(p *harness.Proxy) { p.Refuse(false) })
	}
	if said != nil {
		t.Log("refused, as it may be:", said)
		harness.Await(t, 20*time.Second, "the erasure is done when it is asked for again", func() bool {
			_, err := f.Nodes[1].Erase(soon(t), erased)
			return err == nil
		})
	}
	f.Receiver.Answer(nil)
	inOrder(t, f.Deliver(t, numbered(kept, 50), deliverLimit))
	after := []harness.ID{{Visitor: erased, N: 51}} // it comes behind what was before the erasure
	if err := f.Nodes[0].Capture(soon(t), after...); err != nil {
		t.Fatal(err)
	}
	harness.Await(t, deliverLimit, "an event of after the erasure is delivered", func() bool { return f.Receiver.Missing(after) == 0 })
	if slices.ContainsFunc(numbered(erased, 50), f.Receiver.Has) {
		t.Error("an erased event was delivered")
	}
}
