package wal

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestRotationBySizeAndRemoval(t *testing.T) {
	o := quick(t.TempDir())
	o.GenerationBytes = 1
	l := open(t, o)
	for i := range 6 {
		fill(t, l, "a", i, 1)
	}
	fill(t, l, "b", 0, 1)
	until(t, "seven generations", func() bool { return l.Stats().Generations == 8 })
	if recs := drain(t, l, "a", 0); len(recs) != 6 {
		t.Fatalf("read %d records across generations", len(recs))
	}
	until(t, "idle generations are closed", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		n := 0
		for _, g := range l.gens {
			g.mu.RLock()
			if g.db != nil && g != l.active {
				n++
			}
			g.mu.RUnlock()
		}
		return n <= maxOpenSealed
	})
	l.Ack("a", 3)
	until(t, "three are removed", func() bool { return len(generations(t, o.Dir, "gen-*")) == 5 })
	l.Ack("a", 6)
	l.Ack("b", 1)
	until(t, "only the active one stays", func() bool {
		return len(generations(t, o.Dir, "gen-*")) == 1 && len(generations(t, o.Dir, "removed-*")) == 0
	})
	if s := l.Stats(); len(s.Lost) != 0 || s.Generations != 1 {
		t.Errorf("%+v", s)
	}
}

func TestRotationWhenDrained(t *testing.T) {
	o := quick(t.TempDir())
	o.GenerationBytes = 8 << 10 // drained is worth it from 4 KiB
	var c clock
	l := open(t, o, c.use)
	fill(t, l, "a", 0, 1)
	c.shift.Store(int64(time.Minute)) // the reader does not keep up
	n := 1
	for ; activeBytes(l) < l.drainedBytes(); n++ {
		fill(t, l, "a", n, 1)
	}
	first := generations(t, o.Dir, "gen-*")
	if len(first) != 1 {
		t.Fatalf("%d generations before all was drained", len(first))
	}
	l.Ack("a", uint64(n))
	until(t, "a new generation replaces the drained one", func() bool {
		now := generations(t, o.Dir, "gen-*")
		return len(now) == 1 && now[0] != first[0]
	})
}

func activeBytes(l *Log) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.active.bytes.Load()
}

func TestRotationByAge(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := New(quick(dir))
		l.Start()
		defer l.Close()
		for i := range 3 {
			fill(t, l, "a", i, 1)
			time.Sleep(61 * time.Minute)
		}
		if n := len(generations(t, dir, "gen-*")); n != 3 {
			t.Errorf("%d generations, want 3", n)
		}
		if age := l.Stats().OldestAge; age < 3*time.Hour || age > 4*time.Hour {
			t.Errorf("oldest record is %s old", age)
		}
	})
}

// After a failed commit it is not known what is on disk. The group goes into a
// new generation, under the same sequences, once for the reader.
func TestFailedCommit(t *testing.T) {
	for _, applied := range []bool{false, true} {
		t.Run(fmt.Sprint("applied ", applied), func(t *testing.T) {
			o := quick(t.TempDir())
			l := open(t, o)
			fill(t, l, "a", 0, 5)
			l.mu.Lock()
			g := l.active
			l.mu.Unlock()
			if applied {
				// What a commit that reports an error may have left.
				other := lane{name: "a", id: 1, last: 5, chainHead: -1}
				r := ring{limit: 1 << 20}
				r.add(entry{lane: &other, data: []byte("a 5"), class: 1})
				scratch := New(o)
				scratch.ring = r
				p, err := newPacker(nil)
				if err != nil {
					t.Fatal(err)
				}
				scratch.w.packers = []*packer{p}
				gr := scratch.takeLocked()
				<-gr.encoded
				if err := l.commit(g, gr); err != nil {
					t.Fatal(err)
				}
			}
			g.mu.Lock()
			err := g.db.Close() // the next commit fails
			g.mu.Unlock()
			if err != nil {
				t.Fatal(err)
			}
			fill(t, l, "a", 5, 1)
			g.mu.Lock()
			g.db = nil
			g.mu.Unlock()
			recs := drain(t, l, "a", 0)
			if len(recs) != 6 || string(recs[5].Data) != "a 5" || recs[5].Seq != 6 {
				t.Fatalf("read %v", recs)
			}
			until(t, "the log is well again", func() bool { return l.Stats().Condition == OK })
			if s := l.Stats(); s.Committed != 6 || len(s.Lost) != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}
