package wal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

func TestRoundTrip(t *testing.T) {
	l := open(t, quick(t.TempDir()))
	big := make([]byte, MaxRecord)
	rand.NewChaCha8([32]byte{1}).Read(big)
	in := [][]byte{[]byte("a"), {}, []byte(`{"x":"é"}`), big, []byte("z")}
	for i, b := range in {
		if err := l.Append("d/1", uint8(i%Classes), bytes.Clone(b)); err != nil {
			t.Fatal(err)
		}
	}
	mustFlush(t, l)
	recs := drain(t, l, "d/1", 0)
	if len(recs) != len(in) {
		t.Fatalf("read %d records, want %d", len(recs), len(in))
	}
	for i, r := range recs {
		if r.Seq != uint64(i+1) || r.Class != uint8(i%Classes) || !bytes.Equal(r.Data, in[i]) {
			t.Errorf("record %d: seq %d class %d, %d bytes", i, r.Seq, r.Class, len(r.Data))
		}
	}
}

// Groups at the limits of bytes, records and lanes must fit Badger's transaction.
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
				if err := l.Append(fmt.Sprintf("%0200d", i%c.lanes), 1, b); err != nil {
					t.Fatal(err)
				}
			}
			l.Start()
			defer l.Close()
			mustFlush(t, l)
			if s := l.Stats(); s.Committed != uint64(c.records) || s.Condition != OK || s.RingBytes != 0 {
				t.Errorf("committed %d of %d, %s, %d bytes in the ring", s.Committed, c.records, s.Condition, s.RingBytes)
			}
		})
	}
}

func TestOrderPerLane(t *testing.T) {
	l := open(t, quick(t.TempDir()))
	const lanes, each = 8, 2000
	var wg sync.WaitGroup
	for n := range lanes {
		lane := fmt.Sprint("d/", n)
		wg.Go(func() {
			for i := range each {
				if err := l.Append(lane, uint8(i%Classes), fmt.Appendf(nil, "%s %d", lane, i)); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() { // a reader beside the writer
			got := 0
			for got < each {
				<-l.Wait(lane)
				for {
					recs, err := l.Read(lane, l.Acked(lane), 10_000)
					if err != nil {
						t.Error(err)
					}
					if len(recs) == 0 {
						break
					}
					for _, r := range recs {
						if want := fmt.Sprintf("%s %d", lane, got); string(r.Data) != want || r.Seq != uint64(got+1) {
							t.Errorf("got %q as %d, want %q", r.Data, r.Seq, want)
						}
						got++
					}
					l.Ack(lane, recs[len(recs)-1].Seq)
				}
			}
		})
	}
	wg.Wait()
	if s := l.Stats(); s.Committed != lanes*each || s.Backlog != 0 || s.OldestAge != 0 {
		t.Errorf("stats: %+v", s)
	}
}

func TestReadFromInsideAPack(t *testing.T) {
	l := open(t, quick(t.TempDir()))
	fill(t, l, "a", 0, 100)
	for after := range uint64(100) {
		recs := drain(t, l, "a", after)
		if len(recs) != int(100-after) || recs[0].Seq != after+1 {
			t.Fatalf("after %d: %d records", after, len(recs))
		}
	}
	recs, err := l.Read("a", 10, 1) // at least one, however small the limit
	if err != nil || len(recs) != 1 || recs[0].Seq != 11 {
		t.Fatalf("%v, %v", recs, err)
	}
}

func TestReopenResumesAtCursor(t *testing.T) {
	o := quick(t.TempDir())
	l := open(t, o)
	fill(t, l, "a", 0, 10)
	fill(t, l, "b", 0, 5)
	l.Ack("a", 7)
	l.Ack("a", 3)  // never backwards
	l.Ack("b", 99) // never past what is committed
	mustClose(t, l)

	l = open(t, o)
	waitOpen(t, l)
	if a, b := l.Acked("a"), l.Acked("b"); a != 7 || b != 5 {
		t.Fatalf("acked %d and %d, want 7 and 5", a, b)
	}
	fill(t, l, "a", 10, 2)
	recs := drain(t, l, "a", l.Acked("a"))
	if len(recs) != 5 || string(recs[0].Data) != "a 7" || string(recs[4].Data) != "a 11" || recs[4].Seq != 12 {
		t.Fatalf("read %v", recs)
	}
	if lanes := l.Lanes(); len(lanes) != 2 || lanes[0] != "a" || lanes[1] != "b" {
		t.Errorf("lanes %q", lanes)
	}
	if n := len(l.Stats().Lost); n != 0 {
		t.Errorf("lost: %v", l.Stats().Lost)
	}
}

// A lane that is acknowledged to its end costs no access to the disk.
func TestReadOfDrainedLaneIsFree(t *testing.T) {
	l := open(t, quick(t.TempDir()))
	fill(t, l, "a", 0, 10)
	l.Ack("a", 10)
	l.mu.Lock()
	g := l.active
	l.mu.Unlock()
	g.mu.Lock() // a read that touched Badger would wait for this
	defer g.mu.Unlock()
	if n := testing.AllocsPerRun(100, func() {
		if recs, err := l.Read("a", 10, 1000); recs != nil || err != nil {
			t.Error(recs, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAppendAllocates(t *testing.T) {
	l := New(quick(t.TempDir())) // not started: only the ring
	defer l.Close()
	rec := make([]byte, 1000)
	if n := testing.AllocsPerRun(10_000, func() {
		if err := l.Append("a", 1, rec); err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

func TestBadAppends(t *testing.T) {
	l := New(quick(t.TempDir()))
	for _, c := range []struct {
		lane  string
		class uint8
		size  int
		want  error
	}{
		{"", 1, 1, ErrBadLane},
		{string(make([]byte, 256)), 1, 1, ErrBadLane},
		{"a", Classes, 1, ErrBadLane},
		{"a", 1, MaxRecord + 1, ErrTooLarge},
		{"a", 1, MaxRecord, nil},
	} {
		if err := l.Append(c.lane, c.class, make([]byte, c.size)); !errors.Is(err, c.want) {
			t.Errorf("lane %.5q class %d size %d: %v, want %v", c.lane, c.class, c.size, err, c.want)
		}
	}
	mustClose(t, l)
}

func TestClose(t *testing.T) {
	o := quick(t.TempDir())
	o.GroupDelay = 1 << 40 // only Close commits
	l := open(t, o)
	waitOpen(t, l)
	mustAppend(t, l, "a", 2, "last words")
	mustClose(t, l)
	mustClose(t, l)
	if err := l.Append("a", 2, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("append: %v", err)
	}
	if _, err := l.Read("a", 0, 1); !errors.Is(err, ErrClosed) {
		t.Errorf("read: %v", err)
	}
	l.Start() // too late, and harmless

	l = open(t, quick(o.Dir))
	waitOpen(t, l)
	if recs := drain(t, l, "a", 0); len(recs) != 1 || string(recs[0].Data) != "last words" {
		t.Errorf("read %v", recs)
	}
}

func TestCloseWithoutStartCountsTheRing(t *testing.T) {
	l := New(quick(t.TempDir()))
	mustAppend(t, l, "a", 2, "x")
	mustClose(t, l)
	if n := l.Stats().Lost[LostAtClose]; n != 1 {
		t.Errorf("lost %d, want 1", n)
	}
}

func TestFlushEndsWithContextAndClose(t *testing.T) {
	l := New(quick(t.TempDir()))
	mustAppend(t, l, "a", 2, "x")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.Flush(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("flush: %v", err)
	}
	done := make(chan error)
	go func() { done <- l.Flush(context.Background()) }()
	mustClose(t, l)
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("flush: %v", err)
	}
}
