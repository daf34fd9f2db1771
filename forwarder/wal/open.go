package wal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/forwarder/wal/internal/block"
	"github.com/intilery/caddy-intilery/forwarder/wal/internal/manifest"
	"github.com/intilery/caddy-intilery/forwarder/wal/internal/segment"
	"github.com/intilery/caddy-intilery/internal/fsx"
	"github.com/intilery/caddy-intilery/internal/seal"
)

const (
	// jump is how far sequences jump at an open that does not follow a Close: the
	// manifest may lag by syncDelay, and sequences given out in that time must not
	// come again.
	jump = 1 << 20
	// lastChance is how long records that are overdue at start may still be taken.
	// It also covers for a clock that is wrong when a machine starts.
	lastChance = 10 * time.Minute
)

// open takes the directory and reads what it holds. Nothing but the lock is
// written before it is known that all of it can be read. It is called until it
// succeeds, and then never again.
func (w *writer) open() error {
	l, dir := w.l, w.l.opt.Dir
	if w.lock == nil {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("create the directory: %w", err)
		}
		fsx.OverwriteInPlace(dir)
		lock, err := fsx.LockFile(filepath.Join(dir, lockName))
		if err != nil {
			return err
		}
		w.lock = lock
	}
	ld := loader{log: l, lanes: make(map[uint32]*loadedLane)}
	if err := ld.read(); err != nil {
		return err
	}
	for _, seg := range ld.segments {
		segment.Release(seg.path) // before the manifest needs room
	}
	w.groups.nextBlock = ld.install()
	if err := l.checkpoint.open(dir); err != nil {
		return err
	}
	for _, seg := range ld.unindexed {
		if err := l.checkpoint.writeIndex(seg, l.opt.Keys.SealingID()); err != nil {
			l.log.Warn("a segment's index cannot be written; it is rebuilt at the next start", "segment", seg.number, "error", err)
		}
	}
	close(l.opened)
	for _, call := range l.index.wakeAll() {
		call()
	}
	l.janitor.nudge()
	return nil
}

// loader finds out what a directory holds.
type loader struct {
	log   *Log
	state *manifest.State
	trust bool // the manifest is whole

	segments    []*loadedSegment // ascending
	lanes       map[uint32]*loadedLane
	incarnation uint64
	clean       bool
	quarantined int

	unindexed []*segmentInfo // once installed
}

// loadedSegment is a segment in the directory, in the manifest, or in both.
type loadedSegment struct {
	*segmentInfo
	onDisk  bool
	must    map[uint32]manifest.Range // what it must hold
	holds   map[uint32]manifest.Range // what was found, if it was looked into
	foreign bool                      // it has blocks of another log
}

type loadedLane struct {
	name        string
	acked, last uint64
}

// read reads the manifest, the indexes, and the segments that have none.
func (ld *loader) read() error {
	dir := ld.log.opt.Dir
	state, damaged, err := manifest.Load(dir)
	if err != nil {
		return err
	}
	ld.trust = state != nil && !damaged
	if damaged {
		ld.log.log.Error("the queue's manifest is damaged; it is rebuilt from the segments, and some events may be sent again", "dir", dir)
	}
	if state == nil {
		state = &manifest.State{}
	}
	ld.state, ld.incarnation = state, state.Log.Incarnation
	for id, s := range state.Lanes {
		ld.lanes[id] = &loadedLane{s.Name, s.Acked, s.Last}
	}
	if err := ld.list(); err != nil {
		return err
	}
	ld.expect()
	for _, seg := range ld.segments {
		if seg.onDisk && !(seg.indexed && ld.trust && ld.knows(seg)) {
			if err := ld.look(seg); err != nil {
				return err
			}
		}
	}
	ld.clean = ld.trust && state.Log.Clean || !damaged && len(ld.segments) == 0
	return nil
}

// knows reports whether the manifest knows the lanes of an indexed segment. One
// whose end is damaged or was not written yet does not: it is behind the index.
func (ld *loader) knows(seg *loadedSegment) bool {
	for id := range seg.must {
		if id >= ld.state.Log.NextLane {
			return false
		}
	}
	return true
}

// list finds the segments and reads their indexes.
func (ld *loader) list() error {
	files, err := os.ReadDir(ld.log.opt.Dir)
	if err != nil {
		return fmt.Errorf("list the directory: %w", err)
	}
	found := make(map[uint64]*loadedSegment)
	add := func(n uint64) *loadedSegment {
		if found[n] == nil {
			s := ld.state.Segments[n]
			seg := ld.log.segments.info(n, ld.moment(s.Begun))
			seg.first, seg.last = s.First, s.Last
			seg.latest = ld.moment(s.Ended)
			found[n] = &loadedSegment{segmentInfo: seg, must: make(map[uint32]manifest.Range)}
			ld.segments = append(ld.segments, found[n])
		}
		return found[n]
	}
	for n := range ld.state.Segments {
		add(n)
	}
	for _, f := range files {
		if strings.HasPrefix(f.Name(), quarantinePrefix) {
			ld.quarantined++
		}
		if n, ok := segmentNumber(f.Name()); ok && f.IsDir() {
			seg := add(n)
			seg.onDisk = true
			seg.disk.Store(fsx.Usage(seg.path))
		}
	}
	for _, seg := range ld.segments {
		x, err := manifest.ReadIndex(seg.path + indexSuffix)
		if err != nil {
			return err
		}
		if x == nil || ld.incarnation != 0 && x.Incarnation != ld.incarnation {
			continue
		}
		if !ld.log.opt.Keys.HasID(x.Key) {
			return fmt.Errorf("%s: %w", filepath.Base(seg.path), seal.ErrKey)
		}
		ld.incarnation = x.Incarnation
		seg.first, seg.last, seg.must, seg.indexed = x.First, x.Last, x.Lanes, true
	}
	slices.SortFunc(ld.segments, func(a, b *loadedSegment) int { return int(a.number) - int(b.number) })
	return nil
}

// moment is the running clock's time of a time of day that was written down; now
// when that is 0. It is not so long ago that records would expire at once.
func (ld *loader) moment(unix int64) time.Time {
	l := ld.log
	if unix == 0 {
		return l.now()
	}
	age := max(l.wall().Sub(time.Unix(unix, 0)), 0)
	return l.now().Add(-min(age, max(l.opt.MaxAge-lastChance, 0)))
}

// expect says what the segments without an index must hold, by the manifest: of
// each lane what follows its first sequence there, up to the next segment's or
// to the lane's last.
func (ld *loader) expect() {
	for i, seg := range ld.segments {
		if seg.indexed {
			continue
		}
		for id, first := range ld.state.Segments[seg.number].Lanes {
			ln := ld.lanes[id]
			if ln == nil {
				continue
			}
			r := manifest.Range{First: first, Last: ln.last}
			for _, later := range ld.segments[i+1:] {
				next, ok := ld.state.Segments[later.number].Lanes[id]
				if later.indexed {
					var x manifest.Range
					x, ok = later.must[id]
					next = x.First
				}
				if ok {
					r.Last = next - 1
					break
				}
			}
			if r.Last >= r.First {
				seg.must[id] = r
			}
		}
	}
}

// look finds out what a segment holds.
func (ld *loader) look(seg *loadedSegment) error {
	seg.holds = make(map[uint32]manifest.Range)
	seg.first = 0
	err := segment.Each(seg.path, findBlock, func(v []byte) error {
		h, err := block.Check(v)
		if err != nil {
			return nil // it counts as lost when a reader misses it
		}
		if ld.incarnation == 0 {
			ld.incarnation = h.Incarnation
		}
		if h.Incarnation != ld.incarnation {
			seg.foreign = true
			return nil
		}
		if !ld.log.decoder.Opens(h, v) {
			return fmt.Errorf("%s: %w", filepath.Base(seg.path), seal.ErrKey)
		}
		if seg.first == 0 {
			seg.first = h.Number
		}
		seg.last = max(seg.last, h.Number)
		seg.latest = ld.moment(h.Time / 1000)
		for i := range h.Lanes {
			ld.found(seg, &h.Lanes[i])
		}
		return nil
	})
	if errors.Is(err, seal.ErrKey) {
		return err
	}
	if err != nil {
		ld.log.log.Error("a segment of the queue cannot be read", "segment", seg.number, "error", err)
	}
	return nil
}

// found notes what a block has of a lane.
func (ld *loader) found(seg *loadedSegment, b *block.Lane) {
	ln := ld.lanes[b.ID]
	switch {
	case ln == nil && ld.trust && b.ID < ld.state.Log.NextLane:
		return // it was forgotten
	case ln == nil:
		ln = &loadedLane{name: b.Name, acked: b.First - 1}
		ld.lanes[b.ID] = ln
	case ln.name != b.Name:
		seg.foreign = true
		return
	}
	ln.last = max(ln.last, b.Last())
	widen(seg.holds, b.ID, manifest.Range{First: b.First, Last: b.Last()})
}

// widen adds a range to what a segment has of a lane.
func widen(ranges map[uint32]manifest.Range, lane uint32, r manifest.Range) {
	if had, ok := ranges[lane]; ok {
		r = manifest.Range{First: min(r.First, had.First), Last: max(r.Last, had.Last)}
	}
	ranges[lane] = r
}

// install gives the index what was found, counts what is missing, and returns
// the number of the next block.
func (ld *loader) install() (nextBlock uint64) {
	x, l := ld.log.index, ld.log
	x.mu.Lock()
	defer x.mu.Unlock()
	if ld.incarnation == 0 {
		ld.incarnation = rand.Uint64() | 1
	}
	x.incarnation = ld.incarnation
	x.floor, x.nextLane, x.nextSegment = ld.state.Log.Floor, max(ld.state.Log.NextLane, 1), max(ld.state.Log.NextSegment, 1)
	x.quarantined = ld.quarantined
	skip := uint64(jump)
	if ld.clean {
		skip = 0
	}
	x.floor += skip
	for id, s := range ld.lanes {
		ln := x.laneLocked(s.name, l)
		if ln.id != 0 {
			l.log.Error("two lanes of the queue have one name; what one of them holds is not sent", "lane", s.name)
			continue
		}
		ln.id = id
		ln.acked, ln.last = s.acked, max(s.last, s.acked)
		ln.durable, ln.given = ln.last, ln.last+skip
		ln.unread = 1 << 40 // not known
		x.ids[id] = ln
		x.nextLane = max(x.nextLane, id+1)
	}
	for _, seg := range ld.segments {
		nextBlock = max(nextBlock, seg.last)
		x.nextSegment = max(x.nextSegment, seg.number+1)
		ld.installSegment(x, seg)
	}
	for _, ln := range x.ids {
		x.forgetLocked(ln)
	}
	return nextBlock + skip + 1
}

// installSegment adds what a segment has of each lane to what is pending, and
// counts what it must have and has not.
func (ld *loader) installSegment(x *index, seg *loadedSegment) {
	info := seg.segmentInfo
	looked := seg.holds != nil
	ranges := make(map[uint32]manifest.Range, max(len(seg.must), len(seg.holds)))
	for _, m := range []map[uint32]manifest.Range{seg.must, seg.holds} {
		for id, r := range m {
			widen(ranges, id, r)
		}
	}
	if seg.onDisk {
		x.segments = append(x.segments, info)
		info.damaged = seg.foreign
		if looked {
			info.indexed, info.lanes = false, ranges
			ld.unindexed = append(ld.unindexed, info)
		}
	} else {
		x.removed = append(x.removed, seg.number)
		if !ld.trust {
			return // it may have been removed because it was drained
		}
	}
	for id, r := range ranges {
		ln := x.ids[id]
		if ln == nil || r.Last <= ln.acked {
			continue
		}
		if len(ln.spans) == 0 {
			ln.headAt = ld.log.wall().Add(info.begun.Sub(ld.log.now())).UnixMilli()
		}
		before := len(ln.spans)
		ln.spans.add(span{info, max(r.First, ln.acked+1), r.Last})
		if len(ln.spans) > before {
			ln.pending += ln.spans[before].count()
			info.left++
		}
		ln.last = max(ln.last, r.Last)
		must, found := seg.must[id], seg.holds[id]
		var n uint64
		switch {
		case !seg.onDisk, looked && found == manifest.Range{}:
			n = x.loseLocked(ln, must.First, must.Last, queue.LostMissing)
		case looked && must != manifest.Range{}:
			if must.First < found.First {
				n = x.loseLocked(ln, must.First, found.First-1, queue.LostMissing)
			}
			if found.Last < must.Last {
				n += x.loseLocked(ln, found.Last+1, must.Last, queue.LostMissing)
			}
		}
		info.damaged = info.damaged || n > 0
	}
}
