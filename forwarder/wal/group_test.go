package wal

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// Groups at the limits of bytes, records and lanes fit a block and a segment.
func TestLargestGroups(t *testing.T) {
	noise := rand.NewChaCha8([32]byte{2})
	for _, c := range []struct {
		name           string
		lanes, records int
		size           int
	}{
		{"incompressible", 4, 64, 100 << 10},
		{"many lanes", 4000, 12000, 8},
		{"one byte", 1, 20000, 1},
		{"largest", 1, 12, MaxRecord},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := New(quick(t.TempDir()))
			for i := range c.records {
				b := make([]byte, c.size)
				noise.Read(b)
				if err := l.Lane(fmt.Sprintf("%0200d", i%c.lanes)).Append(1, b); err != nil {
					t.Fatal(err)
				}
			}
			l.Start()
			defer l.Close()
			mustFlush(t, l)
			waitOpen(t, l)
			if s := l.Stats(); s.Committed != uint64(c.records) || s.BufferBytes != 0 || s.TotalPending() != s.Committed {
				t.Errorf("committed %d of %d, pending %d, %d bytes buffered", s.Committed, c.records, s.TotalPending(), s.BufferBytes)
			}
			n := 0
			for lane := range c.lanes {
				n += len(drain(t, l, fmt.Sprintf("%0200d", lane), 0))
			}
			if n != c.records {
				t.Errorf("read %d of %d", n, c.records)
			}
		})
	}
}

// A large group is compressed fast while its readers keep up, and small while
// they do not: then it stays on disk.
func TestFastWhileLive(t *testing.T) {
	o := quick(t.TempDir())
	o.SegmentBytes = 16 << 20
	l := open(t, o)
	waitOpen(t, l)
	large := bytes.Join(events(200), nil)
	fill(t, l, "b", 0, 1) // there is a segment
	fill(t, l, "b", 1, 1) // nobody has read the one before
	commit := func() (size int64) {
		before := l.writer.active.w.Bytes()
		mustAppend(t, l, "a", 1, string(large))
		mustFlush(t, l)
		return l.writer.active.w.Bytes() - before
	}
	first := commit()
	read := drain(t, l, "a", 0)
	commit() // somebody waits for this one, and is known to from then on
	fast := commit()
	slow := commit()
	if fast < first*3/2 {
		t.Errorf("%d bytes with a reader that keeps up, %d without", fast, first)
	}
	if slow > first*11/10 {
		t.Errorf("%d bytes once the reader lags behind, %d at first", slow, first)
	}
	o.Dir = copyFiles(t, o.Dir)
	mustClose(t, l)
	l = open(t, o)
	waitOpen(t, l)
	for _, r := range append(read, drain(t, l, "a", 0)...) {
		if !bytes.Equal(r.Data, large) {
			t.Errorf("the record at %v is not what it was", r.Position)
		}
	}
}
