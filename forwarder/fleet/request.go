package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Codes of JetStream's errors that mean something to the fleet.
const (
	codeAccountLimit    = 10002
	codeNotAvailable    = 10008
	codeNotLeader       = 10009
	codeInsufficient    = 10023
	codeNoMessage       = 10037
	codeStorage         = 10047
	codeNoStream        = 10059
	codeWrongSequence   = 10071
	codeStoreFailed     = 10077 // as when the stream's limits are reached
	codeTooLarge        = 10054
	codeNoSequence      = 10043
	codeDeleteFailed    = 10057
	codeStreamOffline   = 10118
	codeAnotherInFlight = 10164 // a write of the same subject is being replicated
)

// call is the connection that a method works with. Its context ends with the
// caller's, and when the connection is lost: then no answer will come.
type call struct {
	context.Context
	up   context.Context // of the connection
	conn *nats.Conn
	js   jetstream.JetStream
	end  func()
}

// limited bounds one request: a leader that dies does not answer what was on its way
// to it.
func (s call) limited() (context.Context, context.CancelFunc) {
	return context.WithTimeout(s, requestWait)
}

// call returns errNotReady when there is no connection.
func (j *jetStream) call(ctx context.Context) (call, error) {
	j.mu.Lock()
	conn, js, up := j.conn, j.js, j.up
	j.mu.Unlock()
	if up.Err() != nil {
		return call{}, errNotReady
	}
	if err := ctx.Err(); err != nil {
		return call{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(up, func() { cancel(errLost) })
	return call{ctx, up, conn, js, func() { stop(); cancel(nil) }}, nil
}

// fault classifies an error of a request.
func (j *jetStream) fault(s call, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		j.wake() // no leader, or no stream
		return fmt.Errorf("%w: %w", errNotReady, err)
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionClosed),
		errors.Is(err, nats.ErrConnectionDraining), errors.Is(err, nats.ErrInvalidConnection):
		return fmt.Errorf("%w: %w", errNotReady, err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		if cause := context.Cause(s); cause != nil {
			err = cause
		}
		return fmt.Errorf("%w: %w", errUnknown, err)
	}
	if errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("%w: %w", errTooLarge, err)
	}
	var refused jetstream.JetStreamError
	if !errors.As(err, &refused) || refused.APIError() == nil {
		return err
	}
	switch refused.APIError().ErrorCode {
	case codeWrongSequence, codeAnotherInFlight:
		return fmt.Errorf("%w: %w", errConflict, err)
	case codeStoreFailed, codeAccountLimit, codeInsufficient, codeStorage:
		return fmt.Errorf("%w: %w", errFull, err)
	case codeTooLarge:
		return fmt.Errorf("%w: %w", errTooLarge, err)
	case codeNoStream:
		j.wake()
		return fmt.Errorf("%w: %w", errNotReady, err)
	case codeNotAvailable, codeNotLeader, codeStreamOffline:
		return fmt.Errorf("%w: %w", errNotReady, err)
	}
	return err
}

// write publishes a message to a stream, and returns the sequence that it has there.
func write(s call, m *nats.Msg) (uint64, error) {
	ctx, cancel := s.limited()
	defer cancel()
	answer, err := s.conn.RequestMsgWithContext(ctx, m)
	if err != nil {
		return 0, err
	}
	var ack struct {
		Sequence uint64              `json:"seq"`
		Error    *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(answer.Data, &ack); err != nil {
		// As much as no answer: the write may have been done.
		return 0, fmt.Errorf("%w: %w", errUnknown, err)
	}
	if ack.Error != nil {
		return 0, ack.Error
	}
	return ack.Sequence, nil
}

// found is a message as a stream has it.
type found struct {
	sequence uint64
	at       time.Time
	header   nats.Header
	data     []byte
}

// lookup asks for a message of a stream. JetStream's API, other than direct reads, is
// answered by the stream's leader. There is none with sequence 0.
func lookup(s call, stream string, which any) (found, error) {
	var reply struct {
		Message struct {
			Sequence uint64    `json:"seq"`
			Header   []byte    `json:"hdrs"`
			Data     []byte    `json:"data"`
			Time     time.Time `json:"time"`
		} `json:"message"`
	}
	err := ask(s, "$JS.API.STREAM.MSG.GET."+stream, which, &reply)
	var refused *jetstream.APIError
	switch {
	case errors.As(err, &refused) && refused.ErrorCode == codeNoMessage:
		return found{}, nil
	case err != nil:
		return found{}, err
	}
	m := reply.Message
	out := found{sequence: m.Sequence, at: m.Time, data: m.Data}
	if len(m.Header) > 0 {
		if out.header, err = nats.DecodeHeadersMsg(m.Header); err != nil {
			return found{}, err
		}
	}
	return out, nil
}

// The two ways to ask for a message.
type (
	lastOf struct {
		Subject string `json:"last_by_subj"`
	}
	bySequence struct {
		Sequence uint64 `json:"seq"`
	}
)

// expectLast makes a write fail unless a subject's last message has a sequence.
func expectLast(h nats.Header, sequence uint64) {
	h[jetstream.ExpectedLastSubjSeqHeader] = []string{strconv.FormatUint(sequence, 10)}
}

// expire has a message go after a time, of which the server counts whole seconds.
func expire(h nats.Header, ttl time.Duration) {
	h[jetstream.MsgTTLHeader] = []string{strconv.FormatInt(int64((ttl+time.Second-1)/time.Second), 10) + "s"}
}

// ask has JetStream's API do something, and reads its answer unless it is nil.
func ask(s call, subject string, question, into any) error {
	data, err := json.Marshal(question)
	if err != nil {
		return err
	}
	ctx, cancel := s.limited()
	defer cancel()
	answer, err := s.conn.RequestWithContext(ctx, subject, data)
	if err != nil {
		return err
	}
	var reply struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(answer.Data, &reply); err != nil {
		return fmt.Errorf("%w: %w", errUnknown, err)
	}
	if reply.Error != nil || into == nil {
		return asError(reply.Error)
	}
	return json.Unmarshal(answer.Data, into)
}

// asError is nil, and not an interface with a nil in it, when there is none.
func asError(e *jetstream.APIError) error {
	if e == nil {
		return nil
	}
	return e
}
