package wal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/internal/faketime"
)

func TestRoundTrip(t *testing.T) {
	l := open(t, quick(t.TempDir()))
	big := make([]byte, MaxRecord)
	rand.NewChaCha8([32]byte{1}).Read(big)
	in := [][]byte{[]byte("a"), {}, []byte(`{"x":"é"}`), big, []byte("z")}
	ln := l.Lane("d/1")
	for i, b := range in {
		if err := ln.Append(queue.Class(i%queue.Classes), bytes.Clone(b)); err != nil {
			t.Fatal(err)
		}
	}
	mustFlush(t, l)
	recs := drain(t, l, "d/1", 0)
	if len(recs) != len(in) {
		t.Fatalf("read %d records, want %d", len(recs), len(in))
	}
	for i, r := range recs {
		if r.Class != queue.Class(i%queue.Classes) {
			t.Errorf("record %d has class %d", i, r.Class)
		}
		if !bytes.Equal(r.Data, in[i]) {
			t.Errorf("record %d has %d bytes, want %d", i, len(r.Data), len(in[i]))
		}
	}
	if ln.End() != recs[len(recs)-1].Position || l.Ends()["d/1"] != ln.End() {
		t.Errorf("the lane ends at %v, its last record is at %v", ln.End(), recs[len(recs)-1].Position)
	}
}

func TestOrderPerLane(t *testing.T) {
	l := open(t, quick(t.TempDir()))
	const lanes, each = 8, 2000
	var wg sync.WaitGroup
	for n := range lanes {
		name := fmt.Sprint("d/", n)
		ln := l.Lane(name)
		wg.Go(func() {
			for i := range each {
				if err := ln.Append(queue.Class(i%queue.Classes), fmt.Appendf(nil, "%s %d", name, i)); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() { // a reader beside the writer
			got := 0
			for got < each {
				news := make(chan struct{})
				ln.Await(ln.Acknowledged(), 1, func() { close(news) })
				<-news
				recs, err := ln.Read(ln.Acknowledged(), 10_000)
				if err != nil {
					t.Error(err)
				}
				for _, r := range recs {
					if want := fmt.Sprintf("%s %d", name, got); string(r.Data) != want {
						t.Errorf("got %q, want %q", r.Data, want)
					}
					got++
				}
				if len(recs) > 0 {
					ln.Acknowledge(recs[len(recs)-1].Position)
				}
			}
		})
	}
	wg.Wait()
	if s := l.Stats(); s.Committed != lanes*each || s.TotalPending() != 0 || s.Oldest != 0 {
		t.Errorf("committed %d, pending %d, oldest %v", s.Committed, s.TotalPending(), s.Oldest)
	}
}

func TestReadFromInsideABlock(t *testing.T) {
	l := open(t, quick(t.TempDir()))
	fill(t, l, "a", 0, 100)
	for after := range uint64(100) {
		recs := drain(t, l, "a", after)
		if len(recs) != int(100-after) || offset(l, recs[0].Position) != after+1 {
			t.Fatalf("after %d: %d records", after, len(recs))
		}
	}
	recs, err := l.Lane("a").Read(at(l, 10), 1) // at least one, however small the limit
	if err != nil || len(recs) != 1 || offset(l, recs[0].Position) != 11 {
		t.Fatalf("%v, %v", recs, err)
	}
}

func TestReopenResumesAtCursor(t *testing.T) {
	o := quick(t.TempDir())
	l := open(t, o)
	fill(t, l, "a", 0, 10)
	fill(t, l, "b", 0, 5)
	acknowledge(l, "a", 7)
	acknowledge(l, "a", 3)  // never backwards
	acknowledge(l, "b", 99) // never past what is committed
	incarnation := at(l, 0)
	mustClose(t, l)

	l = open(t, o)
	waitOpen(t, l)
	if at(l, 0) != incarnation {
		t.Error("the log has another incarnation")
	}
	if a := acked(l, "a"); a != 7 {
		t.Fatalf("acknowledged %d, want 7", a)
	}
	fill(t, l, "a", 10, 2)
	wantTexts(t, drain(t, l, "a", 7), "a 7", "a 8", "a 9", "a 10", "a 11")
	wantLost(t, l, nil)
	if recs := drain(t, l, "b", 0); len(recs) != 0 {
		t.Errorf("read %q again", texts(recs))
	}
	if p := l.Stats().Pending; p["a"] != 5 || p["b"] != 0 {
		t.Errorf("pending %v", p)
	}
}

// A position of another incarnation, or none, acknowledges nothing.
func TestForeignPositions(t *testing.T) {
	l := open(t, quick(t.TempDir()))
	fill(t, l, "a", 0, 5)
	ln := l.Lane("a")
	for _, p := range []queue.Position{{}, queue.At(7, 3)} {
		if from := ln.Acknowledge(p); from != at(l, 0) || acked(l, "a") != 0 {
			t.Errorf("%v moves the cursor to %d", p, acked(l, "a"))
		}
	}
	if from := ln.Acknowledge(at(l, 3)); from != at(l, 0) {
		t.Errorf("the cursor was at %v", from)
	}
	if from := ln.Acknowledge(at(l, 2)); from != at(l, 3) || acked(l, "a") != 3 {
		t.Errorf("the cursor was at %v and is at %d", from, acked(l, "a"))
	}
}

// A lane that was read to its end costs no access to the disk.
func TestReadOfDrainedLaneIsFree(t *testing.T) {
	l := open(t, quick(t.TempDir()))
	fill(t, l, "a", 0, 10)
	acknowledge(l, "a", 10)
	ln, end := l.Lane("a"), at(l, 10)
	l.index.mu.Lock()
	seg := l.index.active
	l.index.mu.Unlock()
	seg.mu.Lock() // a read that touched Badger would wait for this
	defer seg.mu.Unlock()
	if n := testing.AllocsPerRun(100, func() {
		if recs, err := ln.Read(end, 1000); recs != nil || err != nil {
			t.Error(recs, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Live traffic is read out of memory: no block is read from a segment for a
// reader that keeps up.
func TestLiveReadsTouchNoDisk(t *testing.T) {
	faketime.Test(t, func(t *testing.T) { // so each round is one group
		l := open(t, quick(t.TempDir()))
		waitOpen(t, l)
		var lanes []*Lane
		for i := range 8 {
			lanes = append(lanes, l.Lane(fmt.Sprint("d/", i)))
		}
		for round := range 50 {
			for i := range 40 {
				if err := lanes[i%8].Append(1, fmt.Appendf(nil, "%d %d", round, i)); err != nil {
					t.Fatal(err)
				}
			}
			mustFlush(t, l)
			for _, ln := range lanes {
				recs, err := ln.Read(ln.Acknowledged(), 1<<20)
				if err != nil || len(recs) != 5 {
					t.Fatalf("%d records, %v", len(recs), err)
				}
				ln.Acknowledge(recs[4].Position)
			}
		}
		if n := l.Stats().Reads; n != 0 {
			t.Errorf("%d reads from disk", n)
		}
		if l.cache.bytes != 0 || len(l.cache.blocks) != 0 {
			t.Errorf("%d bytes stay in the cache after all was read", l.cache.bytes)
		}
	})
}

func TestAppendAllocates(t *testing.T) {
	l := New(quick(t.TempDir())) // not started: only the buffer
	defer l.Close()
	ln, rec := l.Lane("a"), make([]byte, 1000)
	if n := testing.AllocsPerRun(10_000, func() {
		if err := ln.Append(1, rec); err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

func TestBadAppends(t *testing.T) {
	l := New(quick(t.TempDir()))
	for _, c := range []struct {
		class queue.Class
		size  int
		want  error
	}{
		{queue.Classes, 1, queue.ErrTooLarge},
		{1, MaxRecord + 1, queue.ErrTooLarge},
		{1, MaxRecord, nil},
	} {
		if err := l.Lane("a").Append(c.class, make([]byte, c.size)); !errors.Is(err, c.want) {
			t.Errorf("class %d size %d: %v, want %v", c.class, c.size, err, c.want)
		}
	}
	mustClose(t, l)
}

// Await fires once, at once when there is something already, and when as much
// has come as was asked for.
func TestAwait(t *testing.T) {
	l := open(t, quick(t.TempDir()))
	waitOpen(t, l)
	ln := l.Lane("a")
	fired := make(chan string, 10)
	await := func(name string, bytes int) { ln.Await(ln.Acknowledged(), bytes, func() { fired <- name }) }
	want := func(names ...string) {
		t.Helper()
		mustFlush(t, l)
		for _, name := range names {
			select {
			case got := <-fired:
				if got != name {
					t.Errorf("fired %s, want %s", got, name)
				}
			case <-time.After(10 * time.Second):
				t.Errorf("%s did not fire", name)
			}
		}
		if n := len(fired); n > 0 {
			t.Errorf("%d calls too many", n)
		}
	}
	await("first", 1)
	want()
	mustAppend(t, l, "a", 1, "0123456789")
	want("first")
	mustAppend(t, l, "a", 1, "0123456789")
	want() // not armed
	await("at once", 1)
	want("at once")
	await("replaced", 100)
	await("thirty", 30)
	want()
	mustAppend(t, l, "a", 1, "0123456789")
	want("thirty")
	recs := drain(t, l, "a", 0)
	ln.Acknowledge(recs[len(recs)-1].Position)
	await("more", 1)
	want()
	mustAppend(t, l, "b", 1, "another lane's")
	want()
	mustAppend(t, l, "a", 1, "x")
	want("more")
	await("given up", 1) // what was not read yet
	want("given up")
}

func TestClose(t *testing.T) {
	o := quick(t.TempDir())
	o.GroupDelay = 1 << 40 // only Close commits
	l := open(t, o)
	waitOpen(t, l)
	mustAppend(t, l, "a", 2, "last words")
	mustClose(t, l)
	mustClose(t, l)
	if err := l.Lane("a").Append(2, nil); !errors.Is(err, queue.ErrClosed) {
		t.Errorf("append: %v", err)
	}
	if _, err := l.Lane("a").Read(queue.Position{}, 1); !errors.Is(err, queue.ErrClosed) {
		t.Errorf("read: %v", err)
	}
	if err := l.Ready(); !errors.Is(err, queue.ErrNotHeld) {
		t.Errorf("ready: %v", err)
	}
	l.Start() // too late, and harmless

	l = open(t, quick(o.Dir))
	waitOpen(t, l)
	wantTexts(t, drain(t, l, "a", 0), "last words")
}

func TestCloseWithoutStartCountsTheBuffer(t *testing.T) {
	l := New(quick(t.TempDir()))
	mustAppend(t, l, "a", 2, "x")
	mustClose(t, l)
	wantLost(t, l, map[queue.LossCause]uint64{queue.LostShutdown: 1})
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
	if err := <-done; !errors.Is(err, queue.ErrClosed) {
		t.Errorf("flush: %v", err)
	}
}

// Records that keep coming do not keep Flush or Close waiting.
func TestFlushUnderLoad(t *testing.T) {
	l := open(t, quick(t.TempDir()))
	waitOpen(t, l)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 4 {
		ln := l.Lane(fmt.Sprint("d/", i))
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					if ln.Append(1, make([]byte, 500)) != nil {
						time.Sleep(time.Millisecond)
					}
				}
			}
		})
	}
	for range 20 {
		before := l.Stats().Offered[1]
		mustFlush(t, l)
		if s := l.Stats(); s.Committed+sum(s.Shed[1]) < before {
			t.Errorf("flush returned with %d of %d committed", s.Committed, before)
		}
	}
	start := time.Now()
	_ = l.Close() // it may say that the disk did not finish
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("close took %v", d)
	}
	close(stop)
	wg.Wait()
	<-l.finished
}
