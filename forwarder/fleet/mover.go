package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// A batch is at most batchEvents events of batchBytes together: the broker takes
// 1,000 messages and, unless set otherwise, 1 MiB each.
const (
	batchEvents = 500
	batchBytes  = 900_000
	// requestWait is how long an answer of the broker is waited for.
	requestWait = 5 * time.Second
	// fullWait is how long a stream that was full is left alone at most.
	fullWait = time.Second
	// believeAfter is how long a broker must know less than before until that is
	// taken for true.
	believeAfter = 3 * time.Second
)

// mover hands one lane of the node's log over to the lane's stream: one batch at a
// time, in order, and each event once. It has a goroutine only while there is
// something to do.
//
// The stream knows how far this node has come: the position is written with each
// batch, and only over the one before. So a batch that was stored although its
// answer was lost is refused when it is sent again, and the position says where to
// go on; also after a restart, and after the broker has lost its latest writes.
type mover struct {
	f    *Fleet
	lane string
	src  Lane

	mu      sync.Mutex
	running bool // a goroutine is in run
	again   bool // it was woken meanwhile
	stopped bool
	idle    chan struct{} // closed when it was stopped and has no goroutine
	kept    []mark        // handed over, and still in the log

	*tally              // of the destination
	oldest atomic.Int64 // Unix ms of the first event that is refused or unanswered; 0 when there is none

	handing turn // held from when erasures are looked up until the events are in the stream

	// The goroutine's own.
	known      bool // the broker's position
	at         queue.Position
	revision   uint64 // of the position; 0 when there is none
	total      uint64 // events that the position counts
	sent       mark   // what this process knows to be in the stream
	recs       []queue.Record
	located    bool           // it was known once
	confirmed  time.Time      // when confirm was done last
	unsure     atomic.Bool    // a batch was not answered, and may be on its way
	unanswered queue.Position // the last one of it
	conflicts  int            // in a row
	behind     time.Time      // since when the broker knows less than it did; zero when it does not
	failures   *backoff.ExponentialBackOff
}

var errBehind = errors.New("the broker knows less than it did before")

// mark is a place up to which a lane was handed over.
type mark struct {
	at            queue.Position
	before, total uint64 // what the position counted before and at it
	events        int    // of the log, since the mark before
	when          time.Time
}

// position is what a node's position in a stream says.
type position struct {
	At    queue.Position `json:"at"`
	Total uint64         `json:"total"` // events that the node has handed over in this lane
}

func newMover(f *Fleet, lane string, src Lane) *mover {
	return &mover{f: f, lane: lane, src: src, tally: f.tallies.lane(lane), idle: make(chan struct{}), handing: newTurn(), failures: newBackoff()}
}

func newBackoff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.RandomizationFactor = 100*time.Millisecond, 5*time.Second, .5
	return b
}

// wake has the mover look what there is to do. It does not block.
func (m *mover) wake() {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.stopped:
	case m.running:
		m.again = true
	default:
		m.running = true
		go m.run()
	}
}

func (m *mover) run() {
	for {
		for m.f.ctx.Err() == nil && m.round(m.f.ctx) {
		}
		m.mu.Lock()
		m.running, m.again = m.again && !m.stopped, false
		done := !m.running
		if done && m.stopped {
			close(m.idle)
		}
		m.mu.Unlock()
		if done {
			return
		}
	}
}

// stop ends it. The channel is closed when nothing of it is under way.
func (m *mover) stop() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.stopped {
		m.stopped = true
		if !m.running {
			close(m.idle)
		}
	}
	return m.idle
}

// round hands one batch over. It returns false when there is nothing to do until
// the mover is woken.
func (m *mover) round(ctx context.Context) bool {
	m.mu.Lock()
	stopped := m.stopped
	m.mu.Unlock()
	if stopped {
		return false
	}
	if !m.f.mayMove() {
		m.peek()
		return false
	}
	if !m.known {
		if err := m.locate(ctx); err != nil {
			return m.fail(ctx, err)
		}
	}
	if err := m.confirm(ctx); err != nil {
		return m.fail(ctx, err)
	}
	if len(m.recs) == 0 {
		if m.unsure.Load() {
			if err := m.fence(ctx); err != nil {
				return m.fail(ctx, err)
			}
		}
		recs, err := m.src.Read(m.at, batchBytes)
		if err != nil {
			return m.fail(ctx, fmt.Errorf("read the log: %w", err))
		}
		if len(recs) == 0 {
			m.well()
			m.src.Await(m.at, 1, m.wake)
			return false
		}
		m.recs = recs
	}
	if ev := event.Stored(m.recs[0].Data); event.IsStored(ev) {
		m.oldest.CompareAndSwap(0, ev.Time().UnixMilli())
	}
	if err := m.hand(ctx, m.recs[:min(len(m.recs), batchEvents)]); err != nil {
		return m.fail(ctx, err)
	}
	m.well()
	return true
}

// well notes that nothing is in the mover's way.
func (m *mover) well() {
	m.oldest.Store(0)
	m.failures.Reset()
	m.conflicts = 0
	m.f.handing(m.lane, nil)
}

// fail waits before the next try.
func (m *mover) fail(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	if errors.Is(err, errConflict) && m.conflicts == 0 {
		m.conflicts++
	} else {
		m.f.handing(m.lane, err)
		d := m.failures.NextBackOff()
		if errors.Is(err, errFull) {
			d = min(d, fullWait) // there may be room as soon as its owner has delivered something
		}
		wait(ctx, d)
	}
	m.known, m.recs = false, nil
	return true
}

// hand publishes records, and takes over that they are in the stream.
func (m *mover) hand(ctx context.Context, recs []queue.Record) error {
	m.handing.take()
	defer m.handing.give()
	if !m.f.mayMove() { // it may have stood still since
		return errNotReady
	}
	batch := make([]message, 0, len(recs))
	var not left
	for i := range recs {
		if msg, ok := m.message(&recs[i], &not); ok {
			batch = append(batch, msg)
		}
	}
	next := position{recs[len(recs)-1].Position, m.total + uint64(len(batch))}
	text, err := json.Marshal(next)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestWait)
	defer cancel()
	revision, err := m.f.b.Publish(ctx, m.lane, batch, text, m.revision)
	if err != nil {
		// It may still be on its way, until another one has taken its place.
		if !errors.Is(err, errConflict) && !errors.Is(err, errFull) {
			m.unsure.Store(true)
			m.unanswered = next.At
		}
		return err
	}
	m.unsure.Store(false)
	m.handed.Add(uint64(len(batch)))
	m.dropped.Add(not.dropped)
	for class, n := range not.erased {
		m.erased[class].Add(n)
	}
	m.revision = revision
	m.reached(mark{next.At, m.total, next.Total, len(recs), time.Now()})
	m.recs = m.recs[len(recs):]
	return nil
}

// fence writes the position again: then a batch that was not answered cannot come any
// more.
func (m *mover) fence(ctx context.Context) error {
	text, err := json.Marshal(position{m.at, m.total})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestWait)
	defer cancel()
	revision, err := m.f.b.Publish(ctx, m.lane, nil, text, m.revision)
	if err != nil {
		return err
	}
	m.revision = revision
	m.unsure.Store(false)
	return nil
}

// reached takes over how far the lane was handed over.
func (m *mover) reached(k mark) {
	m.at, m.total, m.sent = k.at, k.total, k
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept = append(m.kept, k)
}

// left is what of a batch is not handed over.
type left struct {
	erased  [queue.Classes]uint64
	dropped uint64
}

// message makes a record's message, unless it was erased or is not an event.
func (m *mover) message(r *queue.Record, not *left) (msg message, ok bool) {
	ev := event.Stored(r.Data)
	if !event.IsStored(r.Data) {
		not.dropped++
		return msg, false
	}
	if m.f.local.Erased(m.lane, r.Position, ev.IDs) || m.f.erased.cover(m.lane, r.Position, ev.IDs) {
		not.erased[r.Class]++
		return msg, false
	}
	payload, err := m.f.codec.encode(r.Class, m.f.o.Node, r.Data)
	if err != nil {
		not.dropped++
		m.f.log.Error("an event cannot be encrypted and is lost", "lane", m.lane, "error", err)
		return msg, false
	}
	anonymousID, userID := ev.IDs()
	return message{visitor(m.f.secret(), anonymousID, userID), payload}, true
}

// wait waits for d; it returns false when ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
