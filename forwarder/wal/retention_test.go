package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/internal/faketime"
	"github.com/intilery/caddy-intilery/internal/fsx"
)

// weighed is a directory's size that a test sets.
type weighed struct{ bytes atomic.Int64 }

func (w *weighed) use(l *Log) { l.used = w.bytes.Load }

// Near the maximum size the lowest class is refused first, the highest never.
func TestMaxSizeRefusesByClass(t *testing.T) {
	o := quick(t.TempDir())
	o.MaxBytes = 3200
	var w weighed
	l := open(t, o, w.use)
	fill(t, l, "a", 0, 1)
	for _, c := range []struct {
		bytes int64
		takes [queue.Classes]bool
	}{
		{2599, [...]bool{true, true, true, true, true}},
		{2600, [...]bool{false, true, true, true, true}},
		{2700, [...]bool{false, false, false, true, true}},
		{2800, [...]bool{false, false, false, false, true}},
		{2999, [...]bool{false, false, false, false, true}},
		{2600, [...]bool{false, true, true, true, true}},
		{0, [...]bool{true, true, true, true, true}},
	} {
		w.bytes.Store(c.bytes)
		if err := l.janitor.weigh(); err != nil {
			t.Fatal(err)
		}
		for class, takes := range c.takes {
			err := l.Lane("a").Append(queue.Class(class), []byte("x"))
			if takes != (err == nil) || err != nil && !errors.Is(err, queue.ErrFull) {
				t.Errorf("at %d bytes, class %d: %v", c.bytes, class, err)
			}
		}
		mustFlush(t, l)
	}
	s := l.Stats()
	var shed [queue.Classes]uint64
	for class, causes := range s.Shed {
		shed[class] = causes[queue.ShedMaxSize]
	}
	if want := [...]uint64{5, 3, 3, 2, 0}; shed != want {
		t.Errorf("shed %v, want %v", shed, want)
	}
	if s.Committed != 1+5*7-13 {
		t.Errorf("committed %d", s.Committed)
	}
	wantLost(t, l, nil)
}

// At the maximum size quarantine goes first, then the oldest segment, delivered
// or not, counted to the record; readers go on behind it.
func TestMaxSizeDropsTheOldest(t *testing.T) {
	o := quick(t.TempDir())
	o.MaxBytes = 1600
	var w weighed
	l := open(t, o, w.use)
	fill(t, l, "a", 0, 30)
	fill(t, l, "b", 0, 6)
	acknowledge(l, "a", 5)
	rotate(l)
	fill(t, l, "a", 30, 1)
	old := filepath.Join(o.Dir, quarantinePrefix+"20200101T000000Z-seg-9")
	if err := os.Mkdir(old, 0o700); err != nil {
		t.Fatal(err)
	}
	var sizes atomic.Int64
	l.janitor.mu.Lock()
	l.used = func() int64 { return max(0, sizes.Add(-200)) }
	l.janitor.mu.Unlock()
	sizes.Store(1700) // weighed as 1500, and as 1300 once the quarantine has gone
	if err := l.janitor.weigh(); err != nil {
		t.Fatal(err)
	}
	wantLost(t, l, nil)
	if left := glob(t, o.Dir, "quarantine-*"); len(left) != 0 {
		t.Errorf("quarantine stays: %q", left)
	}
	sizes.Store(1700)
	if err := l.janitor.weigh(); err != nil {
		t.Fatal(err)
	}
	wantLost(t, l, map[queue.LossCause]uint64{queue.LostMaxSize: 25 + 6})
	wantTexts(t, drain(t, l, "a", acked(l, "a")), "a 30")
	if p := l.Stats().Pending; p["a"] != 1 || p["b"] != 0 {
		t.Errorf("pending %v", p)
	}
}

// Real blocks: however much comes in undelivered, the directory stays below the
// maximum size.
func TestMaxSizeHolds(t *testing.T) {
	o := quick(t.TempDir())
	o.MaxBytes = 64 << 20
	l := open(t, o)
	evs := noisy(40, 400<<10)
	var most int64
	for range 8 {
		for i, ev := range evs {
			if err := l.Lane("a").Append(queue.Classes-1, ev); err != nil {
				t.Fatal(err)
			}
			if i%2 == 1 {
				mustFlush(t, l)
				most = max(most, fsx.Usage(o.Dir))
			}
		}
	}
	if most > o.MaxBytes {
		t.Errorf("the directory came to %d bytes", most)
	}
	s := l.Stats()
	rest := uint64(len(drain(t, l, "a", acked(l, "a"))))
	if s.Committed != 320 || rest+s.Lost[queue.LostMaxSize] != 320 || rest < 80 || rest != s.Pending["a"] {
		t.Errorf("committed %d, read %d, pending %v, lost %v", s.Committed, rest, s.Pending, s.Lost)
	}
}

// A segment that can be neither opened nor read goes all the same (field: the
// cap was exceeded without end).
func TestMaxSizeDropsWhatCannotBeRead(t *testing.T) {
	o := quick(t.TempDir())
	l := open(t, o)
	fill(t, l, "a", 0, 5)
	mustClose(t, l)
	seg := segmentDirs(t, o.Dir)[0]
	if err := os.RemoveAll(seg); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(seg, nil, 0); err != nil { // no directory any more
		t.Fatal(err)
	}
	if err := os.Remove(seg); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(seg, valueLogName), 0o700); err != nil {
		t.Fatal(err)
	}
	o.MaxBytes = 1600
	var w weighed
	l = open(t, o, w.use)
	waitOpen(t, l)
	if _, err := l.Lane("a").Read(queue.Position{}, 1000); err == nil {
		t.Fatal("it can be read: this shows nothing")
	}
	var sizes atomic.Int64
	sizes.Store(1700)
	l.janitor.mu.Lock()
	l.used = func() int64 { return max(0, sizes.Add(-200)) }
	l.janitor.mu.Unlock()
	if err := l.janitor.weigh(); err != nil {
		t.Fatal(err)
	}
	wantLost(t, l, map[queue.LossCause]uint64{queue.LostMaxSize: 5})
	if _, err := os.Stat(seg); err == nil {
		t.Error("the segment is still there")
	}
}

// valueLogName is the file in which Badger keeps values.
const valueLogName = "000001.vlog"

// Records that nobody took in MaxAge go, younger ones stay; clocks that are set
// change nothing.
func TestMaxAge(t *testing.T) {
	for _, shift := range []time.Duration{0, 10 * 365 * 24 * time.Hour, -10 * 365 * 24 * time.Hour} {
		dir := t.TempDir()
		faketime.Test(t, func(t *testing.T) {
			l := New(quick(dir))
			var c clock
			c.use(l)
			l.Start()
			fill(t, l, "a", 0, 12)
			acknowledge(l, "a", 4)
			time.Sleep(30 * time.Hour)
			fill(t, l, "a", 12, 3)
			c.shift.Store(int64(shift))
			fill(t, l, "b", 0, 1)
			time.Sleep(41 * time.Hour)
			wantLost(t, l, nil) // after 71 h
			time.Sleep(3 * time.Hour)
			wantLost(t, l, map[queue.LossCause]uint64{queue.LostExpired: 8})
			wantTexts(t, drain(t, l, "a", acked(l, "a")), "a 12", "a 13", "a 14")
			if n := len(segmentDirs(t, dir)); n > 2 {
				t.Errorf("shift %s: %d segments: the expired one stays", shift, n)
			}
			time.Sleep(31 * time.Hour)
			wantLost(t, l, map[queue.LossCause]uint64{queue.LostExpired: 12})
			if n := l.Stats().TotalPending(); n != 0 {
				t.Errorf("shift %s: %d pending in the end", shift, n)
			}
			mustClose(t, l)
		})
	}
}

// What a stopped process left gets a last chance, however long that was ago.
func TestOverdueAtStart(t *testing.T) {
	dir := t.TempDir()
	faketime.Test(t, func(t *testing.T) {
		l := New(quick(dir))
		l.Start()
		fill(t, l, "a", 0, 3)
		mustClose(t, l)
		time.Sleep(1000 * time.Hour)
		l = New(quick(dir))
		l.Start()
		time.Sleep(lastChance - time.Second)
		if recs := drain(t, l, "a", 0); len(recs) != 3 {
			t.Errorf("read %d", len(recs))
		}
		time.Sleep(time.Minute)
		wantLost(t, l, map[queue.LossCause]uint64{queue.LostExpired: 3})
		mustClose(t, l)
	})
}

// A record that is given up while it is read counts as given up, and is not the
// reader's to count (field: 10 in, 14 out).
func TestGivenUpWhileRead(t *testing.T) {
	dir := t.TempDir()
	faketime.Test(t, func(t *testing.T) {
		l := New(quick(dir))
		l.Start()
		fill(t, l, "a", 0, 10)
		ln := l.Lane("a")
		recs := drain(t, l, "a", 0)
		time.Sleep(80 * time.Hour)
		wantLost(t, l, map[queue.LossCause]uint64{queue.LostExpired: 10})
		if from := ln.Acknowledge(recs[9].Position); from.Compare(recs[9].Position) < 0 {
			t.Errorf("the reader is told that records behind %v are its own", from)
		}
		mustClose(t, l)
	})
}

// Lanes that nobody uses and of which nothing is left are forgotten, and one that
// comes again gets positions that it never had.
func TestLanesAreForgotten(t *testing.T) {
	o := quick(t.TempDir())
	l := open(t, o)
	const lanes = 1000
	var last queue.Position
	for round := range 3 {
		for i := range lanes {
			ln := l.Lane(fmt.Sprint("lane", i))
			if err := ln.Append(1, fmt.Append(nil, round)); err != nil {
				t.Fatal(err)
			}
			ln.Release()
		}
		mustFlush(t, l)
		for i := range lanes {
			ln := l.Lane(fmt.Sprint("lane", i))
			recs, err := ln.Read(ln.Acknowledged(), 100)
			if err != nil || len(recs) != 1 || i == 0 && recs[0].Position.Compare(last) <= 0 {
				t.Fatalf("round %d: %v behind %v, %v", round, recs, last, err)
			}
			if i == 0 {
				last = recs[0].Position
			}
			ln.Acknowledge(recs[0].Position)
			ln.Release()
		}
		until(t, "all lanes are forgotten", func() bool { return len(l.Stats().Pending) == 0 })
	}
	mustClose(t, l)
	l = open(t, o)
	waitOpen(t, l)
	if n := len(l.Stats().Pending); n != 0 {
		t.Errorf("%d lanes come back", n)
	}
	fill(t, l, "lane0", 0, 1)
	if recs := drain(t, l, "lane0", 0); len(recs) != 1 || recs[0].Position.Compare(last) <= 0 {
		t.Errorf("read %v behind %v", recs, last)
	}
}
