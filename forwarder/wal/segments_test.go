package wal

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/internal/faketime"
)

func TestRotationAndRemoval(t *testing.T) {
	o := quick(t.TempDir())
	l := open(t, o)
	for i := range 6 {
		fill(t, l, "a", i, 1)
		rotate(l)
	}
	fill(t, l, "b", 0, 1)
	if n := l.Stats().Segments; n != 7 {
		t.Errorf("%d segments, want 7", n)
	}
	if recs := drain(t, l, "a", 0); len(recs) != 6 {
		t.Fatalf("read %q across segments", texts(recs))
	}
	until(t, "segments that are not read are closed", func() bool {
		l.index.mu.Lock()
		defer l.index.mu.Unlock()
		n := 0
		for _, seg := range l.index.segments {
			if seg != l.index.active && seg.isOpen() {
				n++
			}
		}
		return n <= maxOpen+1 // the latest one has a moment more
	})
	acknowledge(l, "a", 3)
	until(t, "three are removed", func() bool { return len(segmentDirs(t, o.Dir)) == 4 })
	acknowledge(l, "a", 6)
	acknowledge(l, "b", 1)
	until(t, "only the active one stays", func() bool { return len(segmentDirs(t, o.Dir)) == 1 })
	if left := glob(t, o.Dir, "seg-*.index"); len(left) != 0 {
		t.Errorf("indexes stay: %q", left)
	}
	wantLost(t, l, nil)
}

func TestRotationByAge(t *testing.T) {
	dir := t.TempDir()
	faketime.Test(t, func(t *testing.T) {
		l := New(quick(dir))
		l.Start()
		defer l.Close()
		for i := range 3 {
			fill(t, l, "a", i, 1)
			time.Sleep(61 * time.Minute)
		}
		if n := len(segmentDirs(t, dir)); n != 3 {
			t.Errorf("%d segments, want 3", n)
		}
		if age := l.Stats().Oldest; age < 3*time.Hour || age > 4*time.Hour {
			t.Errorf("the oldest record is %s old", age)
		}
	})
}

// A segment that becomes full is followed by another, and one that is drained
// when it ends is removed without being closed and opened again.
func TestRotationBySize(t *testing.T) {
	o := quick(t.TempDir())
	l := open(t, o)
	for _, rec := range noisy(40, 200<<10) { // 8 MB, of which a segment takes 2
		mustAppend(t, l, "a", 1, string(rec))
		mustFlush(t, l)
		ln := l.Lane("a")
		recs, err := ln.Read(ln.Acknowledged(), 1<<20)
		if err != nil || len(recs) != 1 {
			t.Fatalf("%d records, %v", len(recs), err)
		}
		ln.Acknowledge(recs[0].Position)
	}
	until(t, "the drained ones are removed", func() bool { return l.Stats().Segments == 1 })
	if n := l.Stats().Reads; n != 0 {
		t.Errorf("%d reads from disk", n)
	}
	if dirs := segmentDirs(t, o.Dir); len(dirs) != 1 || dirs[0] == o.Dir+"/seg-1" {
		t.Errorf("segments %q", dirs)
	}
}

// A lane that was far behind reads on where it stopped, and reads again what was
// not acknowledged.
func TestReadAgain(t *testing.T) {
	l := open(t, quick(t.TempDir()))
	for i := range 50 {
		fill(t, l, "a", i, 1)
		fill(t, l, "b", i, 1)
		if i%20 == 19 {
			rotate(l)
		}
	}
	ln := l.Lane("a")
	for range 3 {
		p := ln.Acknowledged()
		for n := 0; ; {
			recs, err := ln.Read(p, 30)
			if err != nil {
				t.Fatal(err)
			}
			if len(recs) == 0 {
				if n != 50 {
					t.Errorf("read %d", n)
				}
				break
			}
			n += len(recs)
			p = recs[len(recs)-1].Position
		}
	}
}

// What a killed process had reserved beside its blocks, and was asking for, is
// given back before the opening needs room, and nothing else is.
func TestOpenGivesBackRoom(t *testing.T) {
	dir := t.TempDir()
	l := open(t, quick(dir))
	fill(t, l, "a", 0, 10)
	o := quick(copyFiles(t, dir)) // as a kill leaves it
	path := segmentDirs(t, o.Dir)[0]
	if len(glob(t, path, "RESERVE")) != 1 {
		t.Fatal("nothing is reserved")
	}
	if err := os.WriteFile(filepath.Join(path, "ASK"), make([]byte, 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	copied := open(t, o)
	waitOpen(t, copied)
	for _, name := range []string{"RESERVE", "ASK"} {
		if len(glob(t, path, name)) != 0 {
			t.Errorf("%s is still there", name)
		}
	}
	if n := len(drain(t, copied, "a", 0)); n != 10 {
		t.Errorf("read %d", n)
	}
}
