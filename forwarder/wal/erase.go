package wal

import "sort"

// eraseChunk is how many records are looked at between two looks at the ring.
const eraseChunk = 1024

// DropHeld removes records from memory for which match says so, and returns how
// many, by class. Match is called without holding anybody up and must not keep
// or change rec. Records that were appended before the call and are neither
// dropped nor offered to match are in a group that is being committed: treat
// them as committed.
func (l *Log) DropHeld(match func(lane string, rec []byte) bool) (dropped [Classes]uint64) {
	for class := range dropped {
		var after uint64
		for {
			l.mu.Lock()
			chunk := l.ring.queue[class].chunk(after, eraseChunk)
			l.mu.Unlock()
			if len(chunk) == 0 {
				break
			}
			after = chunk[len(chunk)-1].order
			gone := make(map[uint64]bool)
			for i := range chunk {
				if match(chunk[i].lane.name, chunk[i].data) {
					gone[chunk[i].order] = true
				}
			}
			if len(gone) == 0 {
				continue
			}
			l.mu.Lock()
			n, bytes := l.ring.queue[class].remove(gone)
			l.ring.bytes -= bytes
			l.counts.erased[class] += n
			l.signalFlushLocked()
			l.mu.Unlock()
			dropped[class] += n
		}
	}
	return dropped
}

// chunk returns up to n entries that come behind after, as copies.
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
