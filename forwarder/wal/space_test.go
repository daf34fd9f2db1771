package wal

import (
	"errors"
	"fmt"
	"testing"
)

func TestFullDiskHoldsAndGoesOn(t *testing.T) {
	d := newDisk()
	l := open(t, quick(t.TempDir()), d.use)
	fill(t, l, "a", 0, 5)
	d.free.Store(l.opt.FreeSpaceFloor - 1)
	mustAppend(t, l, "a", 1, "a 5")
	until(t, "the log holds", func() bool { return l.Stats().Condition == Held })
	if s := l.Stats(); s.Committed != 5 || s.Reason == "" || s.FreeBytes != l.opt.FreeSpaceFloor-1 {
		t.Errorf("%+v", s)
	}
	d.free.Store(l.opt.FreeSpaceFloor)
	mustFlush(t, l)
	if recs := drain(t, l, "a", 0); len(recs) != 6 {
		t.Errorf("%d records", len(recs))
	}
	// Flush returns with the commit, the writer's word on it comes after.
	until(t, "the log is well again", func() bool { return l.Stats().Condition == OK })
}

// A disk that is full from the start: what is there can be read and removed,
// which is how the disk gets free again.
func TestFullDiskAtStart(t *testing.T) {
	o := prefilled(t)
	d := newDisk()
	d.free.Store(0)
	l := open(t, o, d.use)
	until(t, "the log holds", func() bool { return l.Stats().Condition == Held })
	mustAppend(t, l, "a", 1, "a 10")
	if recs := drain(t, l, "a", 4); len(recs) != 6 {
		t.Fatalf("read %d records", len(recs))
	}
	l.Ack("a", 10)
	until(t, "the drained generation goes", func() bool { return len(generations(t, o.Dir, "gen-*")) == 0 })
	d.free.Store(1 << 40)
	mustFlush(t, l)
	if recs := drain(t, l, "a", 10); len(recs) != 1 || recs[0].Seq != 11 || string(recs[0].Data) != "a 10" {
		t.Errorf("read %v", recs)
	}
	if s := l.Stats(); len(s.Lost) != 0 {
		t.Errorf("lost %v", s.Lost)
	}
}

// The ring sheds page, then track, identify last, and counts each record.
func TestFullRingShedsByClass(t *testing.T) {
	d := newDisk()
	d.free.Store(0)
	o := quick(t.TempDir())
	const size = 1000 - entryOverhead
	o.RingBytes = 10 * 1000
	l := open(t, o, d.use)
	until(t, "the log holds", func() bool { return l.Stats().Condition == Held })
	add := func(class uint8, n int) (accepted int) {
		for range n {
			switch err := l.Append("a", class, append(fmt.Appendf(nil, "%d", class), make([]byte, size-1)...)); {
			case err == nil:
				accepted++
			case !errors.Is(err, ErrFull):
				t.Fatal(err)
			}
		}
		return accepted
	}
	for _, c := range []struct {
		class            uint8
		offer, take      int
		shed0, shed1, s2 uint64
	}{
		{0, 4, 4, 0, 0, 0},
		{1, 6, 6, 0, 0, 0},
		{0, 3, 0, 3, 0, 0}, // full, and nothing is lower
		{2, 5, 5, 7, 1, 0}, // four pages and a track make room
		{1, 2, 0, 7, 3, 0},
		{2, 9, 5, 7, 8, 4},
	} {
		if got := add(c.class, c.offer); got != c.take {
			t.Errorf("class %d: accepted %d of %d, want %d", c.class, got, c.offer, c.take)
		}
		s := l.Stats()
		if a, b, e := sum(s.Shed[0]), sum(s.Shed[1]), sum(s.Shed[2]); a != c.shed0 || b != c.shed1 || e != c.s2 {
			t.Errorf("shed %d %d %d, want %d %d %d", a, b, e, c.shed0, c.shed1, c.s2)
		}
		if s.RingBytes > o.RingBytes {
			t.Errorf("the ring holds %d bytes of %d", s.RingBytes, o.RingBytes)
		}
	}
	if s := l.Stats(); s.Shed[1][ShedDiskFull] != 8 {
		t.Errorf("causes: %v", s.Shed)
	}
	d.free.Store(1 << 40)
	mustFlush(t, l)
	s := l.Stats()
	var offered, shed uint64
	for c := range Classes {
		offered += s.Appended[c]
		shed += sum(s.Shed[c])
	}
	if offered != 29 || offered != s.Committed+shed {
		t.Errorf("offered %d, committed %d, shed %d", offered, s.Committed, shed)
	}
	for _, r := range drain(t, l, "a", 0) {
		if r.Class != 2 || r.Data[0] != '2' {
			t.Errorf("record %d of class %d is left", r.Seq, r.Class)
		}
	}
}
