package forwarder

import (
	"context"
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

// deliver returns nil when each event of the batch was acknowledged or
// dead-lettered; it returns ctx's error when that ended before.
//
// A batch that is rejected or too large is halved, and the first half is dealt
// with before the second. So the lane keeps its order while it finds the event
// that is to blame. parts holds the sizes of what is left, the next one last.
func (s *sender) deliver(ctx context.Context, batch []Record) error {
	parts := []int{len(batch)}
	for len(parts) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		last := len(parts) - 1
		n := parts[last]
		a, tr, err := s.send(ctx, batch[:n])
		if err != nil {
			return err
		}
		done := false
		switch a.Class {
		case tracking.Accepted:
			s.backoff.Reset()
			s.lane.destination.window.accept(n)
			s.lane.acknowledge(batch[:n])
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
			if len(batch) > 0 {
				s.lane.front.set(batch[0].Data)
			} else {
				s.lane.front.clear()
			}
		}
	}
	return nil
}

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
	a := d.client.Load().Send(s.ctx, token, s.body)
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
	if !d.window.reject() {
		d.tell(d.gate.reject(), a)
		return false, nil
	}
	b := newBackoff()
	for {
		err := d.letters.add(deadLetter{
			Time: time.Now(), Destination: d.name, Reason: a.Class.String(),
			Status: a.Status, Message: a.Message, Event: r.Data,
		})
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
	d.queue.Ack(s.lane.name, r.Seq)
	d.counts.deadLettered[r.Class%types].Add(1)
	return true, nil
}

// acknowledge counts events as delivered and moves the lane's cursor.
func (l *lane) acknowledge(events []Record) {
	d := l.destination
	for _, r := range events {
		d.counts.acknowledged[r.Class%types].Add(1)
	}
	d.queue.Ack(l.name, events[len(events)-1].Seq)
}

const (
	batchPrefix = `{"batch":[`
	batchSuffix = `]}`
)

// appendBatch appends the request's body. Each event is stamped with now as its
// sentAt.
func appendBatch(dst []byte, events []Record, now time.Time) []byte {
	dst = append(dst, batchPrefix...)
	for i, r := range events {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendSent(dst, r.Data, now)
	}
	return append(dst, batchSuffix...)
}

// sentBytes is what a stored event takes in a body.
func sentBytes(event []byte) int { return len(event) + sentAtBytes + 1 }
