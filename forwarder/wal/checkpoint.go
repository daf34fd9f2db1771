package wal

import (
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/wal/internal/manifest"
)

const (
	// syncDelay is how long the manifest may lag behind commits on disk, and
	// cursorDelay how long a cursor that moves may be in memory only.
	syncDelay   = 250 * time.Millisecond
	cursorDelay = time.Second
)

// checkpoint writes to the manifest what the index has and the manifest does not.
type checkpoint struct {
	index *index
	wall  func() time.Time // for what is written down
	clock func() time.Time

	mu       sync.Mutex // held from the snapshot to the write, so that writes are in order
	manifest *manifest.Manifest
	log      manifest.Log // as the manifest has it
	clean    bool         // what to say from now on
	stale    bool         // an update could not be written: all is to be
}

// unix is the time of day of a moment of the running clock.
func (c *checkpoint) unix(t time.Time) int64 {
	return c.wall().Add(t.Sub(c.clock())).Unix()
}

// save makes the manifest say what has changed, durably.
func (c *checkpoint) save() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := manifest.ErrFull
	if !c.stale {
		err = c.manifest.Append(c.take(false))
	}
	if errors.Is(err, manifest.ErrFull) {
		err = c.manifest.Rewrite(c.take(true))
	}
	c.stale = err != nil
	if err == nil {
		c.index.written()
	}
	return err
}

// open makes the manifest say what the index has.
func (c *checkpoint) open(dir string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, err := manifest.Open(dir, c.take(true))
	if err != nil {
		return err
	}
	c.manifest = m
	c.index.written()
	return nil
}

func (c *checkpoint) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.manifest.Close()
}

// take returns what the manifest does not say, or all.
func (c *checkpoint) take(all bool) *manifest.Update {
	x := c.index
	x.mu.Lock()
	defer x.mu.Unlock()
	u := new(manifest.Update)
	now := manifest.Log{
		Incarnation: x.incarnation, NextSegment: x.nextSegment, NextLane: x.nextLane, Floor: x.floor, Clean: c.clean,
	}
	if all || now != c.log {
		u.Log, c.log = &now, now
	}
	if all {
		for _, l := range x.ids {
			u.Lanes = append(u.Lanes, l.stateLocked())
		}
		for _, seg := range x.segments {
			s := c.segment(seg)
			for id, r := range seg.lanes {
				if l := x.ids[id]; l != nil && l.durable >= r.First {
					s.Lanes[id] = r.First
				}
			}
			u.Segments = append(u.Segments, s)
		}
	} else {
		for l := range x.dirtyLanes {
			if l.id != 0 {
				u.Lanes = append(u.Lanes, l.stateLocked())
			}
		}
		for seg := range x.dirtySegments {
			s := c.segment(seg)
			for id, first := range seg.unsaved {
				if l := x.ids[id]; l == nil {
					delete(seg.unsaved, id)
				} else if l.durable >= first {
					s.Lanes[id] = first
					delete(seg.unsaved, id)
				}
			}
			u.Segments = append(u.Segments, s)
		}
		u.Forgotten, u.Removed = x.forgotten, x.removed
	}
	maps.Copy(x.unwritten, x.dirtyLanes)
	clear(x.dirtyLanes)
	clear(x.dirtySegments)
	x.forgotten, x.removed = nil, nil
	return u
}

// stateLocked is what the manifest says of a lane. It does not say of more than
// is durable that it is there.
func (ln *Lane) stateLocked() manifest.Lane {
	return manifest.Lane{ID: ln.id, Name: ln.name, Acked: ln.acked, Last: max(ln.durable, ln.acked)}
}

// segment is what the manifest says of a segment, but for its lanes.
func (c *checkpoint) segment(seg *segmentInfo) manifest.Segment {
	s := manifest.Segment{
		Number: seg.number, Begun: c.unix(seg.begun), First: seg.first, Last: seg.last, Lanes: make(map[uint32]uint64),
	}
	if seg.indexed {
		s.Ended = max(c.unix(seg.latest), 1)
	}
	return s
}

// writeIndex writes the index of a segment that has ended.
func (c *checkpoint) writeIndex(seg *segmentInfo, key string) error {
	x := c.index
	x.mu.Lock()
	index := &manifest.Index{
		Key: key, Incarnation: x.incarnation, First: seg.first, Last: seg.last, Lanes: make(map[uint32]manifest.Range, len(seg.lanes)),
	}
	for id, r := range seg.lanes {
		if x.ids[id] != nil {
			index.Lanes[id] = r
		}
	}
	x.mu.Unlock()
	if err := manifest.WriteIndex(seg.path+indexSuffix, index); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	seg.indexed, seg.lanes, seg.unsaved = true, nil, nil
	x.dirtySegments[seg] = struct{}{}
	return nil
}
