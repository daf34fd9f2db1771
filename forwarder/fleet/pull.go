package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The library's fetches either allocate for a million messages (FetchBytes), wait
// for the whole batch (Fetch), or have no bound of bytes (FetchNoWait). A pull here
// ends as soon as what is there has been sent.

const (
	// inactive is how long a consumer outlives the node that reads from it.
	inactive = 30 * time.Second
	// pullWait is how long a pull waits for a first message; then comes the next pull.
	pullWait = 30 * time.Second
	// heartbeat is how often the server says that a pull still waits. Without two of
	// them the consumer is gone, or its server.
	heartbeat = 2 * time.Second
	// maxPull bounds the messages of a pull.
	maxPull = 2000
	// endWait is how long to wait for the end of a pull that has brought messages. It
	// is for servers that count bytes otherwise than this side does.
	endWait = 250 * time.Millisecond
	// closeTimeout is how long to wait for the end of a consumer.
	closeTimeout = time.Second
)

// errGap says that a message was lost between server and node.
var errGap = errors.New("a message is missing")

// puller reads a stream through a consumer of its own, which the server keeps in
// memory and forgets soon. It is used by one goroutine, and ends with its connection.
type puller struct {
	j        *jetStream
	up       context.Context // of the connection
	conn     *nats.Conn
	js       jetstream.JetStream
	stream   string
	consumer string
	inbox    string
	sub      *nats.Subscription
	incoming chan *nats.Msg
	pulls    int
	received uint64 // the consumer's sequence of the last message
}

// pulled is a message with its sequence in the stream.
type pulled struct {
	*nats.Msg
	sequence uint64
	at       time.Time
}

// pull makes a consumer of a stream. What is not in the configuration is the same for all.
func (j *jetStream) pull(ctx context.Context, stream string, c jetstream.ConsumerConfig) (*puller, error) {
	c.AckPolicy = jetstream.AckNonePolicy
	c.MemoryStorage = true
	c.Replicas = 1
	c.InactiveThreshold = inactive
	s, err := j.call(ctx)
	if err != nil {
		return nil, err
	}
	defer s.end()
	made, err := s.js.CreateConsumer(s, stream, c)
	if err != nil {
		return nil, j.fault(s, err)
	}
	p := &puller{
		j: j, up: s.up, conn: s.conn, js: s.js, stream: stream, consumer: made.CachedInfo().Name,
		inbox: s.conn.NewInbox(), incoming: make(chan *nats.Msg, maxPull+16),
	}
	if p.sub, err = s.conn.ChanSubscribe(p.inbox+".*", p.incoming); err != nil {
		p.close()
		return nil, j.fault(s, err)
	}
	return p, nil
}

// next returns about maxBytes of messages, but at least one. It waits for a first
// one, or else returns none when none is there.
func (p *puller) next(ctx context.Context, maxBytes int, wait bool) ([]pulled, error) {
	for {
		messages, end, err := p.request(ctx, maxBytes, wait)
		switch {
		case err != nil:
			return nil, err
		case len(messages) > 0:
			return messages, nil
		case end == tooLarge:
			maxBytes = 0 // and one message
		case end == nothing && !wait:
			return nil, nil
		}
	}
}

// ending is how a pull ended.
type ending int

const (
	completed ending = iota
	nothing          // no message was there
	tooLarge         // the next message is larger than what was asked for
	other            // asking again is right
)

// request pulls once. Without maxBytes it is for one message.
func (p *puller) request(ctx context.Context, maxBytes int, wait bool) ([]pulled, ending, error) {
	batch := 1
	if maxBytes > 0 {
		batch = maxPull
	}
	p.pulls++
	reply := p.inbox + "." + strconv.Itoa(p.pulls)
	question := struct {
		Batch     int           `json:"batch"`
		MaxBytes  int           `json:"max_bytes,omitempty"`
		NoWait    bool          `json:"no_wait"` // with expires: it ends after what is there
		Expires   time.Duration `json:"expires,omitempty"`
		Heartbeat time.Duration `json:"idle_heartbeat,omitempty"`
	}{Batch: batch, MaxBytes: maxBytes, NoWait: true}
	if wait {
		question.Expires, question.Heartbeat = pullWait, heartbeat
	}
	data, err := json.Marshal(question)
	if err != nil {
		return nil, 0, err
	}
	if err := p.up.Err(); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errNotReady, errLost)
	}
	if err := p.conn.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+p.stream+"."+p.consumer, reply, data); err != nil {
		return nil, 0, p.j.fault(call{Context: ctx}, err)
	}
	return p.receive(ctx, reply, batch, maxBytes)
}

func (p *puller) receive(ctx context.Context, reply string, batch, maxBytes int) ([]pulled, ending, error) {
	var messages []pulled
	size := 0
	silence := time.NewTimer(2 * heartbeat)
	defer silence.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		case <-p.up.Done():
			return nil, 0, fmt.Errorf("%w: %w", errNotReady, errLost)
		case <-silence.C:
			if len(messages) > 0 {
				return messages, completed, nil
			}
			return nil, 0, fmt.Errorf("%w: no heartbeat of a consumer of %s", errUnknown, p.stream)
		case m := <-p.incoming:
			if strings.HasPrefix(m.Subject, p.inbox) { // a status
				if m.Subject != reply {
					continue // of an earlier pull
				}
				end, over, err := status(m)
				if err != nil {
					return nil, 0, fmt.Errorf("%w: consumer of %s: %w", errNotReady, p.stream, err)
				}
				if over {
					return messages, end, nil
				}
				silence.Reset(2 * heartbeat)
				continue
			}
			got, err := p.take(m)
			if err != nil {
				return nil, 0, err
			}
			messages = append(messages, got)
			// The server does not announce the end of a pull whose bytes were used up
			// to the last.
			size += m.Size()
			if len(messages) >= batch || maxBytes > 0 && size >= maxBytes {
				return messages, completed, nil
			}
			silence.Reset(endWait)
		}
	}
}

// take checks that no message is missing. The consumer's sequence rises by one with
// each message that is sent, whatever was removed from the stream.
func (p *puller) take(m *nats.Msg) (pulled, error) {
	meta, err := m.Metadata()
	if err != nil {
		return pulled{}, fmt.Errorf("stream %s: %w", p.stream, err)
	}
	if meta.Sequence.Consumer != p.received+1 {
		return pulled{}, fmt.Errorf("stream %s: %w before %d", p.stream, errGap, meta.Sequence.Stream)
	}
	p.received++
	return pulled{m, meta.Sequence.Stream, meta.Timestamp}, nil
}

// status reads what the server says of a pull: that it goes on, or that it is over,
// or that the consumer is.
func status(m *nats.Msg) (end ending, over bool, err error) {
	code, text := m.Header.Get("Status"), m.Header.Get("Description")
	switch {
	case code == "100": // a heartbeat
		return 0, false, nil
	case code == "404":
		return nothing, true, nil
	case code == "408": // no message within the time
		return other, true, nil
	case code == "409" && strings.Contains(text, "Exceeds MaxBytes"):
		return tooLarge, true, nil
	case code == "409" && strings.Contains(text, "Batch Completed"):
		return completed, true, nil
	case code == "503":
		return 0, false, nats.ErrNoResponders
	}
	return 0, false, fmt.Errorf("%s %s", code, text)
}

func (p *puller) close() {
	if p.sub != nil {
		_ = p.sub.Unsubscribe() // only fails without a connection
	}
	ctx, cancel := context.WithTimeout(p.up, closeTimeout)
	defer cancel()
	if ctx.Err() == nil {
		_ = p.js.DeleteConsumer(ctx, p.stream, p.consumer) // or else the server does, soon
	}
}
