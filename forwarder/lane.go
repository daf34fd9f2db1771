package forwarder

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// linger is how long an event waits for others to share its request.
const linger = 250 * time.Millisecond

// lane sends the events of some of a destination's visitors, in order, one
// batch at a time.
type lane struct {
	destination *destination
	number      int
	name        string // in the log
	window      window // of the goroutine in run
	front       frontier
}

func newLane(d *destination, n int) *lane {
	l := &lane{destination: d, number: n, name: laneName(d.name, n)}
	l.window.lane = l
	return l
}

// run sends until ctx ends. A request that is under way then may complete until
// send ends.
func (l *lane) run(ctx, send context.Context) {
	r := &reader{lane: l, window: &l.window, errors: newBackoff()}
	s := newSender(l, send)
	l.window.begin()
	defer l.front.clear()
	for {
		err := l.destination.erasures.load()
		if err == nil {
			break
		}
		if r.outlast(ctx, err) != nil {
			return
		}
	}
	for {
		batch, err := r.next(ctx)
		if err != nil {
			return
		}
		if err := s.deliver(ctx, batch); err != nil {
			return
		}
		l.destination.erasures.retire(l.destination.queue.Acked)
	}
}

// reader makes batches of what comes into a lane.
type reader struct {
	lane    *lane
	window  *window
	pick    []int
	failing bool // the last read failed
	errors  *backoff.ExponentialBackOff
}

// next returns the next batch, of at least one event: at once when it is full,
// else when the first of its events has waited for linger. It returns ctx's
// error when that ends.
func (r *reader) next(ctx context.Context) ([]Record, error) {
	d, w := r.lane.destination, r.window
	news := d.queue.Wait(r.lane.name)
	var due <-chan time.Time
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		w.sweep()
		limit := int(d.body.Load())
		c := w.choose(limit, r.pick)
		r.pick = c.pick
		if c.full {
			return w.batch(c), nil
		}
		more, err := false, error(nil)
		if c.held < maxHeldBytes {
			more, err = w.read(limit - c.size)
		}
		if err != nil {
			if err := r.outlast(ctx, err); err != nil {
				return nil, err
			}
			continue
		}
		r.recovered()
		if more {
			continue
		}
		switch {
		case len(c.pick) == 0:
			due = nil
		case due == nil:
			t := time.NewTimer(linger)
			defer t.Stop()
			due = t.C
		}
		ready, err := r.await(ctx, news, due, c.wake)
		if err != nil {
			return nil, err
		}
		if ready {
			return w.batch(c), nil
		}
	}
}

// await returns when there may be news, after wake if that is not zero, or when
// due; then ready is true.
func (r *reader) await(ctx context.Context, news <-chan struct{}, due <-chan time.Time, wake time.Duration) (ready bool, err error) {
	var woken <-chan time.Time
	if wake > 0 {
		t := time.NewTimer(wake)
		defer t.Stop()
		woken = t.C
	}
	select {
	case <-news:
	case <-woken:
	case <-due:
		return true, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
	return false, nil
}

// outlast waits before the log is read again, and tells of the trouble once.
func (r *reader) outlast(ctx context.Context, err error) error {
	if !r.failing && ctx.Err() == nil {
		r.lane.destination.log.Error("the queue cannot be read; its events are kept and reading is tried again",
			"lane", r.lane.name, "error", err)
		r.failing = true
	}
	return sleep(ctx, nextBackoff(r.errors))
}

func (r *reader) recovered() {
	if r.failing {
		r.lane.destination.log.Info("the queue can be read again", "lane", r.lane.name)
		r.failing = false
		r.errors.Reset()
	}
}
