package forwarder

import (
	"errors"

	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// Errors of Capture and of what works on the queue, to be tested with errors.Is.
var (
	// ErrClosed: Close was called.
	ErrClosed = queue.ErrClosed
	// ErrFull: there was no room, and the event was shed.
	ErrFull = queue.ErrFull
	// ErrUnknownDestination: no configuration has the destination.
	ErrUnknownDestination = errors.New("unknown destination")
)

// unroutedBytes bounds the events that wait for their destination to be configured.
const unroutedBytes = 1 << 20

// unrouted is an event whose destination is not known yet: in a reload, new
// handlers may serve a moment before Start is called with their settings.
type unrouted struct {
	destination string
	lane        int
	class       queue.Class
	record      event.Stored
	receipt     *queue.Receipt // nil when nobody waits
}

// Capture takes an event for a destination. It works in memory only and never
// waits. It does not change or keep e. An event is counted whether it is taken
// or not. Errors: event.ErrInvalid, event.ErrTooLarge, ErrFull, ErrClosed,
// ErrUnknownDestination.
func (f *Forwarder) Capture(name string, e *event.Event) error { return f.CaptureWith(nil, name, e) }

// CaptureWith is Capture with a receipt, whose Wait tells when the event is durable.
// An event that is refused at once is not part of it.
func (f *Forwarder) CaptureWith(r *queue.Receipt, name string, e *event.Event) error {
	d := (*f.destinations.Load())[name]
	rec, err := e.Store(*f.version.Load())
	switch {
	case err != nil && d == nil:
		f.unknown.Add(1)
		return err
	case err != nil:
		return d.counts.refuse(e.Class(), err)
	}
	f.shared.observe(name, e, rec)
	defer f.withdrawn.capture(e.AnonymousID) // once it is in the queue: see withdrawn
	u := unrouted{name, event.Lane(e.AnonymousID, e.UserID, lanes), e.Class(), rec, r}
	if d != nil && f.ending.Load() {
		d.counts.captured[u.class].Add(1)
		d.counts.closed.Add(1)
		return ErrClosed
	}
	if d != nil {
		if ok, err := d.capture(u); ok {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if d := (*f.destinations.Load())[name]; d != nil {
		if ok, err := d.capture(u); ok {
			return err
		}
	}
	switch {
	case f.closed:
		f.unknown.Add(1)
		return ErrClosed
	case f.unroutedN+len(rec) > unroutedBytes:
		f.unknown.Add(1)
		return ErrUnknownDestination
	}
	r.Begin()
	f.unrouted = append(f.unrouted, u)
	f.unroutedN += len(rec)
	return nil
}

// capture hands an event to its lane and counts it. It returns false when the
// destination is retired.
func (d *destination) capture(u unrouted) (ok bool, err error) {
	d.mu.RLock()
	lane := d.lanes[u.lane]
	if lane == nil {
		d.mu.RUnlock()
		d.open(u.lane)
		d.mu.RLock()
		lane = d.lanes[u.lane]
	}
	defer d.mu.RUnlock() // until it is in the lane, which is not given back before
	if lane == nil {
		return false, nil
	}
	d.counts.captured[u.class].Add(1)
	switch err := lane.AppendWith(u.receipt, u.class, u.record); {
	case err == nil:
		return true, nil
	case errors.Is(err, ErrFull):
		d.counts.shed[u.class].Add(1)
		return true, err
	case errors.Is(err, ErrClosed):
		d.counts.closed.Add(1)
		return true, err
	default:
		d.counts.invalid.Add(1)
		return true, err
	}
}

// routeLocked captures the events that waited for destinations which are known
// now. Those of other destinations have had their chance.
func (f *Forwarder) routeLocked() {
	for _, u := range f.unrouted {
		ok, err := false, error(nil)
		if d := (*f.destinations.Load())[u.destination]; d != nil {
			ok, err = d.capture(u) // counted there
		}
		if !ok {
			f.unknown.Add(1)
			err = ErrUnknownDestination
		}
		u.receipt.End(err)
	}
	f.unrouted, f.unroutedN = nil, 0
}

// dropUnrouted removes matching events that wait for their destination.
func (f *Forwarder) dropUnrouted(match func([]byte) bool) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var kept []unrouted
	for _, u := range f.unrouted {
		if match(u.record) {
			n++
			f.unroutedN -= len(u.record)
			u.receipt.End(nil)
		} else {
			kept = append(kept, u)
		}
	}
	f.unrouted = kept
	return n
}
