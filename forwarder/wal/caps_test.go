package wal

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// weighed is a directory's size that a test sets.
type weighed struct{ bytes atomic.Int64 }

func (w *weighed) use(l *Log) { l.usage = func(string) int64 { return w.bytes.Load() } }

func (w *weighed) set(l *Log, bytes int64) {
	w.bytes.Store(bytes)
	l.weighDue.Store(true)
	nudge(l.wake)
}

// Near the cap pages are refused first, then tracks, identifies never.
func TestCapRefusesByClass(t *testing.T) {
	o := quick(t.TempDir())
	o.MaxBytes = 1600
	var w weighed
	l := open(t, o, w.use)
	fill(t, l, "a", 0, 1)
	for _, c := range []struct {
		bytes int64
		takes [Classes]bool
	}{
		{1299, [Classes]bool{true, true, true}},
		{1300, [Classes]bool{false, true, true}},
		{1400, [Classes]bool{false, false, true}},
		{1499, [Classes]bool{false, false, true}},
		{1300, [Classes]bool{false, true, true}},
		{0, [Classes]bool{true, true, true}},
	} {
		w.set(l, c.bytes)
		until(t, "the directory is weighed", func() bool { return !l.weighDue.Load() })
		mustFlush(t, l)
		for class, takes := range c.takes {
			err := l.Append("a", uint8(class), []byte("x"))
			if takes != (err == nil) || err != nil && !errors.Is(err, ErrFull) {
				t.Errorf("at %d bytes, class %d: %v", c.bytes, class, err)
			}
		}
		mustFlush(t, l)
	}
	s := l.Stats()
	if s.Shed[0][ShedCapBytes] != 4 || s.Shed[1][ShedCapBytes] != 2 || len(s.Shed[2]) != 0 || len(s.Lost) != 0 {
		t.Errorf("shed %v, lost %v", s.Shed, s.Lost)
	}
	if s.Committed != 1+3*6-6 {
		t.Errorf("committed %d", s.Committed)
	}
}

// At the cap, quarantine goes first, then the oldest generation, delivered or
// not, counted to the record and class; readers go on behind it.
func TestCapDropsTheOldest(t *testing.T) {
	o := quick(t.TempDir())
	l := open(t, o)
	for i := range 30 { // one pack, of which 5 are acknowledged
		mustAppend(t, l, "a", uint8(i%Classes), "x")
	}
	mustFlush(t, l)
	for range 6 { // another lane, in packs of their own
		mustAppend(t, l, "b", 0, "x")
		mustFlush(t, l)
	}
	l.Ack("a", 5)
	mustClose(t, l)
	old := filepath.Join(o.Dir, quarantinePrefix+"20200101T000000Z-gen-9")
	if err := os.Mkdir(old, 0o700); err != nil {
		t.Fatal(err)
	}

	o.MaxBytes = 1600
	o.GenerationBytes = 1 // what was there is one generation, and full
	var sizes atomic.Int64
	l = open(t, o, func(l *Log) { l.usage = func(string) int64 { return max(0, sizes.Add(-200)) } })
	waitOpen(t, l)
	mustAppend(t, l, "a", 2, "last")
	mustFlush(t, l)
	sizes.Store(1700) // weighed as 1500, and as 1300 once the quarantine has gone
	l.weighDue.Store(true)
	nudge(l.wake)
	until(t, "the quarantine goes", func() bool { return l.Stats().Quarantined == 0 })
	if s := l.Stats(); len(s.Lost) != 0 || len(generations(t, o.Dir, "quarantine-*")) != 0 {
		t.Errorf("lost %v with it", s.Lost)
	}
	sizes.Store(1700)
	l.weighDue.Store(true)
	nudge(l.wake)
	until(t, "the oldest generation goes", func() bool { return l.Stats().Lost[LostCapBytes] > 0 && l.Stats().Generations < 3 })
	s := l.Stats()
	// Of records 6 to 30 of lane a, 8 are of class 0 (9, 12, ...: sequence 7 is the first), 8 of 1, 9 of 2.
	if s.Lost[LostCapBytes] != 31 || s.Dropped[0][LostCapBytes] != 8+6 || s.Dropped[1][LostCapBytes] != 8 || s.Dropped[2][LostCapBytes] != 9 {
		t.Errorf("lost %v, dropped %v", s.Lost, s.Dropped)
	}
	if recs := drain(t, l, "a", l.Acked("a")); len(recs) != 1 || string(recs[0].Data) != "last" || recs[0].Seq != 31 {
		t.Errorf("read %v", recs)
	}
	if l.Acked("b") != 6 || s.Backlog != 1 {
		t.Errorf("b stands at %d, backlog %d", l.Acked("b"), s.Backlog)
	}
}

// Real blocks: however much comes in undelivered, the directory stays below the cap.
func TestCapHolds(t *testing.T) {
	o := quick(t.TempDir())
	o.MaxBytes = 256 << 20
	l := open(t, o)
	evs := noisy(40, 400<<10)
	var most int64
	for range 20 {
		for i, ev := range evs {
			if err := l.Append("a", 2, ev); err != nil {
				t.Fatal(err)
			}
			if i%2 == 0 {
				continue
			}
			mustFlush(t, l)
			most = max(most, dirUsage(o.Dir))
		}
	}
	if most > o.MaxBytes {
		t.Errorf("the directory came to %d bytes", most)
	}
	s := l.Stats()
	rest := uint64(len(drain(t, l, "a", l.Acked("a"))))
	if s.Committed != 800 || rest+s.Lost[LostCapBytes] != 800 || s.Lost[LostCapBytes] != s.Dropped[2][LostCapBytes] || rest < 200 {
		t.Errorf("committed %d, read %d, lost %v", s.Committed, rest, s.Lost)
	}
}

// Records that nobody took in MaxAge go, younger ones stay; clocks that are set
// change nothing.
func TestAgeCap(t *testing.T) {
	for _, jump := range []time.Duration{0, 10 * 365 * 24 * time.Hour, -10 * 365 * 24 * time.Hour} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			l := New(quick(dir))
			var c clock
			c.use(l)
			l.Start()
			for i := range 12 {
				mustAppend(t, l, "a", uint8(i%Classes), "x")
			}
			mustFlush(t, l)
			l.Ack("a", 4)
			time.Sleep(30 * time.Hour)
			fill(t, l, "a", 12, 3)
			c.shift.Store(int64(jump))
			fill(t, l, "b", 0, 1)
			time.Sleep(41 * time.Hour)
			if s := l.Stats(); len(s.Lost) != 0 {
				t.Errorf("jump %s: lost %v after 71 h", jump, s.Lost)
			}
			time.Sleep(2 * time.Hour)
			s := l.Stats()
			if s.Lost[LostExpired] != 8 || s.Dropped[0][LostExpired] != 2 || s.Dropped[1][LostExpired] != 3 || s.Dropped[2][LostExpired] != 3 {
				t.Errorf("jump %s: lost %v, dropped %v after 73 h", jump, s.Lost, s.Dropped)
			}
			if recs := drain(t, l, "a", l.Acked("a")); len(recs) != 3 || string(recs[0].Data) != "a 12" {
				t.Errorf("jump %s: read %v", jump, recs)
			}
			if len(generations(t, dir, "gen-1")) != 0 {
				t.Errorf("jump %s: the expired generation stays", jump)
			}
			time.Sleep(31 * time.Hour)
			if s := l.Stats(); s.Lost[LostExpired] != 12 || s.Backlog != 0 {
				t.Errorf("jump %s: lost %v, backlog %d in the end", jump, s.Lost, s.Backlog)
			}
			mustClose(t, l)
		})
	}
}

// What a stopped process left gets a last chance, however long that was ago.
func TestOverdueAtStart(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
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
		if n := l.Stats().Lost[LostExpired]; n != 3 {
			t.Errorf("lost %d", n)
		}
		mustClose(t, l)
	})
}
