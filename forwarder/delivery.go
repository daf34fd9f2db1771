package forwarder

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/intilery/caddy-intilery/forwarder/tracking"
)

// sender brings a lane's batches to an end, one after the other.
type sender struct {
	lane    *lane
	ctx     context.Context // of requests
	body    []byte          // reused
	sent    int             // size of the last body
	backoff *backoff.ExponentialBackOff
}

func newSender(l *lane, ctx context.Context) *sender {
	return &sender{lane: l, ctx: ctx, backoff: newBackoff()}
}

// deliver returns nil when each event of the batch was acknowledged,
// dead-lettered, or given up by the log; it returns ctx's error when that ended
// before.
//
// A batch that is rejected or too large is halved, and the first half is dealt
// with before the second. So the lane keeps its order while it finds the event
// that is to blame. parts holds the sizes of what is left, the next one last.
func (s *sender) deliver(ctx context.Context, batch []Record) error {
	w, d := &s.lane.window, s.lane.destination
	parts := []int{len(batch)}
	for len(parts) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		last := len(parts) - 1
		n := parts[last]
		a, tr, err := s.send(ctx, batch[:n])
		if errors.Is(err, errSwept) {
			if batch = w.still(batch); len(batch) == 0 {
				return nil
			}
			parts = append(parts[:0], len(batch))
			continue
		}
		if err != nil {
			return err
		}
		done := false
		switch a.Class {
		case tracking.Accepted:
			s.backoff.Reset()
			d.rejections.accept(n)
			d.counts.rate.add(n)
			d.settling.acknowledged(batch[:n])
			w.end(batch[:n], &d.counts.acknowledged)
			done = true
		case tracking.Rejected, tracking.TooLarge:
			s.backoff.Reset()
			if n > 1 {
				s.learn(a)
				parts = append(parts[:last], n-n/2, n/2)
				continue
			}
			if done, err = s.bury(ctx, batch[0], a); err != nil {
				return err
			}
		case tracking.Unavailable:
			// While the gate is closed, it says when to try again.
			if tr.to == NotPaused {
				if err := sleep(ctx, max(nextBackoff(s.backoff), a.RetryAfter)); err != nil {
					return err
				}
			}
		}
		if done {
			batch, parts = batch[n:], parts[:last]
		}
	}
	return nil
}

// errSwept says that events of the batch may no longer be sent.
var errSwept = errors.New("the batch has shrunk")

// send makes one attempt, as soon as the destination's gate and rate allow it.
func (s *sender) send(ctx context.Context, events []Record) (tracking.Answer, transition, error) {
	d := s.lane.destination
	for {
		t, err := d.gate.enter(ctx, s.lane.number)
		if err != nil {
			return tracking.Answer{}, transition{}, err
		}
		if err := d.limiter.wait(ctx); err != nil {
			d.gate.abandon(t)
			return tracking.Answer{}, transition{}, err
		}
		if !d.gate.valid(t) {
			continue // the gate has closed while the lane waited for the rate
		}
		// While the lane waited, maybe for hours, events may have been given up.
		if s.lane.window.sweep() {
			d.gate.abandon(t)
			return tracking.Answer{}, transition{}, errSwept
		}
		if t.probe {
			d.token.refresh()
		}
		a := s.attempt(events)
		if a.Class == tracking.Unavailable && s.ctx.Err() != nil {
			d.gate.abandon(t) // cut off by Close
			return tracking.Answer{}, transition{}, s.ctx.Err()
		}
		switch a.Class {
		case tracking.Throttled:
			d.limiter.throttled(time.Now(), a.RetryAfter)
		case tracking.Accepted:
			d.limiter.accepted()
		}
		return a, d.sent(t, a), nil
	}
}

// attempt posts the events once.
func (s *sender) attempt(events []Record) tracking.Answer {
	d := s.lane.destination
	token, err := d.token.get()
	if err != nil {
		return tracking.Answer{Class: tracking.Misconfigured, Err: err}
	}
	size := len(batchPrefix) + len(batchSuffix)
	for _, r := range events {
		size += sentBytes(r.Data)
	}
	s.body = appendBatch(slices.Grow(s.body[:0], size), events, time.Now())
	began := time.Now()
	a := d.client.Load().Send(s.ctx, token, s.body)
	d.counts.took.Observe(time.Since(began))
	d.counts.request(a.Status)
	d.log.Debug("batch sent", "lane", s.lane.name, "events", len(events), "bytes", len(s.body),
		"status", a.Status, "answer", a.Class.String(), "event_id", a.EventID, "message", a.Message, "error", a.Err)
	s.sent = len(s.body)
	if cap(s.body) > 64<<10 && s.sent < cap(s.body)/4 {
		s.body = nil // do not keep a large buffer for a quiet lane
	}
	return a
}

// learn remembers that the receiver takes less than was sent.
func (s *sender) learn(a tracking.Answer) {
	if a.Class != tracking.TooLarge {
		return
	}
	d := s.lane.destination
	limit := int64(max(s.sent/2, minBody))
	if limit < d.body.Load() {
		d.body.Store(limit)
		d.log.Warn("the receiver refuses large requests; sending smaller ones", "bytes", limit)
	}
}

// bury moves the event to the dead letters, if not too many went there. It
// returns false when the event has to be sent again.
func (s *sender) bury(ctx context.Context, r Record, a tracking.Answer) (bool, error) {
	d := s.lane.destination
	if !d.rejections.reject() {
		d.tell(d.gate.reject(), a)
		return false, nil
	}
	b := newBackoff()
	for {
		added, err := d.letters.add(DeadLetter{
			Time: time.Now(), Destination: d.name, Reason: a.Class.String(),
			Status: a.Status, Message: a.Message, Event: r.Data,
		}, func() bool { return !s.lane.erased(&r) })
		if err == nil && !added {
			return false, nil // the next attempt sweeps it away
		}
		if err == nil {
			break
		}
		d.log.Error("a rejected event cannot be written to the dead letters; trying again", "lane", s.lane.name, "error", err)
		if err := sleep(ctx, nextBackoff(b)); err != nil {
			return false, err
		}
	}
	d.log.Warn("an event was rejected and is kept as a dead letter", "lane", s.lane.name,
		"type", typeOf(r.Class).String(), "status", a.Status, "reason", a.Class.String())
	s.lane.window.end([]Record{r}, &d.counts.deadLettered)
	return true, nil
}

// erased reports whether the event is of a visitor that was erased.
func (l *lane) erased(r *Record) bool {
	e := l.destination.erasures
	list := e.list.Load()
	return list != nil && len(*list) > 0 && e.covers(*list, l.name, r)
}
