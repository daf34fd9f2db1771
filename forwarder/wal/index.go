package wal

import (
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/forwarder/wal/internal/manifest"
)

// index is what the log holds, in memory: its lanes with what is pending of
// them, and its segments. Nothing in it is done for all lanes or all segments
// at a commit or an acknowledgement, so both cost the same however many there
// are.
type index struct {
	log     *slog.Logger
	changed func() // tells the writer that cursors have moved
	drained func() // tells the janitor that a segment has nothing left

	mu          sync.Mutex
	incarnation uint64
	names       map[string]*Lane
	released    map[*Lane]struct{} // nobody uses them, and all they have left is buffered
	ids         map[uint32]*Lane
	nextLane    uint32
	nextSegment uint64
	floor       uint64         // no forgotten lane has had a sequence above it
	segments    []*segmentInfo // ascending
	active      *segmentInfo   // takes blocks; nil when there is none

	committed   uint64
	lost        map[queue.LossCause]uint64
	quarantined int

	// What the manifest does not say yet, and whether the writer will see to it.
	saving        bool
	dirtyLanes    map[*Lane]struct{}
	dirtySegments map[*segmentInfo]struct{}
	unwritten     map[*Lane]struct{} // lanes of updates that are not on disk yet
	forgotten     []uint32
	removed       []uint64
}

func newIndex(log *slog.Logger) *index {
	return &index{
		log: log, nextLane: 1, nextSegment: 1,
		names: make(map[string]*Lane), released: make(map[*Lane]struct{}), ids: make(map[uint32]*Lane), lost: make(map[queue.LossCause]uint64),
		dirtyLanes: make(map[*Lane]struct{}), dirtySegments: make(map[*segmentInfo]struct{}),
		unwritten: make(map[*Lane]struct{}),
	}
}

// part is what a group has of a lane.
type part struct {
	lane        *Lane
	first, last uint64
	bytes       int64
	wanted      bool // the lane's reader has read all before; known once committed
}

// begin makes a segment the one that takes blocks.
func (x *index) begin(seg *segmentInfo) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.segments = append(x.segments, seg)
	x.nextSegment = max(x.nextSegment, seg.number+1)
	x.active = seg
	x.dirtySegments[seg] = struct{}{}
	x.changedLocked()
}

// end has the active segment take no more blocks.
func (x *index) end(now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.active != nil {
		x.active.ended = now
		x.dirtySegments[x.active] = struct{}{}
		x.active = nil
		x.drained()
	}
}

// age is how long ago a segment was begun.
func (x *index) age(seg *segmentInfo, now time.Time) time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	return now.Sub(seg.begun)
}

// commit takes over that a group is in the active segment, as blocks up to last,
// durable or not. It returns what is to be called for those who wait for it.
func (x *index) commit(now time.Time, parts []part, first, last uint64, at int64, durable bool) (calls []func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	seg := x.active
	if seg.first == 0 {
		seg.first = first
	}
	seg.last, seg.latest = last, now
	x.dirtySegments[seg] = struct{}{}
	for i := range parts {
		p := &parts[i]
		l := p.lane
		r := manifest.Range{First: p.first, Last: p.last}
		if had, ok := seg.lanes[l.id]; ok {
			r.First = had.First
		} else {
			seg.unsaved[l.id] = p.first
		}
		seg.lanes[l.id] = r
		if len(l.spans) == 0 {
			l.headAt = at
		}
		if !l.spans.holds(seg) {
			seg.left++
		}
		l.spans.add(span{seg, p.first, p.last})
		n := p.last - p.first + 1
		l.pending += n
		x.committed += n
		l.last = p.last
		if durable {
			l.durable = p.last
		}
		x.dirtyLanes[l] = struct{}{}
		p.wanted = l.call != nil || l.readTo+1 >= p.first
		l.unread += p.bytes
		if call := l.dueLocked(); call != nil {
			calls = append(calls, call)
		}
	}
	return calls
}

// synced takes over that all of a segment is durable.
func (x *index) synced(seg *segmentInfo) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for id, r := range seg.lanes {
		if l := x.ids[id]; l != nil && l.durable < r.Last {
			l.durable = r.Last
			x.dirtyLanes[l] = struct{}{}
		}
	}
}

// acknowledge moves a lane's cursor and returns where it was.
func (x *index) acknowledge(l *Lane, p queue.Position) (from queue.Position) {
	x.mu.Lock()
	defer x.mu.Unlock()
	from = queue.At(x.incarnation, l.acked)
	if upto := min(p.Offset(x.incarnation), l.last); upto > l.acked {
		x.passLocked(l, l.acked+1, upto)
		l.acked = max(l.acked, upto)
	}
	return from
}

// passLocked removes sequences of a lane from what is pending and returns how
// many there were. The cursor follows where nothing is left before it.
func (x *index) passLocked(l *Lane, first, last uint64) (n uint64) {
	var touched []*segmentInfo
	for _, s := range l.spans[l.spans.find(first-1):] {
		if s.first > last {
			break
		}
		if len(touched) == 0 || touched[len(touched)-1] != s.seg {
			touched = append(touched, s.seg)
		}
	}
	n = l.spans.cut(first, last)
	l.pending -= n
	if len(l.spans) > 0 {
		l.acked = max(l.acked, l.spans[0].first-1)
	} else {
		l.acked, l.headAt = max(l.acked, l.last), 0
	}
	for _, seg := range touched {
		if !l.spans.holds(seg) {
			seg.left--
			if seg.left == 0 && seg != x.active {
				x.drained()
			}
		}
	}
	x.dirtyLanes[l] = struct{}{}
	x.changedLocked()
	x.forgetLocked(l)
	return n
}

// changedLocked tells the writer, unless it will look anyway.
func (x *index) changedLocked() {
	if !x.saving {
		x.saving = true
		x.changed()
	}
}

// loseLocked counts the sequences of a range that are pending as lost.
func (x *index) loseLocked(l *Lane, first, last uint64, cause queue.LossCause) (n uint64) {
	n = x.passLocked(l, first, last)
	if n > 0 {
		x.lost[cause] += n
		x.log.Error("events in the queue are lost", "lane", l.name, "cause", string(cause), "events", n)
	}
	return n
}

// lose is loseLocked for a hole that a reader has found in a segment, which is
// then damaged.
func (x *index) lose(l *Lane, seg *segmentInfo, first, last uint64, cause queue.LossCause) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.loseLocked(l, first, last, cause) > 0 {
		seg.damaged = true
	}
}

// giveUp counts all that is pending in a segment as lost.
func (x *index) giveUp(seg *segmentInfo, cause queue.LossCause) (n uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, l := range x.ids {
		for i, ok := l.spans.in(seg); ok; i, ok = l.spans.in(seg) {
			n += x.passLocked(l, l.spans[i].first, l.spans[i].last)
		}
	}
	if n > 0 {
		x.lost[cause] += n
		x.log.Error("the oldest events in the queue are given up", "cause", string(cause), "events", n)
	}
	return n
}

// remove takes a segment off the list.
func (x *index) remove(seg *segmentInfo, quarantined bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.segments = slices.DeleteFunc(x.segments, func(o *segmentInfo) bool { return o == seg })
	delete(x.dirtySegments, seg)
	x.removed = append(x.removed, seg.number)
	if quarantined {
		x.quarantined++
	}
}

// lane returns the lane of a name, made if need be, with one user more.
func (x *index) lane(name string, log *Log) *Lane {
	x.mu.Lock()
	defer x.mu.Unlock()
	l := x.laneLocked(name, log)
	l.users++
	delete(x.released, l)
	return l
}

func (x *index) laneLocked(name string, log *Log) *Lane {
	l := x.names[name]
	if l == nil {
		l = &Lane{log: log, name: name, chainHead: -1}
		x.names[name] = l
	}
	return l
}

// assign gives lanes that have none an ID and a place to begin.
func (x *index) assign(lanes []*Lane) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, l := range lanes {
		if l.id == 0 {
			l.id = x.nextLane
			x.nextLane++
			x.ids[l.id] = l
			l.acked, l.last, l.durable = x.floor, x.floor, x.floor
			l.given = x.floor
		}
	}
}

// forgetLocked gives a lane's memory back that nobody uses and that has nothing left.
func (x *index) forgetLocked(l *Lane) {
	if l.users > 0 || len(l.spans) > 0 || x.names[l.name] != l {
		delete(x.released, l)
		return
	}
	if l.buffered.Load() > 0 {
		x.released[l] = struct{}{}
		return
	}
	delete(x.names, l.name)
	delete(x.released, l)
	if l.id == 0 {
		return
	}
	delete(x.dirtyLanes, l)
	x.floor = max(x.floor, l.last)
	x.forgotten = append(x.forgotten, l.id)
	delete(x.ids, l.id)
	x.changedLocked()
}

// dirty reports whether the manifest does not say all, and whether there were
// commits.
func (x *index) dirty() (dirty, commits bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for l := range x.released {
		x.forgetLocked(l)
	}
	return x.dirtyLocked(), len(x.dirtySegments) > 0
}

func (x *index) dirtyLocked() bool {
	return len(x.dirtySegments)+len(x.dirtyLanes)+len(x.forgotten)+len(x.removed) > 0
}

// saved reports whether the manifest says all; then the next change is told to
// the writer.
func (x *index) saved() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.dirtyLocked() {
		return false
	}
	x.saving = false
	return true
}

// written says that the manifest has on disk what was taken for it.
func (x *index) written() {
	x.mu.Lock()
	defer x.mu.Unlock()
	clear(x.unwritten)
}

// unfinishedLocked reports whether records of a lane may still be read, also after
// a crash, which sets the cursor back to that of the manifest.
func (x *index) unfinishedLocked(l *Lane) bool {
	_, dirty := x.dirtyLanes[l]
	_, unwritten := x.unwritten[l]
	return l.last > 0 && (l.pending > 0 || dirty || unwritten)
}

// stats fills in the index's accounts.
func (x *index) stats(s *queue.Stats) (oldest int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	s.Committed = x.committed
	s.Segments, s.Quarantined = len(x.segments), x.quarantined
	maps.Copy(s.Lost, x.lost)
	s.Pending = make(map[string]uint64, len(x.names))
	for name, l := range x.names {
		s.Pending[name] = l.pending
		if l.headAt != 0 && (oldest == 0 || l.headAt < oldest) {
			oldest = l.headAt
		}
	}
	for _, seg := range x.segments {
		s.DiskBytes += seg.disk.Load()
	}
	return oldest
}
