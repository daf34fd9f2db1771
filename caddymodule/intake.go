package caddymodule

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/intilery/caddy-intilery/collect"
	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/queue"
)

const (
	// commitWait is how long a sender waits for its events to become durable. SDKs
	// give up after 10 s or more.
	commitWait = 5 * time.Second

	// bodyMemory bounds the memory of all bodies that are being read, in bytes.
	bodyMemory = 32 << 20

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
	bodies *semaphore.Weighted
	wait   time.Duration // of a sender
	seed   maphash.Seed
	timers sync.Pool // of senders who wait

	mu             sync.Mutex
	open           map[uint64]*queue.Receipt // captured, without an outcome
	late           []claims                  // of senders who do not wait any more
	recent, before map[uint64]struct{}       // durable
}

// capturer is what is needed of the queue: a *forwarder.Forwarder.
type capturer interface {
	CaptureWith(r *queue.Receipt, destination string, e *event.Event) error
}

// claims are events of one receipt.
type claims struct {
	receipt *queue.Receipt
	keys    []uint64
}

func newIntake() *intake {
	return &intake{
		bodies: semaphore.NewWeighted(bodyMemory), wait: commitWait, seed: maphash.MakeSeed(),
		open: make(map[uint64]*queue.Receipt), recent: make(map[uint64]struct{}),
	}
}

// delivery is what one request brings.
type delivery struct {
	destination, sender string // sender: whoever makes the messageIds
	events              []*event.Event

	repeats int
	refused []refusedEvent
}

// refusedEvent is one of a delivery that the queue can never take, and why.
type refusedEvent struct {
	i   int // in events
	err error
}

// rejectionOf names an event that the queue refuses.
func rejectionOf(index int, err error) collect.Rejection {
	code := "invalid"
	if errors.Is(err, event.ErrTooLarge) {
		code = "too_large"
	}
	return collect.Rejection{Index: index, Code: code, Message: err.Error()}
}

// take captures what is not there yet and returns nil when all of it is durable,
// or errNotDurable.
func (in *intake) take(f capturer, d *delivery) error {
	mine := claims{receipt: queue.NewReceipt()}
	var others []*queue.Receipt
	var failed error
	for i, e := range d.events {
		key, named := in.key(d, e), e.MessageID != ""
		if named {
			first, other := in.claim(key, mine.receipt)
			if !first {
				d.repeats++
				if other != nil && other != mine.receipt {
					others = append(others, other)
				}
				continue
			}
		}
		err := f.CaptureWith(mine.receipt, d.destination, e)
		switch {
		case err == nil && named:
			mine.keys = append(mine.keys, key)
		case named:
			in.unclaim(key)
		}
		switch {
		case errors.Is(err, event.ErrTooLarge), errors.Is(err, event.ErrInvalid):
			d.refused = append(d.refused, refusedEvent{i, err})
		case err != nil:
			failed = errNotDurable
		}
	}
	mine.receipt.Seal()
	deadline := time.Now().Add(in.wait)
	if !in.await(mine.receipt, in.wait) {
		failed = errNotDurable
	}
	in.settle(mine)
	for _, other := range others {
		if !in.await(other, time.Until(deadline)) {
			failed = errNotDurable
		}
	}
	return failed
}

// await waits until the events of a receipt have an outcome, at most for a time, and
// reports whether they are durable.
func (in *intake) await(r *queue.Receipt, d time.Duration) bool {
	if !r.Ended() && d > 0 {
		t, _ := in.timers.Get().(*time.Timer)
		if t == nil {
			t = time.NewTimer(d)
		} else {
			t.Reset(d)
		}
		select {
		case <-r.Done():
		case <-t.C:
		}
		t.Stop() // and its channel is empty
		in.timers.Put(t)
	}
	return r.Ended() && r.Wait(context.Background()) == nil
}

func (in *intake) key(d *delivery, e *event.Event) uint64 {
	var h maphash.Hash
	h.SetSeed(in.seed)
	for _, part := range [...]string{d.destination, d.sender, e.MessageID} {
		_, _ = h.WriteString(part) // never fails
		_ = h.WriteByte(0)
	}
	return h.Sum64()
}

// knows reports whether an event is a repeat of one that is in the queue or on its
// way there.
func (in *intake) knows(d *delivery, e *event.Event) bool {
	if e.MessageID == "" {
		return false
	}
	key := in.key(d, e)
	in.mu.Lock()
	defer in.mu.Unlock()
	_, recent := in.recent[key]
	_, before := in.before[key]
	return recent || before || in.open[key] != nil
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

func (in *intake) unclaim(key uint64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.open, key)
}

// settle takes over what has an outcome by now, be it of this sender or of one who
// does not wait any more.
func (in *intake) settle(c claims) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.late = append(in.late, c)
	waiting := in.late[:0]
	for _, c := range in.late {
		if !c.receipt.Ended() {
			waiting = append(waiting, c)
			continue
		}
		durable := c.receipt.Wait(context.Background()) == nil
		for _, key := range c.keys {
			delete(in.open, key)
			if durable {
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
