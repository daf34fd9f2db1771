package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/forwarder/wal/internal/block"
	"github.com/intilery/caddy-intilery/forwarder/wal/internal/manifest"
	"github.com/intilery/caddy-intilery/forwarder/wal/internal/segment"
)

func TestDirectoryThatIsMended(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "queue")
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // a file is in the way
		t.Fatal(err)
	}
	l := open(t, quick(filepath.Join(dir, "wal")))
	mustAppend(t, l, "a", 1, "buffered")
	until(t, "the fault is noticed", func() bool { return strings.Contains(l.Stats().Reason, "cannot be opened") })
	if c := l.Stats().Condition; c != queue.Opening {
		t.Errorf("condition %s", c)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	mustFlush(t, l)
	wantTexts(t, drain(t, l, "a", 0), "buffered")
}

// prefilled returns options for a directory with 10 records in lane a, 4 of
// them acknowledged.
func prefilled(t *testing.T) Options {
	o := quick(t.TempDir())
	l := open(t, o)
	fill(t, l, "a", 0, 10)
	acknowledge(l, "a", 4)
	mustClose(t, l)
	return o
}

// A segment that Badger does not open is read without it, and nothing is lost.
func TestOpenFailures(t *testing.T) {
	for name, fail := range map[string]func() error{
		"damage":         func() error { return errors.New("manifest has bad magic") },
		"too many files": func() error { return errors.New("open 00001.sst: too many open files") },
	} {
		t.Run(name, func(t *testing.T) {
			o := prefilled(t)
			l := open(t, o, faults(&segment.Faults{Open: fail}))
			waitOpen(t, l)
			wantTexts(t, drain(t, l, "a", 4), "a 4", "a 5", "a 6", "a 7", "a 8", "a 9")
			wantLost(t, l, nil)
			if c := l.Stats().Condition; c != queue.OK {
				t.Errorf("condition %s", c)
			}
		})
	}
}

// damageManifest overwrites the state in the given files (0: the newer one).
func damageManifest(t *testing.T, dir string, files ...int) {
	t.Helper()
	paths := glob(t, dir, "manifest-*")
	slices.SortFunc(paths, func(a, b string) int { return int(epoch(t, b)) - int(epoch(t, a)) })
	for _, i := range files {
		f, err := os.OpenFile(paths[i], os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("garbage"), 30); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
}

func epoch(t *testing.T, path string) byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b[11]
}

func TestDamagedManifest(t *testing.T) {
	type files = map[string][]byte
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, dir string, early files)
		acked  []uint64 // what the cursor may be
	}{
		{"newer file", func(t *testing.T, dir string, _ files) { damageManifest(t, dir, 0) }, []uint64{0, 2}},
		{"older file", func(t *testing.T, dir string, _ files) { damageManifest(t, dir, 1) }, []uint64{2}},
		{"both files", func(t *testing.T, dir string, _ files) { damageManifest(t, dir, 0, 1) }, []uint64{0}},
		{"newer file, the older from long ago", func(t *testing.T, dir string, early files) {
			restore(t, early)
			damageManifest(t, dir, 0)
		}, []uint64{0}},
		{"removed", func(t *testing.T, dir string, _ files) {
			for _, path := range glob(t, dir, "manifest-*") {
				os.Remove(path)
			}
		}, []uint64{0}},
		{"truncated", func(t *testing.T, dir string, _ files) {
			for _, path := range glob(t, dir, "manifest-*") {
				os.Truncate(path, 30)
			}
		}, []uint64{0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := quick(t.TempDir())
			l := open(t, o)
			var early files
			for i := range 4 {
				if i == 2 {
					early = saved(t, o.Dir)
				}
				fill(t, l, "a", 5*i, 5)
				fill(t, l, fmt.Sprint("b", i), 0, 1)
				rotate(l)
			}
			acknowledge(l, "a", 2)
			incarnation := at(l, 0)
			mustClose(t, l)
			// Two starts, so that both files have been used.
			l = open(t, o)
			waitOpen(t, l)
			mustClose(t, l)
			c.damage(t, o.Dir, early)

			l = open(t, o)
			waitOpen(t, l)
			if at(l, 0) != incarnation {
				t.Error("the log has another incarnation, and old tombstones do not match")
			}
			cursor := acked(l, "a")
			if !slices.Contains(c.acked, cursor) {
				t.Errorf("acknowledged %d", cursor)
			}
			recs := drain(t, l, "a", cursor)
			if len(recs) != 20-int(cursor) || string(recs[len(recs)-1].Data) != "a 19" {
				t.Fatalf("read %q", texts(recs))
			}
			for i := range 4 {
				wantTexts(t, drain(t, l, fmt.Sprint("b", i), 0), fmt.Sprintf("b%d 0", i))
			}
			fill(t, l, "a", 20, 1)
			wantTexts(t, drain(t, l, "a", offset(l, recs[len(recs)-1].Position)), "a 20")
			wantLost(t, l, nil)
		})
	}
}

// A segment that vanishes, or loses blocks, is counted to the record, and one
// that has lost some is set aside and not deleted.
func TestLossIsCounted(t *testing.T) {
	t.Run("directory removed", func(t *testing.T) {
		o := prefilled(t)
		if err := os.RemoveAll(segmentDirs(t, o.Dir)[0]); err != nil {
			t.Fatal(err)
		}
		l := open(t, o)
		waitOpen(t, l)
		wantLost(t, l, map[queue.LossCause]uint64{queue.LostMissing: 6})
		if n := l.Stats().TotalPending(); n != 0 {
			t.Errorf("%d pending", n)
		}
	})
	t.Run("blocks damaged", func(t *testing.T) {
		o := quick(t.TempDir())
		l := open(t, o)
		for i := range 10 {
			fill(t, l, "a", i, 1) // ten blocks
		}
		mustClose(t, l)
		spoil(t, segmentDirs(t, o.Dir)[0], 1, 4, 5, 8, 10)
		l = open(t, o)
		waitOpen(t, l)
		for range 2 { // reading again counts nothing twice
			wantTexts(t, drain(t, l, "a", 0), "a 1", "a 2", "a 5", "a 6", "a 8")
			if n := l.Stats().Lost[queue.LostCorrupt] + l.Stats().Lost[queue.LostMissing]; n != 5 {
				t.Fatalf("lost %v", l.Stats().Lost)
			}
		}
		if n := l.Stats().Pending["a"]; n != 5 {
			t.Errorf("%d pending", n)
		}
		acknowledge(l, "a", 9)
		if n, end := l.Stats().Pending["a"], acked(l, "a"); n != 0 || end != 10 {
			t.Errorf("%d pending, the cursor is at %d", n, end)
		}
		until(t, "the damaged segment is set aside", func() bool { return l.Stats().Condition == queue.Degraded })
		if aside := glob(t, o.Dir, "quarantine-*"); len(aside) != 1 {
			t.Errorf("set aside %q", aside)
		}
	})
}

// spoil damages the blocks of a segment that have these places, from 1.
func spoil(t *testing.T, dir string, places ...int) {
	t.Helper()
	path := filepath.Join(dir, valueLogName)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for n := 1; ; n++ {
		h, skip, _ := block.Find(b[at:])
		if h == nil {
			break
		}
		at += skip
		size := h.Size()
		if slices.Contains(places, n) {
			b[at+size-1] ^= 1
		}
		at += size
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A manifest that lags does not know the latest segments and lanes, whether it was
// the power that was cut while a segment was begun, or the manifest's end that
// was. What the segments hold is there all the same.
func TestManifestLags(t *testing.T) {
	for name, indexed := range map[string]bool{"with indexes": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			o := quick(t.TempDir())
			l := open(t, o)
			fill(t, l, "a", 0, 3)
			early := saved(t, o.Dir)
			fill(t, l, "a", 3, 4)
			fill(t, l, "b", 0, 2)
			rotate(l)
			fill(t, l, "a", 7, 1)
			rotate(l)
			fill(t, l, "b", 2, 1)
			until(t, "the first segment is indexed", func() bool { return len(glob(t, o.Dir, "*.index")) > 0 })
			dir := copyFiles(t, o.Dir)
			mustClose(t, l)
			for path, b := range early {
				if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, path := range glob(t, dir, "*.index") {
				if !indexed {
					os.Remove(path)
				}
			}
			l = open(t, quick(dir))
			waitOpen(t, l)
			fill(t, l, "a", 8, 1)
			wantTexts(t, drain(t, l, "a", 0), "a 0", "a 1", "a 2", "a 3", "a 4", "a 5", "a 6", "a 7", "a 8")
			wantTexts(t, drain(t, l, "b", 0), "b 0", "b 1", "b 2")
			wantLost(t, l, nil)
		})
	}
}

// Where sequences jump, because the end of the process may have lost some, what
// is counted is what is there (field: a backlog of 1,048,579 for 3 events).
func TestJumpsAreNotCounted(t *testing.T) {
	for _, p := range []SyncPolicy{SyncGroup, SyncInterval, SyncOS} {
		o := quick(t.TempDir())
		o.Sync = p
		l := open(t, o)
		fill(t, l, "a", 0, 3)
		dir := copyFiles(t, o.Dir) // as a killed process leaves it
		mustClose(t, l)
		o.Dir = dir
		l = open(t, o)
		waitOpen(t, l)
		fill(t, l, "a", 3, 2)
		recs := drain(t, l, "a", 0)
		wantTexts(t, recs, "a 0", "a 1", "a 2", "a 3", "a 4")
		if o := offset(l, recs[3].Position); o < jump {
			t.Errorf("policy %d: no jump: this shows nothing", p)
		}
		if n := l.Stats().Pending["a"]; n != 5 {
			t.Errorf("policy %d: %d pending, want 5", p, n)
		}
		ln := l.Lane("a")
		ln.Acknowledge(recs[3].Position)
		if n := l.Stats().Pending["a"]; n != 1 {
			t.Errorf("policy %d: %d pending, want 1", p, n)
		}
		wantLost(t, l, nil)
	}
}

// A directory that was removed makes a log of another incarnation: positions of
// the old one do not match (field: old tombstones erased new events).
func TestIncarnationChanges(t *testing.T) {
	o := quick(t.TempDir())
	l := open(t, o)
	fill(t, l, "a", 0, 10)
	old := l.Ends()["a"]
	mustClose(t, l)
	if err := os.RemoveAll(o.Dir); err != nil {
		t.Fatal(err)
	}
	l = open(t, o)
	fill(t, l, "a", 0, 3)
	for _, r := range drain(t, l, "a", 0) {
		if old.Covers(r.Position) {
			t.Errorf("%v of the old log covers %v of the new one", old, r.Position)
		}
	}
	l.Lane("a").Acknowledge(old)
	if n := l.Stats().Pending["a"]; n != 3 {
		t.Errorf("an old position acknowledges: %d pending", n)
	}
	if !l.Ends()["a"].Covers(drain(t, l, "a", 0)[2].Position) {
		t.Error("the end does not cover the last record")
	}
}

// A segment of another log in the directory is not taken for its own.
func TestForeignSegment(t *testing.T) {
	other := prefilled(t)
	o := prefilled(t)
	if err := os.Rename(segmentDirs(t, other.Dir)[0], filepath.Join(o.Dir, "seg-77")); err != nil {
		t.Fatal(err)
	}
	l := open(t, o)
	waitOpen(t, l)
	wantTexts(t, drain(t, l, "a", acked(l, "a")), "a 4", "a 5", "a 6", "a 7", "a 8", "a 9")
	wantLost(t, l, nil)
	until(t, "it is set aside", func() bool { return len(glob(t, o.Dir, "quarantine-*-seg-77")) == 1 })
}

// backlog makes a directory whose manifest and indexes tell of segments with ten
// pending records of each lane in each; there are no blocks. A segment stands for
// 16 MiB.
func backlog(tb testing.TB, dir string, segments uint64, lanes uint32) {
	tb.Helper()
	u := &manifest.Update{Log: &manifest.Log{Incarnation: 9, NextSegment: segments + 1, NextLane: lanes + 1, Clean: true}}
	for id := uint32(1); id <= lanes; id++ {
		u.Lanes = append(u.Lanes, manifest.Lane{ID: id, Name: laneOf(int(id - 1)), Acked: 5, Last: 10 * segments})
	}
	for n := uint64(1); n <= segments; n++ {
		x := &manifest.Index{Incarnation: 9, First: n, Last: n, Lanes: make(map[uint32]manifest.Range)}
		for id := uint32(1); id <= lanes; id++ {
			x.Lanes[id] = manifest.Range{First: 10*n - 9, Last: 10 * n}
		}
		path := filepath.Join(dir, segmentName(n))
		if err := errors.Join(os.Mkdir(path, 0o700), os.WriteFile(path+indexSuffix, x.Append(nil), 0o600)); err != nil {
			tb.Fatal(err)
		}
		u.Segments = append(u.Segments, manifest.Segment{Number: n, Begun: 1, Ended: 1, First: n, Last: n})
	}
	m, err := manifest.Open(dir, u)
	if err != nil {
		tb.Fatal(err)
	}
	if err := m.Close(); err != nil {
		tb.Fatal(err)
	}
}

// laneOf is the name of a lane, as destinations of eight lanes have them.
func laneOf(n int) string { return fmt.Sprintf("d%d/%d", n/8, n%8) }

// A log with many lanes and a backlog of thousands of segments opens, and reads
// what is pending of each lane out of the manifest and the indexes.
func TestLargeManifest(t *testing.T) {
	const segments, lanes = 3200, 80 // as many segments as 50 GiB
	o := quick(t.TempDir())
	backlog(t, o.Dir, segments, lanes)
	o.MaxBytes = 1 << 40
	l := open(t, o)
	waitOpen(t, l)
	s := l.Stats()
	if s.Segments != segments+1 || s.TotalPending() != lanes*(10*segments-5) {
		t.Errorf("%d segments, %d pending", s.Segments, s.TotalPending())
	}
	acknowledge(l, "d0/3", 10*segments-1)
	if n := l.Stats().Pending["d0/3"]; n != 1 {
		t.Errorf("%d pending after all but one was acknowledged", n)
	}
	fill(t, l, "new", 0, 1)
	wantTexts(t, drain(t, l, "new", 0), "new 0")
}
