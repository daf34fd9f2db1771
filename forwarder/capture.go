package forwarder

import (
	"errors"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/intilery/caddy-intilery/forwarder/wal"
)

// lanesPerDestination is how many batches can be under way to one destination.
// The lane of a visitor's backlog follows from it: do not change it lightly.
const lanesPerDestination = 8

// heldBytes bounds the events that wait for their destination to be configured.
const heldBytes = 1 << 20

// held is an event whose destination is not known yet: in a reload, new
// handlers may serve a moment before Start is called with their settings.
type held struct {
	destination string
	key         uint32
	class       uint8
	record      []byte
}

// Capture takes an event for a destination. It works in memory only and never
// waits. It does not change or keep e. An event is counted whether it is taken
// or not. Errors: ErrInvalid, ErrTooLarge, ErrShed, ErrClosed,
// ErrUnknownDestination.
func (f *Forwarder) Capture(name string, e *Event) error {
	d := (*f.destinations.Load())[name]
	if d == nil {
		return f.hold(name, e)
	}
	rec, err := f.encode(e)
	if err != nil {
		return d.refuse(e.Type, err)
	}
	return d.append(laneOf(e), e.Type.class(), rec)
}

// encode makes the stored form of an event.
func (f *Forwarder) encode(e *Event) ([]byte, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	ev := *e
	if ev.MessageID == "" {
		id, err := uuid.NewRandom()
		if err != nil {
			return nil, err
		}
		ev.MessageID = id.String()
	}
	if ev.Timestamp.IsZero() {
		ev.Timestamp = time.Now()
	}
	rec := ev.AppendJSON(make([]byte, 0, ev.sizeHint()), *f.version.Load())
	if len(rec)+sentAtBytes > MaxEventBytes {
		return nil, ErrTooLarge
	}
	return rec, nil
}

// laneOf hashes (FNV-1a) the visitor. The anonymousId comes first: a browser's
// events carry it whether its user is known or not, so that what a visitor does
// before, during and after a login stays in one lane.
func laneOf(e *Event) uint32 {
	id := e.AnonymousID
	if id == "" {
		id = e.UserID
	}
	h := uint32(2166136261)
	for i := range len(id) {
		h = (h ^ uint32(id[i])) * 16777619
	}
	return h % lanesPerDestination
}

func laneName(destination string, n int) string { return destination + "/" + strconv.Itoa(n) }

// append hands a record to the log.
func (d *destination) append(lane uint32, class uint8, rec []byte) error {
	d.counts.captured[class].Add(1)
	switch err := d.queue.Append(d.lanes[lane].name, class, rec); {
	case err == nil:
		return nil
	case errors.Is(err, wal.ErrFull):
		d.counts.shed[class].Add(1)
		return ErrShed
	case errors.Is(err, wal.ErrClosed):
		d.counts.lose(LostClosed)
		return ErrClosed
	default:
		d.counts.lose(LostInvalid)
		return err
	}
}

// refuse counts an event that did not come as far as the log.
func (d *destination) refuse(t Type, err error) error {
	if c := t.class(); c < types {
		d.counts.captured[c].Add(1)
	} else {
		d.counts.captured[0].Add(1)
	}
	if errors.Is(err, ErrTooLarge) {
		d.counts.lose(LostTooLarge)
	} else {
		d.counts.lose(LostInvalid)
	}
	return err
}

// hold keeps an event for a destination that Start may yet name.
func (f *Forwarder) hold(name string, e *Event) error {
	rec, err := f.encode(e)
	if err != nil {
		f.unknown.Add(1)
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	lane := laneOf(e)
	if d := (*f.destinations.Load())[name]; d != nil {
		return d.append(lane, e.Type.class(), rec)
	}
	if f.closed {
		f.unknown.Add(1)
		return ErrClosed
	}
	if f.held+len(rec) > heldBytes {
		f.unknown.Add(1)
		return ErrUnknownDestination
	}
	f.waiting = append(f.waiting, held{name, lane, e.Type.class(), rec})
	f.held += len(rec)
	return nil
}

// admit appends the events that waited for destinations which are known now.
// Those of other destinations have had their chance.
func (f *Forwarder) admit(known map[string]*destination) {
	for _, h := range f.waiting {
		if d := known[h.destination]; d != nil {
			_ = d.append(h.key, h.class, h.record) // counted there
		} else {
			f.unknown.Add(1)
		}
	}
	f.waiting, f.held = nil, 0
}

// dropHeld gives up the events that still wait for a destination.
func (f *Forwarder) dropHeld() {
	f.unknown.Add(uint64(len(f.waiting)))
	f.waiting, f.held = nil, 0
}
