package fleet

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// headerLetter has a dead letter's ID. What the message holds may be encrypted anew
// each time, so it does not tell whether it is the same letter.
const headerLetter = "Dead-Letter-Id"

// absent is how a server's store says that there is no message, or none yet, of a
// sequence: the code is that of all its errors.
var absent = regexp.MustCompile(`no message found|store EOF`)

// letterBytes is about how much of the dead letters is read at once.
const letterBytes = 1 << 20

// deadCall checks a destination, and returns the name of its stream with the
// connection to work with.
func (j *jetStream) deadCall(ctx context.Context, destination string) (stream string, s call, err error) {
	if !validDestination.MatchString(destination) {
		return "", call{}, fmt.Errorf("%q is not a destination", destination)
	}
	s, err = j.call(ctx)
	return j.planner.deadLetters(destination), s, err
}

func (j *jetStream) LastLetter(ctx context.Context, destination, visitor string) (string, uint64, error) {
	if !validVisitor(visitor) {
		return "", 0, fmt.Errorf("visitor %q is not 32 hexadecimal digits", visitor)
	}
	stream, s, err := j.deadCall(ctx, destination)
	if err != nil {
		return "", 0, err
	}
	defer s.end()
	m, err := lookup(s, stream, lastOf{j.planner.deadLetter(destination, visitor)})
	return m.header.Get(headerLetter), m.sequence, j.fault(s, err)
}

func (j *jetStream) AddLetter(ctx context.Context, destination string, letter message, id string, last uint64) error {
	if !validVisitor(letter.visitor) {
		return fmt.Errorf("visitor %q is not 32 hexadecimal digits", letter.visitor)
	}
	_, s, err := j.deadCall(ctx, destination)
	if err != nil {
		return err
	}
	defer s.end()
	m := &nats.Msg{
		Subject: j.planner.deadLetter(destination, letter.visitor), Data: letter.payload, Header: nats.Header{headerLetter: {id}},
	}
	expectLast(m.Header, last)
	_, err = write(s, m)
	return j.fault(s, err)
}

// letterAttempts is how often reading goes on after an error: a consumer that was just
// made may not be known to all servers, and one goes with its server.
const letterAttempts = 10

func (j *jetStream) Letters(ctx context.Context, destination string, visit func(stored) error) error {
	end, err := j.LettersState(ctx, destination)
	if err != nil || end.events == 0 {
		return err
	}
	after, failed := uint64(0), 0
	for {
		before := after
		var stopped error
		err := j.readLetters(ctx, destination, after, func(s stored) bool {
			if s.sequence > end.last {
				return false // it was added since
			}
			stopped = visit(s)
			after = s.sequence
			return stopped == nil && after < end.last
		})
		if after > before {
			failed = 0
		}
		if failed++; stopped != nil || err == nil || failed == letterAttempts {
			return errors.Join(stopped, err)
		}
		if !wait(ctx, 50*time.Millisecond) {
			return err
		}
	}
}

// readLetters calls visit for the letters behind a sequence, until there are no more
// or that returns false.
func (j *jetStream) readLetters(ctx context.Context, destination string, after uint64, visit func(stored) bool) error {
	r, err := j.pull(ctx, j.planner.deadLetters(destination), jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1,
		FilterSubject: j.planner.deadLetterSubjects(destination),
	})
	if err != nil {
		return err
	}
	defer r.close()
	for {
		messages, err := r.next(ctx, letterBytes, false)
		if err != nil || len(messages) == 0 {
			return err
		}
		for _, m := range messages {
			if !visit(stored{m.sequence, m.at, m.Data}) {
				return nil
			}
		}
	}
}

// RemoveLetter has the server overwrite the letter's bytes.
func (j *jetStream) RemoveLetter(ctx context.Context, destination string, sequence uint64) (bool, error) {
	stream, s, err := j.deadCall(ctx, destination)
	if err != nil {
		return false, err
	}
	defer s.end()
	err = ask(s, "$JS.API.STREAM.MSG.DELETE."+stream, bySequence{sequence}, nil)
	var refused *jetstream.APIError
	if errors.As(err, &refused) {
		switch {
		case refused.ErrorCode == codeNoMessage, refused.ErrorCode == codeNoSequence,
			refused.ErrorCode == codeDeleteFailed && absent.MatchString(refused.Description):
			return false, nil
		}
	}
	return err == nil, j.fault(s, err)
}

func (j *jetStream) PurgeLetters(ctx context.Context, destination string, before uint64) (int, error) {
	if !validDestination.MatchString(destination) {
		return 0, fmt.Errorf("%q is not a destination", destination)
	}
	return j.purge(ctx, j.planner.deadLetters(destination), j.planner.deadLetterSubjects(destination), before)
}

func (j *jetStream) EraseLetters(ctx context.Context, destination, visitor string) (int, error) {
	if !validDestination.MatchString(destination) || !validVisitor(visitor) {
		return 0, fmt.Errorf("visitor %q of destination %q is not valid", visitor, destination)
	}
	return j.purge(ctx, j.planner.deadLetters(destination), j.planner.deadLetter(destination, visitor), noEnd)
}

func (j *jetStream) LettersState(ctx context.Context, destination string) (state, error) {
	stream, s, err := j.deadCall(ctx, destination)
	if err != nil {
		return state{}, err
	}
	defer s.end()
	var info jetstream.StreamInfo
	if err := ask(s, "$JS.API.STREAM.INFO."+stream, struct{}{}, &info); err != nil {
		return state{}, j.fault(s, err)
	}
	is := info.State
	return state{first: is.FirstSeq, last: is.LastSeq, events: is.Msgs, bytes: is.Bytes}, nil
}
