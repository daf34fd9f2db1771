package forwarder

import (
	"slices"
	"sync/atomic"

	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// What a lane reads past deferred events is bounded by their bytes and by the
// number of events that overtook them. With more it waits until they may go.
const (
	maxDeferredBytes = 1 << 20
	maxCompleted     = 10_000
)

// inflight is what was read of a lane and has not ended.
//
// The lane's cursor is cumulative, and a deferred event is overtaken by those of
// other visitors. So the cursor stops short of the oldest event that has not
// ended, and what ends behind it is completed until the cursor may pass. A crash
// forgets what is completed: it is sent again, with the same messageId. A reload
// or a pause does not.
type inflight struct {
	lane   queue.Source
	name   string
	counts *counts

	out       []entry        // not ended, in order
	completed []completion   // in order
	last      queue.Position // read last
	// parts are the sizes in events of the batches that a rejected one was divided
	// into, the next one last. Empty: a batch is as large as fits.
	parts []int

	erasures erasures
	swept    uint64       // the version of erasures that out was checked against
	oldest   atomic.Int64 // Unix ms of out's first event, for Stats; 0 when there is none
}

// erasures are the tombstones of visitors that were erased: the directory's own, or
// the fleet's.
type erasures interface {
	Load() error
	Version() uint64
	Cover(lane string, at queue.Position, ids func() (anonymousID, userID string)) bool
}

type entry struct {
	queue.Record
	prev queue.Position // where the cursor stops short of it
}

func (e *entry) event() event.Stored { return event.Stored(e.Data) }

// completion is an event that ended before an older one did.
type completion struct {
	at    queue.Position
	count *atomic.Uint64 // counts it once the cursor has passed
}

func (c completion) compare(p queue.Position) int { return c.at.Compare(p) }

// read reads about room bytes more, but at least one event, and reports whether
// there was anything.
func (in *inflight) read(room int) (bool, error) {
	if at := in.lane.Acknowledged(); in.last.Compare(at) < 0 {
		in.last = at
	}
	recs, err := in.lane.Read(in.last, max(room, 1))
	for _, rec := range recs {
		e := entry{rec, in.last}
		in.last = rec.Position
		if _, ended := slices.BinarySearchFunc(in.completed, rec.Position, completion.compare); ended {
			continue
		}
		switch {
		case !event.IsStored(rec.Data):
			// Not written by this package, or mangled: it can only do harm.
			in.complete(rec.Position, &in.counts.unreadable)
		case in.covered(&e):
			in.complete(rec.Position, &in.counts.erased[rec.Class])
		default:
			in.out = append(in.out, e)
		}
	}
	if len(recs) > 0 {
		in.advance()
	}
	return len(recs) > 0, err
}

// end removes the events of a batch, which were delivered or dead-lettered, and
// counts each in the element of counts for its class.
func (in *inflight) end(batch []entry, counts *byClass) {
	for _, e := range batch {
		in.complete(e.Position, &counts[e.Class])
	}
	in.out = slices.DeleteFunc(in.out, func(e entry) bool {
		_, found := slices.BinarySearchFunc(batch, e.Position, func(e entry, p queue.Position) int { return e.Position.Compare(p) })
		return found
	})
	in.spend(len(batch))
	in.advance()
}

// spend takes n events off the part that goes first.
func (in *inflight) spend(n int) {
	if last := len(in.parts) - 1; last >= 0 {
		if in.parts[last] -= n; in.parts[last] <= 0 {
			in.parts = in.parts[:last]
		}
	}
}

// divide has a batch of n events, which did not end, sent in two halves, the
// first one first. So the lane keeps its order while the event to blame is found.
func (in *inflight) divide(n int) {
	in.spend(n)
	in.parts = append(in.parts, n-n/2, n/2)
}

// complete puts an event among those that are completed, in order.
func (in *inflight) complete(at queue.Position, count *atomic.Uint64) {
	i, _ := slices.BinarySearchFunc(in.completed, at, completion.compare)
	in.completed = slices.Insert(in.completed, i, completion{at, count})
}

// advance moves the cursor to the oldest event that has not ended, and counts
// what it passes. What the log has given up in the meantime it has counted itself.
func (in *inflight) advance() {
	upto := in.last
	if len(in.out) > 0 {
		upto = in.out[0].prev
	}
	from := in.lane.Acknowledge(upto)
	n := 0
	for ; n < len(in.completed) && in.completed[n].compare(upto) <= 0; n++ {
		if in.completed[n].compare(from) > 0 {
			in.completed[n].count.Add(1)
		}
	}
	in.completed = slices.Delete(in.completed, 0, n)
	if len(in.out) > 0 {
		in.oldest.Store(in.out[0].event().Time().UnixMilli())
	} else {
		in.oldest.Store(0)
	}
}

// sweep removes the events that may not be sent any more: those that the log has
// given up, and has counted, and those of visitors that were erased.
func (in *inflight) sweep() {
	if version := in.erasures.Version(); in.swept != version {
		in.swept = version
		in.out = slices.DeleteFunc(in.out, func(e entry) bool {
			gone := in.covered(&e)
			if gone {
				in.complete(e.Position, &in.counts.erased[e.Class])
			}
			return gone
		})
		in.advance()
	}
	at := in.lane.Acknowledged()
	if len(in.out) > 0 && in.out[0].Position.Compare(at) <= 0 {
		in.out = slices.DeleteFunc(in.out, func(e entry) bool { return e.Position.Compare(at) <= 0 })
		in.advance()
	}
}

func (in *inflight) covered(e *entry) bool {
	return in.erasures.Cover(in.name, e.Position, e.event().IDs)
}

// release gives the memory of events back that cannot be sent at present. They
// are read again.
func (in *inflight) release() { in.out, in.last = nil, queue.Position{} }

// bytes is the size of the events that have not ended, as they are sent.
func (in *inflight) bytes() (n int) {
	for i := range in.out {
		n += sentBytes(&in.out[i])
	}
	return n
}
