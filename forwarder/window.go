package forwarder

import (
	"slices"
	"sync/atomic"
)

// window is what a lane has read from its log and not yet brought to an end.
//
// The log's cursor is cumulative, and an event that is held back (see
// holdback) is overtaken by those of other visitors. So the cursor stops short
// of the oldest event that is outstanding, and what came to an end behind it
// waits in ahead until the cursor may pass. A crash forgets what is ahead: it
// is sent again, with the same messageId. A reload does not.
type window struct {
	lane  *lane
	out   []Record // outstanding, in order
	ahead []ended  // in order
	last  uint64   // the sequence number read last

	erased *[]tombstone // those that out was checked against
}

// ended is an event that came to an end before an older one did.
type ended struct {
	seq   uint64
	count *atomic.Uint64 // counts it once the cursor has passed
}

// begin prepares the window for a lane that starts (again). What was read ahead
// is kept only if reading it again would send something twice.
func (w *window) begin() {
	if len(w.ahead) == 0 {
		w.out, w.last = nil, 0
	}
	w.mark()
}

// read reads ahead at most room bytes, but at least one event, and reports
// whether there was anything.
func (w *window) read(room int) (bool, error) {
	l := w.lane
	q := l.destination.queue
	// Before the log is open its cursor is not known, so ask each time.
	w.last = max(w.last, q.Acked(l.name))
	recs, err := q.Read(l.name, w.last, max(room, 1))
	if err != nil || len(recs) == 0 {
		return false, err
	}
	w.last = recs[len(recs)-1].Seq
	for _, rec := range recs {
		if !isStored(rec.Data) {
			// Not written by this package, or mangled: it can only do harm.
			l.destination.counts.lose(LostUnreadable)
			continue
		}
		w.out = append(w.out, rec)
	}
	if w.erased != nil && len(*w.erased) > 0 {
		w.bury(*w.erased)
	}
	w.advance()
	return true, nil
}

// end removes events, given in order, that were delivered or dead-lettered.
// Each is counted in the element of counts for its class.
func (w *window) end(recs []Record, counts *[types]atomic.Uint64) {
	for _, r := range recs {
		w.note(r, counts)
	}
	w.remove(func(r *Record) bool { return contains(recs, r.Seq) })
	w.advance()
}

// advance moves the cursor to the oldest event that is outstanding, and counts
// what it passes.
func (w *window) advance() {
	cursor := w.last
	if len(w.out) > 0 {
		cursor = w.out[0].Seq - 1
	}
	n := 0
	for n < len(w.ahead) && w.ahead[n].seq <= cursor {
		w.ahead[n].count.Add(1)
		n++
	}
	w.ahead = slices.Delete(w.ahead, 0, n)
	w.lane.destination.queue.Ack(w.lane.name, cursor)
	w.mark()
}

// sweep removes the events that may no longer be sent, and reports whether there
// were any: those that the log itself has given up, and has counted, and those
// of visitors that were erased.
func (w *window) sweep() bool {
	d := w.lane.destination
	before := len(w.out)
	if list := d.erasures.list.Load(); list != w.erased {
		w.erased = list
		if list != nil && len(*list) > 0 {
			w.bury(*list)
			w.advance()
		}
	}
	acked := d.queue.Acked(w.lane.name)
	if len(w.out) == 0 || w.out[0].Seq > acked {
		return len(w.out) < before
	}
	w.remove(func(r *Record) bool { return r.Seq <= acked })
	w.ahead = slices.DeleteFunc(w.ahead, func(e ended) bool { return e.seq <= acked })
	w.mark()
	return true
}

// bury brings the events that tombstones cover to an end.
func (w *window) bury(list []tombstone) {
	d := w.lane.destination
	w.remove(func(r *Record) bool {
		if !d.erasures.covers(list, w.lane.name, r) {
			return false
		}
		w.note(*r, &d.counts.erased)
		return true
	})
}

// note puts an event among those that are ahead of the cursor, in order.
func (w *window) note(r Record, counts *[types]atomic.Uint64) {
	e := ended{r.Seq, &counts[r.Class%types]}
	i := len(w.ahead)
	for i > 0 && w.ahead[i-1].seq > e.seq {
		i--
	}
	w.ahead = slices.Insert(w.ahead, i, e)
}

func (w *window) remove(gone func(*Record) bool) {
	kept := w.out[:0]
	for i := range w.out {
		if !gone(&w.out[i]) {
			kept = append(kept, w.out[i])
		}
	}
	clear(w.out[len(kept):])
	if w.out = kept; len(kept) == 0 && cap(kept) > 1024 {
		w.out = nil
	}
}

// still returns those of recs, given in order, that are outstanding.
func (w *window) still(recs []Record) []Record {
	return slices.DeleteFunc(recs, func(r Record) bool { return !contains(w.out, r.Seq) })
}

// mark tells Stats which event the lane deals with next.
func (w *window) mark() {
	if len(w.out) > 0 {
		w.lane.front.set(w.out[0].Data)
	} else {
		w.lane.front.clear()
	}
}

// contains reports whether a list in order has a sequence number.
func contains(recs []Record, seq uint64) bool {
	_, found := slices.BinarySearchFunc(recs, seq, func(r Record, seq uint64) int {
		switch {
		case r.Seq < seq:
			return -1
		case r.Seq > seq:
			return 1
		}
		return 0
	})
	return found
}
