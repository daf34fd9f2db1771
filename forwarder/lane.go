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
	front       frontier
}

// reader is what a lane has read ahead from the log.
type reader struct {
	lane    *lane
	buf     []Record
	last    uint64 // the sequence number read last
	failing bool   // the last read failed
	errors  *backoff.ExponentialBackOff
}

// run sends until ctx ends. A request that is under way then may complete until
// send ends.
func (l *lane) run(ctx, send context.Context) {
	r := &reader{lane: l, errors: newBackoff()}
	s := newSender(l, send)
	defer l.front.clear()
	for {
		batch, err := r.next(ctx)
		if err != nil {
			return
		}
		if err := s.deliver(ctx, batch); err != nil {
			return
		}
	}
}

// next returns the next batch, of at least one event: at once when it is full,
// else when the first of its events has waited for linger. It returns ctx's
// error when that ends.
func (r *reader) next(ctx context.Context) ([]Record, error) {
	d := r.lane.destination
	news := d.queue.Wait(r.lane.name)
	var due <-chan time.Time
	if len(r.buf) > 0 {
		r.lane.front.set(r.buf[0].Data)
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, full := r.fit(int(d.body.Load()))
		if full {
			return r.take(n), nil
		}
		more, err := r.read(int(d.body.Load()))
		if err != nil {
			if !r.failing && ctx.Err() == nil {
				d.log.Error("the queue cannot be read; its events are kept and reading is tried again", "lane", r.lane.name, "error", err)
				r.failing = true
			}
			if err := sleep(ctx, nextBackoff(r.errors)); err != nil {
				return nil, err
			}
			continue
		}
		if r.failing {
			d.log.Info("the queue can be read again", "lane", r.lane.name)
			r.failing = false
			r.errors.Reset()
		}
		if more {
			continue
		}
		if len(r.buf) > 0 && due == nil {
			t := time.NewTimer(linger)
			defer t.Stop()
			due = t.C
		}
		select {
		case <-news:
		case <-due:
			return r.take(n), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// fit returns how many of the events read ahead fit into a body of limit bytes,
// and whether that leaves one over.
func (r *reader) fit(limit int) (n int, full bool) {
	size := len(batchPrefix) + len(batchSuffix)
	for i := range r.buf {
		size += sentBytes(r.buf[i].Data)
		if size > limit && i > 0 {
			return i, true
		}
	}
	return len(r.buf), false
}

// read reads ahead what a body of limit bytes still has room for, or one event
// more, and reports whether there was anything.
func (r *reader) read(limit int) (bool, error) {
	l := r.lane
	room := limit
	for i := range r.buf {
		room -= sentBytes(r.buf[i].Data)
	}
	// Before the log is open its cursor is not known, so ask each time.
	r.last = max(r.last, l.destination.queue.Acked(l.name))
	recs, err := l.destination.queue.Read(l.name, r.last, max(room, 1))
	if err != nil || len(recs) == 0 {
		return false, err
	}
	r.last = recs[len(recs)-1].Seq
	for _, rec := range recs {
		if !isStored(rec.Data) {
			// Not written by this package, or mangled: it can only do harm.
			l.destination.counts.lose(LostUnreadable)
			continue
		}
		r.buf = append(r.buf, rec)
	}
	if len(r.buf) == 0 {
		l.destination.queue.Ack(l.name, r.last)
	} else {
		l.front.set(r.buf[0].Data)
	}
	return true, nil
}

// take removes the first n events, which stay valid until the next read.
func (r *reader) take(n int) []Record {
	batch := r.buf[:n:n]
	r.buf = append([]Record(nil), r.buf[n:]...)
	return batch
}
