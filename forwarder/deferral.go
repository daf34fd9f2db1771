package forwarder

import (
	"sync"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// traitDelay is how long after an identify was acknowledged a command of the same
// user goes out. Intilery stores traits asynchronously and advises 500 ms before a
// call that reads them.
const traitDelay = 500 * time.Millisecond

// deferrals decide which events of a lane wait while others go. A command waits
// for the identifies of its user that came before it in the lane, and for those
// that were acknowledged elsewhere in the last moments; from then on its deadline
// stands, whatever follows. What the same visitor did after it waits with it.
// Most batches have no command: then no event is looked into.
type deferrals struct {
	traits    *traitTimes
	deadlines map[queue.Position]time.Time // of commands that are in flight

	// Of the batch that is being chosen.
	identifies []event.Stored  // not yet in pending
	pending    map[uint64]bool // who has an identify in flight
	waiting    map[uint64]bool // who has an event that is deferred
	due        time.Time       // when the first deferred event may go; zero when that is not known
}

// begin forgets the batch before.
func (d *deferrals) begin() {
	d.identifies, d.pending, d.waiting, d.due = d.identifies[:0], nil, nil, time.Time{}
}

// defers reports whether an event waits. Events in flight come in their order.
func (d *deferrals) defers(e *entry) bool {
	wait := false
	if command := e.event().IsCommand(); command || len(d.waiting) > 0 {
		who := e.event().Visitor()
		wait = has(d.waiting, who) || command && d.early(e.Position, who)
		if wait {
			add(&d.waiting, who)
		}
	}
	if event.OfClass(e.Class) == event.Identify {
		d.identifies = append(d.identifies, e.event())
	}
	return wait
}

// early reports whether a command waits for identifies.
func (d *deferrals) early(at queue.Position, who event.Visitor) bool {
	for _, ev := range d.identifies {
		add(&d.pending, ev.Visitor())
	}
	d.identifies = d.identifies[:0]
	if has(d.pending, who) {
		return true
	}
	deadline, known := d.deadlines[at]
	if !known {
		deadline = d.traits.stored(who)
		if d.deadlines == nil {
			d.deadlines = make(map[queue.Position]time.Time)
		}
		d.deadlines[at] = deadline
	}
	if !time.Now().Before(deadline) {
		return false
	}
	if d.due.IsZero() || deadline.Before(d.due) {
		d.due = deadline
	}
	return true
}

// ended forgets the deadlines of events that have ended.
func (d *deferrals) ended(batch []entry) {
	if len(d.deadlines) > 0 {
		for i := range batch {
			delete(d.deadlines, batch[i].Position)
		}
	}
}

func has(set map[uint64]bool, who event.Visitor) bool { return set[who[0]] || set[who[1]] }

func add(set *map[uint64]bool, who event.Visitor) {
	if *set == nil {
		*set = make(map[uint64]bool)
	}
	for _, k := range who {
		if k != 0 {
			(*set)[k] = true
		}
	}
}

// traitTimes remembers when identifies were acknowledged in the last moments,
// over all lanes of a destination: events of one user from two browsers are in
// two lanes. What happened before the process began is not known, so commands
// wait until it has run for traitDelay.
type traitTimes struct {
	began time.Time

	mu      sync.Mutex
	recent  map[uint64]time.Time
	older   map[uint64]time.Time // dropped when recent is old enough to take its place
	swapped time.Time
}

// acknowledged notes the identifies among events that were just acknowledged.
func (t *traitTimes) acknowledged(batch []entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for i := range batch {
		if event.OfClass(batch[i].Class) != event.Identify {
			continue
		}
		if t.recent == nil || now.Sub(t.swapped) > traitDelay {
			t.older, t.recent, t.swapped = t.recent, make(map[uint64]time.Time), now
		}
		for _, k := range batch[i].event().Visitor() {
			if k != 0 {
				t.recent[k] = now
			}
		}
	}
}

// stored is when the traits of a visitor are stored that were acknowledged so far.
func (t *traitTimes) stored(who event.Visitor) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := t.began
	for _, k := range who {
		for _, m := range []map[uint64]time.Time{t.recent, t.older} {
			if at := m[k]; at.After(last) {
				last = at
			}
		}
	}
	return last.Add(traitDelay)
}
