package caddymodule

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/intilery/caddy-intilery/forwarder"
	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// slowQueue captures events and makes them durable when it is told to.
type slowQueue struct {
	mu       sync.Mutex
	captured []string
	open     []*queue.Receipt
	err      error // of capturing
}

func (q *slowQueue) CaptureWith(r *queue.Receipt, _ string, e *event.Event) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return q.err
	}
	q.captured = append(q.captured, e.MessageID)
	r.Begin()
	q.open = append(q.open, r)
	return nil
}

func (q *slowQueue) end(err error) {
	q.mu.Lock()
	open := q.open
	q.open = nil
	q.mu.Unlock()
	for _, r := range open {
		r.End(err)
	}
}

func deliveryOf(sender string, ids ...string) *delivery {
	d := &delivery{destination: "main", sender: sender}
	for _, id := range ids {
		d.events = append(d.events, &event.Event{MessageID: id})
	}
	return d
}

// A repeat is dropped once the first is durable, and not before; it is known by its
// sender, and within one body too.
func TestIntakeDropsRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, q := newIntake(), &slowQueue{}
		take := func(d *delivery) <-chan error {
			done := make(chan error, 1)
			go func() { done <- in.take(q, d) }()
			synctest.Wait()
			return done
		}
		first := take(deliveryOf("a", "m1", "m2", "m1"))
		second := deliveryOf("a", "m1")
		waiting := take(second)
		select {
		case err := <-waiting:
			t.Fatalf("a repeat was answered before the first was durable: %v", err)
		default:
		}
		q.end(nil)
		if err := errors.Join(<-first, <-waiting); err != nil || second.count(eventRepeat) != 1 {
			t.Errorf("%v, fates %v", err, second.fates)
		}
		other := take(deliveryOf("b", "m1"))
		unnamed := take(deliveryOf("a", "", ""))
		q.end(nil)
		if err := errors.Join(<-other, <-unnamed); err != nil {
			t.Error(err)
		}
		again := deliveryOf("a", "m2", "m1")
		if err := <-take(again); err != nil || again.count(eventRepeat) != 2 {
			t.Errorf("%v, fates %v", err, again.fates)
		}
		if got := fmt.Sprint(q.captured); got != "[m1 m2 m1  ]" {
			t.Errorf("captured %v", got)
		}
	})
}

// Events that are not durable in time are not acknowledged; the same events, sent
// again, are not captured twice when they become durable after all, and captured
// anew when they were given up.
func TestIntakeNeverAcknowledgesFalsely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, q := newIntake(), &slowQueue{}
		if err := in.take(q, deliveryOf("a", "m1")); !errors.Is(err, errNotDurable) {
			t.Errorf("in time: %v", err)
		}
		if err := in.take(q, deliveryOf("a", "m1")); !errors.Is(err, errNotDurable) || len(q.captured) != 1 {
			t.Errorf("again, not durable yet: %v, captured %v", err, q.captured)
		}
		time.AfterFunc(time.Second, func() { q.end(nil) })
		if err := in.take(q, deliveryOf("a", "m1")); err != nil || len(q.captured) != 1 {
			t.Errorf("again, durable meanwhile: %v, captured %v", err, q.captured)
		}

		if err := in.take(q, deliveryOf("a", "m2")); !errors.Is(err, errNotDurable) {
			t.Errorf("in time: %v", err)
		}
		q.end(forwarder.ErrFull)
		time.AfterFunc(time.Second, func() { q.end(nil) })
		if err := in.take(q, deliveryOf("a", "m3")); err != nil {
			t.Error(err)
		}
		time.AfterFunc(time.Second, func() { q.end(nil) })
		if err := in.take(q, deliveryOf("a", "m2")); err != nil {
			t.Error(err)
		}
		if got := fmt.Sprint(q.captured); got != "[m1 m2 m3 m2]" {
			t.Errorf("captured %v", got)
		}
		if len(in.open) != 0 || len(in.late) != 0 {
			t.Errorf("left: %v %v", in.open, in.late)
		}
	})
}

// What the queue refuses at once leaves no claim behind.
func TestIntakeRefused(t *testing.T) {
	in, q := newIntake(), &slowQueue{err: fmt.Errorf("wrapped: %w", event.ErrTooLarge)}
	d := deliveryOf("a", "m1")
	if err := in.take(q, d); err != nil || d.count(eventRefused) != 1 || !errors.Is(d.errs[0], event.ErrTooLarge) {
		t.Errorf("%v, %v", err, d.errs)
	}
	q.err = forwarder.ErrFull
	if err := in.take(q, deliveryOf("a", "m1")); !errors.Is(err, errNotDurable) || len(in.open) != 0 {
		t.Errorf("%v, open %v", err, in.open)
	}
}

// Each event has its own outcome: what is durable of a batch is not taken again with
// the rest, and a repeat of what was refused is not acknowledged.
func TestIntakeOutcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, q := newIntake(), &slowQueue{}
		d := deliveryOf("a", "m1", "m2", "m3")
		done := make(chan error)
		go func() { done <- in.take(q, d) }()
		synctest.Wait()
		repeated := deliveryOf("a", "m2", "m1")
		waiting := make(chan error)
		go func() { waiting <- in.take(q, repeated) }()
		synctest.Wait()
		for i, r := range q.open {
			r.End(map[int]error{1: forwarder.ErrFull}[i])
		}
		q.open = nil
		if err := <-done; !errors.Is(err, errNotDurable) || fmt.Sprint(d.fates) != fmt.Sprint([]fate{eventTaken, eventFailed, eventTaken}) {
			t.Errorf("%v, %v", err, d.fates)
		}
		if err := <-waiting; !errors.Is(err, errNotDurable) || fmt.Sprint(repeated.fates) != fmt.Sprint([]fate{eventFailed, eventRepeat}) {
			t.Errorf("repeats: %v, %v", err, repeated.fates)
		}
		again := deliveryOf("a", "m1", "m2", "m3")
		time.AfterFunc(time.Second, func() { q.end(nil) })
		if err := in.take(q, again); err != nil || fmt.Sprint(again.fates) != fmt.Sprint([]fate{eventRepeat, eventTaken, eventRepeat}) {
			t.Errorf("again: %v, %v", err, again.fates)
		}
		if got := fmt.Sprint(q.captured); got != "[m1 m2 m3 m2]" {
			t.Errorf("captured %s", got)
		}
	})
}

// A repeat that comes while the first is being refused is not acknowledged.
func TestIntakeRepeatOfRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newIntake()
		var second error
		done := make(chan struct{})
		f := capturing(func() error {
			go func() {
				second = in.take(&slowQueue{}, deliveryOf("a", "m1"))
				close(done)
			}()
			synctest.Wait()
			return forwarder.ErrFull
		})
		if err := in.take(f, deliveryOf("a", "m1")); !errors.Is(err, errNotDurable) {
			t.Error(err)
		}
		if <-done; !errors.Is(second, errNotDurable) {
			t.Errorf("the repeat: %v", second)
		}
	})
}

type capturing func() error

func (f capturing) CaptureWith(*queue.Receipt, string, *event.Event) error { return f() }

// The window is bounded, and holds at least as many events as it says.
func TestIntakeWindow(t *testing.T) {
	in := newIntake()
	for i := range uint64(3 * repeatWindow) {
		in.remember(i)
	}
	if n := len(in.recent) + len(in.before); n < repeatWindow || n > 2*repeatWindow {
		t.Errorf("%d events are known", n)
	}
	if first, _ := in.claim(2*repeatWindow, nil); first {
		t.Error("one of the latest is not known")
	}
}
