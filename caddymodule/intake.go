package caddymodule

import (
	"errors"
	"hash/maphash"
	"sync"
	"time"

	"github.com/intilery/caddy-intilery/collect"
	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/queue"
)

const (
	// commitWait is how long a sender waits for its events to become durable. SDKs
	// give up after 10 s or more.
	commitWait = 5 * time.Second

	// repeatWindow is how many of the latest events are known by their messageId,
	// at least: about 5 MB of memory.
	repeatWindow = 128 << 10
)

// errNotDurable says that events could not be made durable, or not in time: their
// sender is to send them again.
var errNotDurable = errors.New("not durable")

// intake takes events whose senders wait until they are durable, and who send them
// again when they do not hear of it. Each is captured once: a repeat is known by
// its sender and its messageId from the commit of the first on, among the last
// events of this process; and while the first has no outcome, a repeat waits for
// that. An event that could not be made durable leaves nothing behind.
type intake struct {
	wait   time.Duration // of a sender
	seed   maphash.Seed
	timers sync.Pool // of senders who wait

	mu             sync.Mutex
	open           map[uint64]*queue.Receipt // claimed, without an outcome
	late           []claims                  // of senders who do not wait any more
	recent, before map[uint64]struct{}       // durable
}

// capturer is what is needed of the queue: a *forwarder.Forwarder.
type capturer interface {
	CaptureWith(r *queue.Receipt, destination string, e *event.Event) error
}

// claims are the keys of the events that have receipts, 0 for one that has none.
type claims struct {
	receipts *queue.Receipts
	keys     []uint64
}

func newIntake() *intake {
	return &intake{
		wait: commitWait, seed: maphash.MakeSeed(),
		open: make(map[uint64]*queue.Receipt), recent: make(map[uint64]struct{}),
	}
}

// delivery is what one request brings, and what becomes of it.
type delivery struct {
	destination, sender string // sender: whoever makes the messageIds
	events              []*event.Event
	// page, if not nil, claims the view of a page event. It is asked once for each
	// event that is not a repeat.
	page func(i int) (v *view, sent bool)

	fates []fate
	errs  map[int]error // of the refused
}

// fate is what has become of an event.
type fate uint8

const (
	eventTaken    fate = iota // durable
	eventRepeat               // of one that is durable
	eventPageSent             // dropped: the server has sent the page event of this view
	eventRefused              // the queue can never take it
	eventFailed               // not durable in time, or given up: to be sent again
)

// count is how many events have a fate.
func (d *delivery) count(f fate) (n int) {
	for _, other := range d.fates {
		if other == f {
			n++
		}
	}
	return n
}

func (d *delivery) refuse(i int, err error) {
	if d.errs == nil {
		d.errs = make(map[int]error)
	}
	d.fates[i], d.errs[i] = eventRefused, err
}

// final reports an error with which the queue refuses an event for good.
func final(err error) bool {
	return errors.Is(err, event.ErrTooLarge) || errors.Is(err, event.ErrInvalid)
}

// rejectionOf names an event that the queue refuses.
func rejectionOf(index int, err error) collect.Rejection {
	code := "invalid"
	if errors.Is(err, event.ErrTooLarge) {
		code = "too_large"
	}
	return collect.Rejection{Index: index, Code: code, Message: err.Error()}
}

// take captures what is not there yet and gives each event its fate. It returns
// errNotDurable when one has failed, so that its sender sends all of it again.
func (in *intake) take(f capturer, d *delivery) error {
	mine := claims{queue.NewReceipts(len(d.events)), make([]uint64, len(d.events))}
	d.fates = make([]fate, len(d.events))
	var firsts map[int]*queue.Receipt // of repeats
	var views map[int]*view
	for i, e := range d.events {
		r := mine.receipts.At(i)
		if e.MessageID != "" {
			key := in.key(d, e)
			first, other := in.claim(key, r)
			if !first {
				d.fates[i] = eventRepeat
				if other != nil {
					if firsts == nil {
						firsts = make(map[int]*queue.Receipt)
					}
					firsts[i] = other
				}
				continue
			}
			mine.keys[i] = key
		}
		if d.page != nil {
			v, sent := d.page(i)
			if sent {
				d.fates[i] = eventPageSent
				continue
			}
			if v != nil {
				if views == nil {
					views = make(map[int]*view)
				}
				views[i] = v
			}
		}
		if err := f.CaptureWith(r, d.destination, e); err != nil {
			r.Refuse(err)
		}
	}
	mine.receipts.Seal()
	deadline := time.Now().Add(in.wait)
	in.await(mine.receipts, in.wait)
	for i := range d.events {
		if d.fates[i] == eventTaken {
			in.outcome(d, i, mine.receipts.At(i))
		}
	}
	for i, v := range views {
		v.settle(d.fates[i] == eventTaken)
	}
	in.settle(mine)
	for i, first := range firsts {
		in.await(first.Receipts(), time.Until(deadline))
		in.outcome(d, i, first)
	}
	if d.count(eventFailed) > 0 {
		return errNotDurable
	}
	return nil
}

// outcome gives an event a fate by its receipt, or by that of its first, if the
// event is not durable.
func (in *intake) outcome(d *delivery, i int, r *queue.Receipt) {
	if !r.Receipts().Ended() { // asked first: only then is the error the last word
		d.fates[i] = eventFailed
		return
	}
	switch err := r.Err(); {
	case final(err):
		d.refuse(i, err)
	case err != nil:
		d.fates[i] = eventFailed
	}
}

// await waits until the events of receipts have an outcome, at most for a time.
func (in *intake) await(rs *queue.Receipts, d time.Duration) {
	if rs.Ended() || d <= 0 {
		return
	}
	t, _ := in.timers.Get().(*time.Timer)
	if t == nil {
		t = time.NewTimer(d)
	} else {
		t.Reset(d)
	}
	select {
	case <-rs.Done():
	case <-t.C:
	}
	t.Stop() // and its channel is empty
	in.timers.Put(t)
}

func (in *intake) key(d *delivery, e *event.Event) uint64 {
	var h maphash.Hash
	h.SetSeed(in.seed)
	for _, part := range [...]string{d.destination, d.sender, e.MessageID} {
		_, _ = h.WriteString(part) // never fails
		_ = h.WriteByte(0)
	}
	return max(h.Sum64(), 1)
}

// claim reports whether an event is the first of its key, and otherwise the receipt
// of the first, nil when that is durable.
func (in *intake) claim(key uint64, r *queue.Receipt) (first bool, other *queue.Receipt) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if other := in.open[key]; other != nil {
		return false, other
	}
	if _, known := in.recent[key]; known {
		return false, nil
	}
	if _, known := in.before[key]; known {
		return false, nil
	}
	in.open[key] = r
	return true, nil
}

// settle takes over what has an outcome by now, be it of this sender or of one who
// does not wait any more.
func (in *intake) settle(c claims) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.late = append(in.late, c)
	waiting := in.late[:0]
	for _, c := range in.late {
		if !c.receipts.Ended() {
			waiting = append(waiting, c)
			continue
		}
		for i, key := range c.keys {
			if key == 0 {
				continue
			}
			delete(in.open, key)
			if c.receipts.At(i).Err() == nil {
				in.remember(key)
			}
		}
	}
	clear(in.late[len(waiting):])
	in.late = waiting
}

func (in *intake) remember(key uint64) {
	if len(in.recent) == repeatWindow {
		in.before, in.recent = in.recent, make(map[uint64]struct{})
	}
	in.recent[key] = struct{}{}
}
