package wal

import "math"

// entryOverhead is what a waiting record costs beside its bytes.
const entryOverhead = 64

// entry is a record that waits for its commit.
type entry struct {
	lane  *lane
	data  []byte
	order uint64 // rises over all lanes and classes, from 1
	at    int64  // Unix ms of Append
	class uint8
}

func (e *entry) cost() int64 { return int64(len(e.data)) + entryOverhead }

// ring bounds in bytes what waits in memory. It keeps one queue for each class,
// so that shedding need not search, and merges them by order when taking. It
// grows on demand and gives memory back when empty. Log.mu guards it.
type ring struct {
	limit int64
	bytes int64 // waiting and taken, until their commit
	taken int64 // the part of bytes that is in groups
	order uint64
	queue [Classes]fifo
}

// add takes e in. When the ring is full, the oldest records of lower classes
// make room, lowest class first; evicted says how many went. When even that
// would not make room, nothing is evicted and ok is false.
func (r *ring) add(e entry) (evicted [Classes]uint64, ok bool) {
	if need := r.bytes + e.cost() - r.limit; need > 0 {
		var lower int64
		for c := range e.class {
			lower += r.queue[c].bytes
		}
		if lower < need {
			return evicted, false
		}
		for c := range e.class {
			for r.queue[c].len() > 0 && r.bytes+e.cost() > r.limit {
				gone := r.queue[c].pop()
				r.bytes -= gone.cost()
				evicted[c]++
			}
		}
	}
	r.order++
	e.order = r.order
	r.bytes += e.cost()
	r.queue[e.class].push(e)
	return evicted, true
}

// waiting returns the bytes that no group has taken yet.
func (r *ring) waiting() int64 { return r.bytes - r.taken }

// next returns the queue whose head is the oldest record; nil when all are empty.
func (r *ring) next() *fifo {
	var first *fifo
	for c := range r.queue {
		q := &r.queue[c]
		if q.len() > 0 && (first == nil || q.peek().order < first.peek().order) {
			first = q
		}
	}
	return first
}

// oldest returns the order of the oldest waiting record; the highest number
// when none waits.
func (r *ring) oldest() uint64 {
	if q := r.next(); q != nil {
		return q.peek().order
	}
	return math.MaxUint64
}

// fifo is a queue of entries in one slice that slides and shrinks.
type fifo struct {
	buf   []entry
	head  int
	bytes int64
}

func (f *fifo) len() int     { return len(f.buf) - f.head }
func (f *fifo) peek() *entry { return &f.buf[f.head] }

func (f *fifo) push(e entry) {
	if f.head > 1024 && f.head > len(f.buf)/2 {
		n := copy(f.buf, f.buf[f.head:])
		clear(f.buf[n:])
		f.buf, f.head = f.buf[:n], 0
	}
	f.bytes += e.cost()
	f.buf = append(f.buf, e)
}

func (f *fifo) pop() entry {
	e := f.buf[f.head]
	f.buf[f.head] = entry{}
	f.head++
	f.bytes -= e.cost()
	if f.head == len(f.buf) {
		f.buf, f.head = f.buf[:0], 0
		if cap(f.buf) > 1024 {
			f.buf = nil
		}
	}
	return e
}

// oldestTime returns when the oldest waiting record was appended, as Unix ms;
// 0 when none waits.
func (r *ring) oldestTime() int64 {
	if q := r.next(); q != nil {
		return q.peek().at
	}
	return 0
}
