package forwarder

import "time"

// maxHeldBytes bounds what a lane reads past events that are held back. With
// more than that it waits, for settleTime at most.
const maxHeldBytes = 1 << 20

// choice is which events of a window go next.
type choice struct {
	pick []int // places in window.out, in order
	size int   // of the body
	full bool  // one more would not fit
	held int   // bytes that are held back
	// wake is when the first held event may go; zero when there is none, or
	// when it waits for one that is picked.
	wake time.Duration
}

// choose picks the oldest events that may go now, as many as fit into a body
// of limit bytes, but at least one if any may go. It reuses the memory of pick.
func (w *window) choose(limit int, pick []int) choice {
	c := choice{pick: pick[:0], size: len(batchPrefix) + len(batchSuffix)}
	back := holdback{settling: &w.lane.destination.settling}
	for i := range w.out {
		n := sentBytes(w.out[i].Data)
		if back.holds(w.out, i) {
			c.held += n
			continue
		}
		if c.size+n > limit && len(c.pick) > 0 {
			c.full = true
			break
		}
		c.size += n
		c.pick = append(c.pick, i)
	}
	c.wake = back.wake
	return c
}

// batch returns the events of a choice. They stay outstanding until they end.
func (w *window) batch(c choice) []Record {
	recs := make([]Record, len(c.pick))
	for i, at := range c.pick {
		recs[i] = w.out[at]
	}
	return recs
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
