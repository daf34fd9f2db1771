package wal

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// blocked is a log that cannot begin a segment, as its disk is full.
func blocked(t *testing.T, o Options) (*Log, *disk) {
	t.Helper()
	d := newDisk(0)
	l := open(t, o, d.use)
	waitCondition(t, l, queue.DiskFull)
	return l, d
}

// The buffer sheds page, then track, identify last, and counts each record.
func TestFullBufferShedsByClass(t *testing.T) {
	o := quick(t.TempDir())
	const size = 1000 - entryOverhead
	o.BufferBytes = 10 * 1000
	l, d := blocked(t, o)
	ln := l.Lane("a")
	add := func(class queue.Class, n int) (accepted int) {
		for range n {
			switch err := ln.Append(class, append(fmt.Appendf(nil, "%d", class), make([]byte, size-1)...)); {
			case err == nil:
				accepted++
			case !errors.Is(err, queue.ErrFull):
				t.Fatal(err)
			}
		}
		return accepted
	}
	for _, c := range []struct {
		class            queue.Class
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
		if s.BufferBytes > o.BufferBytes {
			t.Errorf("%d bytes are buffered, of %d", s.BufferBytes, o.BufferBytes)
		}
	}
	if s := l.Stats(); s.Shed[1][queue.ShedDiskFull] != 8 {
		t.Errorf("causes: %v", s.Shed)
	}
	d.bytes.Store(plenty)
	mustFlush(t, l)
	s := l.Stats()
	var offered, shed uint64
	for c := range queue.Classes {
		offered += s.Offered[c]
		shed += sum(s.Shed[c])
	}
	if offered != 29 || offered != s.Committed+shed {
		t.Errorf("offered %d, committed %d, shed %d", offered, s.Committed, shed)
	}
	for _, r := range drain(t, l, "a", 0) {
		if r.Class != 2 || r.Data[0] != '2' {
			t.Errorf("a record of class %d is left", r.Class)
		}
	}
}

// What is buffered of a visitor goes, is counted by class, and nothing else does.
func TestDrop(t *testing.T) {
	l, d := blocked(t, quick(t.TempDir()))
	for i := range 9000 {
		mustAppend(t, l, fmt.Sprint("d/", i%3), queue.Class(i%3), fmt.Sprintf("visitor %d record %d", i%10, i))
	}
	mine := func(rec []byte) bool { return bytes.HasPrefix(rec, []byte("visitor 7 ")) }
	before := l.Stats().BufferBytes
	if got, want := l.Drop(mine), [queue.Classes]uint64{300, 300, 300}; got != want || l.Stats().Erased != want {
		t.Errorf("dropped %v, counted %v, want %v", got, l.Stats().Erased, want)
	}
	if got := l.Drop(mine); got != [queue.Classes]uint64{} {
		t.Errorf("dropped %v again", got)
	}
	if after := l.Stats().BufferBytes; after >= before || after <= before*8/10 {
		t.Errorf("%d bytes of %d are left", after, before)
	}
	d.bytes.Store(plenty)
	mustFlush(t, l)
	n := 0
	for i := range 3 {
		for _, r := range drain(t, l, fmt.Sprint("d/", i), 0) {
			n++
			if mine(r.Data) {
				t.Fatalf("%s was committed", r.Data)
			}
		}
	}
	if s := l.Stats(); n != 8100 || s.Committed != 8100 || s.BufferBytes != 0 {
		t.Errorf("read %d, committed %d, %d bytes left", n, s.Committed, s.BufferBytes)
	}
}

// Dropping beside a log at work: each record is either dropped or committed.
func TestDropWhileCommitting(t *testing.T) {
	l := open(t, quick(t.TempDir()))
	const each = 20_000
	ln := l.Lane("a")
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range each {
			if err := ln.Append(queue.Class(i%queue.Classes), fmt.Append(nil, i)); err != nil {
				t.Error(err)
			}
		}
	})
	var dropped uint64
	for range 50 {
		for _, n := range l.Drop(func(rec []byte) bool { return rec[len(rec)-1] == '7' }) {
			dropped += n
		}
	}
	wg.Wait()
	mustFlush(t, l)
	if s := l.Stats(); s.Committed+dropped != each || uint64(len(drain(t, l, "a", 0))) != s.Committed || s.BufferBytes != 0 {
		t.Errorf("dropped %d, committed %d, %d bytes left", dropped, s.Committed, s.BufferBytes)
	}
}
