package wal

import (
	"context"
	"maps"
	"math"
	"slices"
	"sync"

	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// entryOverhead is what a buffered record costs beside its bytes.
const entryOverhead = 64

// entry is a record that waits for its commit.
type entry struct {
	lane  *Lane
	data  []byte
	order uint64 // rises over all lanes and classes, from 1; later the record's sequence
	at    int64  // Unix ms of Append
	class queue.Class

	receipt *queue.Receipt // of somebody who waits; nil for nobody
}

func (e *entry) cost() int64 { return int64(len(e.data)) + entryOverhead }

// buffer bounds in bytes what waits in memory. It has one queue for each class,
// so that shedding need not search, and merges them by order when taking. It
// grows on demand and gives memory back when it is empty.
type buffer struct {
	limit int64
	due   int64  // the size at which the writer need not wait for more
	wake  func() // tells the writer that there is something to do

	mu      sync.Mutex
	bytes   int64 // waiting, and taken until their commit
	order   uint64
	queues  [queue.Classes]fifo
	taken   []taken
	refuse  queue.Class     // classes below are refused, for the log is near its maximum size
	cause   queue.ShedCause // why there is no room when it is full
	closed  bool
	changed chan struct{} // closed when something leaves; nil when nobody waits

	offered, erased [queue.Classes]uint64
	shed            [queue.Classes]map[queue.ShedCause]uint64
	lost            uint64 // at shutdown
}

// taken is a group that the writer has taken and not committed yet.
type taken struct {
	oldest  uint64 // order of its first record
	at      int64
	cost    int64
	records uint64

	receipts []*queue.Receipt // of its records
}

// end tells those who wait for the group what came of it.
func (t *taken) end(err error) {
	for _, r := range t.receipts {
		r.End(err)
	}
}

// add takes a record in. When the buffer is full, the oldest records of lower
// classes make room, lowest class first; when even that would not do, nothing is
// evicted. Errors: queue.ErrFull, queue.ErrClosed.
func (b *buffer) add(e entry) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return queue.ErrClosed
	}
	b.offered[e.class]++
	if e.class < b.refuse {
		b.shedLocked(e.class, queue.ShedMaxSize)
		return queue.ErrFull
	}
	if need := b.bytes + e.cost() - b.limit; need > 0 && !b.evictLocked(e.class, need) {
		b.shedLocked(e.class, b.cause)
		return queue.ErrFull
	}
	before := b.bytes
	b.order++
	e.order = b.order
	b.bytes += e.cost()
	e.receipt.Begin()
	b.queues[e.class].push(e)
	e.lane.buffered.Add(1)
	if before == 0 || before < b.due && b.bytes >= b.due {
		b.wake()
	}
	return nil
}

// evictLocked sheds records of classes below that take so many bytes, if there
// are as many.
func (b *buffer) evictLocked(class queue.Class, need int64) bool {
	var lower int64
	for c := range class {
		lower += b.queues[c].bytes
	}
	if lower < need {
		return false
	}
	for c := range class {
		for b.queues[c].len() > 0 && need > 0 {
			gone := b.queues[c].pop()
			need -= gone.cost()
			b.bytes -= gone.cost()
			gone.lane.buffered.Add(-1)
			gone.receipt.End(queue.ErrFull)
			b.shedLocked(c, b.cause)
		}
	}
	b.signalLocked()
	return true
}

func (b *buffer) shedLocked(class queue.Class, cause queue.ShedCause) {
	if b.shed[class] == nil {
		b.shed[class] = make(map[queue.ShedCause]uint64)
	}
	b.shed[class][cause]++
}

// waiting returns the bytes that were not taken yet.
func (b *buffer) waiting() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.bytes
	for _, t := range b.taken {
		n -= t.cost
	}
	return n
}

// take moves up to maxRecords out of the buffer, oldest first, into entries, for
// as long as fits says of the next one that it should be taken; it must say so of
// the first. They count as taken until committed is called.
func (b *buffer) take(entries []entry, maxRecords int, fits func(*entry) bool) []entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	var t taken
	for len(entries) < maxRecords {
		q := b.nextLocked()
		if q == nil || !fits(q.peek()) {
			break
		}
		e := q.pop()
		if len(entries) == 0 {
			t.oldest, t.at = e.order, e.at
		}
		t.cost += e.cost()
		t.records++
		if e.receipt != nil {
			t.receipts = append(t.receipts, e.receipt)
		}
		entries = append(entries, e)
	}
	if t.records > 0 {
		b.taken = append(b.taken, t)
	}
	return entries
}

// nextLocked returns the queue whose head is the oldest record; nil when all are empty.
func (b *buffer) nextLocked() *fifo {
	var first *fifo
	for c := range b.queues {
		if q := &b.queues[c]; q.len() > 0 && (first == nil || q.peek().order < first.peek().order) {
			first = q
		}
	}
	return first
}

// committed says that the group taken first is durable.
func (b *buffer) committed() {
	b.mu.Lock()
	t := b.taken[0]
	b.bytes -= t.cost
	b.taken = slices.Delete(b.taken, 0, 1)
	b.signalLocked()
	b.mu.Unlock()
	t.end(nil)
}

func (b *buffer) signalLocked() {
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

// oldestLocked returns the order of the oldest record that is not committed, and
// when it was appended; the highest order when there is none.
func (b *buffer) oldestLocked() (order uint64, at int64) {
	if len(b.taken) > 0 {
		return b.taken[0].oldest, b.taken[0].at
	}
	if q := b.nextLocked(); q != nil {
		return q.peek().order, q.peek().at
	}
	return math.MaxUint64, 0
}

// flush returns nil when all that was added before is committed or shed. Later
// records do not keep it waiting.
func (b *buffer) flush(ctx context.Context, finished <-chan struct{}) error {
	b.mu.Lock()
	target := b.order
	for {
		if oldest, _ := b.oldestLocked(); oldest > target {
			lost := b.lost > 0
			b.mu.Unlock()
			if lost {
				return queue.ErrClosed
			}
			return nil
		}
		if b.changed == nil {
			b.changed = make(chan struct{})
		}
		wait := b.changed
		b.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		case <-finished:
			return queue.ErrClosed
		}
		b.mu.Lock()
	}
}

// set changes what the buffer answers when it has no room.
func (b *buffer) set(cause queue.ShedCause) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cause = cause
}

// refuseBelow has classes below one refused, and returns the class before.
func (b *buffer) refuseBelow(class queue.Class) (before queue.Class) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before, b.refuse = b.refuse, class
	return before
}

// close refuses records from now on.
func (b *buffer) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
}

// abandon gives up what is left, taken groups included, and returns how many
// records that were.
func (b *buffer) abandon() (n uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range b.taken {
		n += t.records
		t.end(queue.ErrClosed)
	}
	for c := range b.queues {
		q := &b.queues[c]
		n += uint64(q.len())
		for q.len() > 0 {
			q.pop().receipt.End(queue.ErrClosed)
		}
	}
	b.bytes, b.taken = 0, nil
	b.lost += n
	return n
}

// stats fills in the buffer's accounts.
func (b *buffer) stats(s *queue.Stats) (oldest int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.Offered, s.Erased, s.BufferBytes = b.offered, b.erased, b.bytes
	for c, m := range b.shed {
		s.Shed[c] = maps.Clone(m)
	}
	if b.lost > 0 {
		s.Lost[queue.LostShutdown] = b.lost
	}
	_, oldest = b.oldestLocked()
	return oldest
}
