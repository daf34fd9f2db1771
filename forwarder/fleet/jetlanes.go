package fleet

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// Headers of an atomic batch. A server takes 1,000 messages in one, and 50 unfinished
// ones for each stream; it forgets one that is not committed within 10 s.
const (
	headerBatch    = "Nats-Batch-Id"
	headerSequence = "Nats-Batch-Sequence"
	headerCommit   = "Nats-Batch-Commit"
	maxBatch       = 1000
)

// Publish sends the batch and waits for the answer to its last message only, which
// is the position. The server looks at all of it when it has that one, and appends
// all or nothing.
func (j *jetStream) Publish(ctx context.Context, lane string, events []message, position []byte, last uint64) (uint64, error) {
	l, err := j.planner.lane(lane)
	if err != nil {
		return 0, err
	}
	if len(events) >= maxBatch {
		return 0, fmt.Errorf("%d events are too many for one batch", len(events))
	}
	for _, e := range events {
		if !validVisitor(e.visitor) {
			return 0, fmt.Errorf("visitor %q is not 32 hexadecimal digits", e.visitor)
		}
	}
	s, err := j.call(ctx)
	if err != nil {
		return 0, err
	}
	defer s.end()

	id := nuid.Next()
	for i, e := range events {
		m := &nats.Msg{Subject: l.event(e.visitor), Data: e.payload, Header: nats.Header{
			headerBatch: {id}, headerSequence: {strconv.Itoa(i + 1)},
		}}
		if err := s.conn.PublishMsg(m); err != nil {
			return 0, j.fault(s, err) // without its commit the batch comes to nothing
		}
		if s.Err() != nil {
			return 0, j.fault(s, s.Err())
		}
	}
	m := &nats.Msg{Subject: l.position(j.planner.node), Data: position, Header: nats.Header{
		// It must not go at the stream's maximum age: without it the lane's next
		// batch would be refused.
		jetstream.MsgTTLHeader: {"never"},
	}}
	expectLast(m.Header, last)
	if len(events) > 0 {
		m.Header[headerBatch] = []string{id}
		m.Header[headerSequence] = []string{strconv.Itoa(len(events) + 1)}
		m.Header[headerCommit] = []string{"1"}
	}
	revision, err := write(s, m)
	return revision, j.fault(s, err)
}

func (j *jetStream) Position(ctx context.Context, lane string) ([]byte, uint64, error) {
	l, err := j.planner.lane(lane)
	if err != nil {
		return nil, 0, err
	}
	s, err := j.call(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer s.end()
	m, err := lookup(s, l.stream, lastOf{l.position(j.planner.node)})
	return m.data, m.sequence, j.fault(s, err)
}

func (j *jetStream) Stored(ctx context.Context, lane string, sequence uint64) (time.Time, error) {
	l, err := j.planner.lane(lane)
	if err != nil || sequence == 0 { // the server has another meaning for 0
		return time.Time{}, err
	}
	s, err := j.call(ctx)
	if err != nil {
		return time.Time{}, err
	}
	defer s.end()
	m, err := lookup(s, l.stream, bySequence{sequence})
	return m.at, j.fault(s, err)
}

// State subtracts the positions from what the stream counts, which are few.
func (j *jetStream) State(ctx context.Context, lane string) (state, error) {
	l, err := j.planner.lane(lane)
	if err != nil {
		return state{}, err
	}
	s, err := j.call(ctx)
	if err != nil {
		return state{}, err
	}
	defer s.end()
	var info jetstream.StreamInfo
	question := map[string]string{"subjects_filter": l.positions()}
	if err := ask(s, "$JS.API.STREAM.INFO."+l.stream, question, &info); err != nil {
		return state{}, j.fault(s, err)
	}
	is := info.State
	out := state{first: is.FirstSeq, last: is.LastSeq, events: is.Msgs, bytes: is.Bytes}
	for _, n := range is.Subjects {
		out.events -= min(n, out.events)
	}
	return out, nil
}

func (j *jetStream) Trim(ctx context.Context, lane string, before uint64) error {
	l, err := j.planner.lane(lane)
	if err != nil {
		return err
	}
	_, err = j.purge(ctx, l.stream, l.events(), before)
	return err
}

func (j *jetStream) TrimPositions(ctx context.Context, lane string, before uint64) error {
	l, err := j.planner.lane(lane)
	if err != nil {
		return err
	}
	_, err = j.purge(ctx, l.stream, l.position(j.planner.node), before)
	return err
}

func (j *jetStream) Erase(ctx context.Context, lane string, visitor string) error {
	l, err := j.planner.lane(lane)
	if err != nil {
		return err
	}
	if !validVisitor(visitor) {
		return fmt.Errorf("visitor %q is not 32 hexadecimal digits", visitor)
	}
	_, err = j.purge(ctx, l.stream, l.event(visitor), noEnd)
	return err
}

const noEnd = ^uint64(0)

// purge removes the messages of a subject before a sequence, and returns how many.
// None is before 0 or 1; to the server these would be no bound at all.
func (j *jetStream) purge(ctx context.Context, stream, subject string, before uint64) (int, error) {
	if before <= 1 {
		return 0, nil
	}
	s, err := j.call(ctx)
	if err != nil {
		return 0, err
	}
	defer s.end()
	question := struct {
		Subject  string `json:"filter"`
		Sequence uint64 `json:"seq,omitempty"`
	}{Subject: subject}
	if before != noEnd {
		question.Sequence = before
	}
	var reply struct {
		Purged int `json:"purged"`
	}
	err = ask(s, "$JS.API.STREAM.PURGE."+stream, question, &reply)
	return reply.Purged, j.fault(s, err)
}
