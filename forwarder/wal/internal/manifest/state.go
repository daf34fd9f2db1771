package manifest

import (
	"encoding/binary"
	"errors"
)

// ErrDamaged: the bytes are not what was written.
var ErrDamaged = errors.New("damaged manifest")

// Lane is what is durable of a lane.
type Lane struct {
	ID    uint32
	Name  string
	Acked uint64 // the cursor: all up to this sequence has ended
	Last  uint64 // the highest durable sequence; 0 when there is none
}

// Segment is a part of the log.
type Segment struct {
	Number      uint64
	Begun       int64 // Unix seconds
	Ended       int64 // when it took its last block; 0 when it has no index yet
	First, Last uint64
	// Lanes are the first sequences of the lanes in it, by lane. Those of a segment
	// that has ended are in its index.
	Lanes map[uint32]uint64
}

// Log is what is known of the log as a whole.
type Log struct {
	Incarnation uint64
	NextSegment uint64
	NextLane    uint32 // IDs below it that are not in Lanes were forgotten
	Floor       uint64 // no lane has had a sequence above it that is not in Lanes
	Clean       bool   // the log was closed, and nothing was written since
}

// Update is a change of what the manifest says. What is listed takes the place
// of what was said of it before.
type Update struct {
	Log       *Log
	Lanes     []Lane
	Forgotten []uint32
	Segments  []Segment // their Lanes are added to those known
	Removed   []uint64
}

// State is all that the manifest says.
type State struct {
	Log      Log
	Lanes    map[uint32]Lane
	Segments map[uint64]Segment
}

func newState() *State {
	return &State{Lanes: make(map[uint32]Lane), Segments: make(map[uint64]Segment)}
}

// The parts of an update, each behind its tag.
const (
	tagEnd = iota
	tagLog
	tagLane
	tagForgotten
	tagSegment
	tagRemoved
)

// append adds the update as it is written: for each part a tag and uvarints.
func (u *Update) append(b []byte) []byte {
	if l := u.Log; l != nil {
		clean := uint64(0)
		if l.Clean {
			clean = 1
		}
		b = uvarints(append(b, tagLog), l.Incarnation, l.NextSegment, uint64(l.NextLane), l.Floor, clean)
	}
	for i := range u.Lanes {
		l := &u.Lanes[i]
		b = uvarints(append(b, tagLane), uint64(l.ID), uint64(len(l.Name)))
		b = uvarints(append(b, l.Name...), l.Acked, l.Last)
	}
	for _, id := range u.Forgotten {
		b = uvarints(append(b, tagForgotten), uint64(id))
	}
	for i := range u.Segments {
		s := &u.Segments[i]
		b = uvarints(append(b, tagSegment), s.Number, uint64(s.Begun), uint64(s.Ended), s.First, s.Last, uint64(len(s.Lanes)))
		for id, first := range s.Lanes {
			b = uvarints(b, uint64(id), first)
		}
	}
	for _, n := range u.Removed {
		b = uvarints(append(b, tagRemoved), n)
	}
	return append(b, tagEnd)
}

func uvarints(b []byte, values ...uint64) []byte {
	for _, v := range values {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

// apply takes an update over, as append wrote it. Any bytes may be given. After
// an error the state is of no use.
func (s *State) apply(b []byte) error {
	d := decoder{b: b}
	for !d.bad {
		switch d.uvarint() {
		case tagEnd:
			if len(d.b) > 0 || d.bad {
				return ErrDamaged
			}
			return nil
		case tagLog:
			s.Log = Log{Incarnation: d.uvarint(), NextSegment: d.uvarint(), NextLane: d.uint32(), Floor: d.uvarint(), Clean: d.uvarint() == 1}
		case tagLane:
			l := Lane{ID: d.uint32(), Name: d.string(255), Acked: d.uvarint(), Last: d.uvarint()}
			if l.ID == 0 || l.Name == "" {
				return ErrDamaged
			}
			s.Lanes[l.ID] = l
		case tagForgotten:
			delete(s.Lanes, d.uint32())
		case tagSegment:
			s.applySegment(&d)
		case tagRemoved:
			delete(s.Segments, d.uvarint())
		default:
			return ErrDamaged
		}
	}
	return ErrDamaged
}

func (s *State) applySegment(d *decoder) {
	g := Segment{
		Number: d.uvarint(), Begun: int64(d.uvarint()), Ended: int64(d.uvarint()), First: d.uvarint(), Last: d.uvarint(),
	}
	g.Lanes = s.Segments[g.Number].Lanes
	if g.Lanes == nil {
		g.Lanes = make(map[uint32]uint64)
	}
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		id, first := d.uint32(), d.uvarint()
		if _, known := g.Lanes[id]; !known {
			g.Lanes[id] = first
		}
	}
	if g.Ended != 0 {
		clear(g.Lanes) // they are in its index
	}
	s.Segments[g.Number] = g
}

// decoder takes numbers off b; once something is wrong, bad stays set.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) uint32() uint32 {
	v := d.uvarint()
	if v > 1<<32-1 {
		d.bad = true
	}
	return uint32(v)
}

func (d *decoder) string(limit uint64) string {
	n := d.uvarint()
	if n > limit || n > uint64(len(d.b)) {
		d.bad = true
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}
