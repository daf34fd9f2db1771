package wal

import (
	"sort"

	"github.com/intilery/caddy-intilery/forwarder/queue"
)

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

// chunk returns up to n entries that come behind an order, as copies.
func (f *fifo) chunk(after uint64, n int) []entry {
	rest := f.buf[f.head:]
	i := sort.Search(len(rest), func(i int) bool { return rest[i].order > after })
	rest = rest[i:min(len(rest), i+n)]
	return append([]entry(nil), rest...)
}

// remove takes the entries of these orders out, as far as they are still there.
func (f *fifo) remove(gone map[uint64]bool) (n uint64, bytes int64) {
	kept := f.buf[:f.head]
	for _, e := range f.buf[f.head:] {
		if gone[e.order] {
			n++
			bytes += e.cost()
			e.lane.buffered.Add(-1)
			e.receipt.End(nil)
		} else {
			kept = append(kept, e)
		}
	}
	clear(f.buf[len(kept):])
	f.buf = kept
	f.bytes -= bytes
	if f.len() == 0 {
		f.buf, f.head = nil, 0
	}
	return n, bytes
}

// dropChunk is how many records drop looks at between two looks at the buffer.
const dropChunk = 1024

// drop removes the records for which match says so, and returns how many, by
// class. Match is called without holding anybody up.
func (b *buffer) drop(match func(rec []byte) bool) (dropped [queue.Classes]uint64) {
	for class := range dropped {
		var after uint64
		for {
			b.mu.Lock()
			chunk := b.queues[class].chunk(after, dropChunk)
			b.mu.Unlock()
			if len(chunk) == 0 {
				break
			}
			after = chunk[len(chunk)-1].order
			gone := make(map[uint64]bool)
			for i := range chunk {
				if match(chunk[i].data) {
					gone[chunk[i].order] = true
				}
			}
			if len(gone) == 0 {
				continue
			}
			b.mu.Lock()
			n, bytes := b.queues[class].remove(gone)
			b.bytes -= bytes
			b.erased[class] += n
			b.signalLocked()
			b.mu.Unlock()
			dropped[class] += n
		}
	}
	return dropped
}
