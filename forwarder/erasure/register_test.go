package erasure

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// places are places in lanes, of incarnation 7 unless another one is given.
func places(offsets map[string]uint64) map[string]queue.Position {
	upto := make(map[string]queue.Position)
	for lane, offset := range offsets {
		upto[lane] = queue.At(7, offset)
	}
	return upto
}

func addAll(t *testing.T, r *Register, s Subject, all ...map[string]queue.Position) {
	t.Helper()
	for _, upto := range all {
		if err := r.Add(s, upto, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// lines is the number of lines in the file.
func lines(t *testing.T, dir string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, tombstoneFile))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(text, []byte{'\n'})
}

// There is one tombstone for an ID. A later one takes the place of an earlier one,
// but for lanes that it does not name; one that says the same is not written.
func TestOneTombstoneEach(t *testing.T) {
	s := Subject{AnonymousID: "v"}
	for name, c := range map[string]struct {
		adds  []map[string]queue.Position
		want  map[string]queue.Position
		lines int
	}{
		"later":       {[]map[string]queue.Position{places(map[string]uint64{"a": 3}), places(map[string]uint64{"a": 5})}, places(map[string]uint64{"a": 5}), 2},
		"the same":    {[]map[string]queue.Position{places(map[string]uint64{"a": 3}), places(map[string]uint64{"a": 3})}, places(map[string]uint64{"a": 3}), 1},
		"lane gone":   {[]map[string]queue.Position{places(map[string]uint64{"a": 3, "b": 4}), places(map[string]uint64{"a": 3})}, places(map[string]uint64{"a": 3, "b": 4}), 1},
		"lane new":    {[]map[string]queue.Position{places(map[string]uint64{"a": 3}), places(map[string]uint64{"b": 4})}, places(map[string]uint64{"a": 3, "b": 4}), 2},
		"another log": {[]map[string]queue.Position{{"a": queue.At(9, 30)}, places(map[string]uint64{"a": 3})}, places(map[string]uint64{"a": 3}), 2},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			r, _ := load(t, dir)
			addAll(t, r, s, c.adds...)
			if n := lines(t, dir); n != c.lines {
				t.Errorf("%d lines, want %d", n, c.lines)
			}
			for range 2 {
				if len(r.tombstones) != 1 || r.places != len(c.want) {
					t.Fatalf("%d tombstones with %d places", len(r.tombstones), r.places)
				}
				for _, ts := range r.tombstones {
					if !maps.Equal(ts.Upto, c.want) {
						t.Errorf("upto %v, want %v", ts.Upto, c.want)
					}
				}
				for lane, at := range c.want {
					if !r.Cover(lane, at, func() (string, string) { return "v", "" }) {
						t.Errorf("%s is not covered", lane)
					}
				}
				r, _ = load(t, dir)
			}
		})
	}
}

// Of two logs' tombstones in a lane each covers its own, whichever comes first.
func TestReachOfTwoLogs(t *testing.T) {
	r, _ := load(t, t.TempDir())
	addAll(t, r, Subject{UserID: "old"}, map[string]queue.Position{"a": queue.At(9, 5)})
	addAll(t, r, Subject{UserID: "new"}, map[string]queue.Position{"a": queue.At(7, 5)})
	addAll(t, r, Subject{UserID: "old"}, map[string]queue.Position{"b": queue.At(9, 5)})
	if !covers(r, queue.At(7, 5), "", "new") || !covers(r, queue.At(9, 5), "", "old") || covers(r, queue.At(9, 5), "", "new") {
		t.Error("the wrong ones are covered")
	}
}

// An event is looked into only if a tombstone of its lane reaches as far.
func TestReach(t *testing.T) {
	r, _ := load(t, t.TempDir())
	asked := 0
	ids := func() (string, string) {
		asked++
		return "other", ""
	}
	ask := func(want int) {
		t.Helper()
		asked = 0
		for _, lane := range []string{"a", "b", "c"} {
			for _, offset := range []uint64{5, 6} {
				r.Cover(lane, queue.At(7, offset), ids)
			}
		}
		if asked != want {
			t.Errorf("asked %d times, want %d", asked, want)
		}
	}
	ask(0)
	addAll(t, r, Subject{UserID: "u"}, places(map[string]uint64{"a": 5, "b": 4}))
	ask(1)
	addAll(t, r, Subject{UserID: "w"}, places(map[string]uint64{"b": 6}))
	ask(3)
	addAll(t, r, Subject{UserID: "x"}, places(map[string]uint64{"b": 5}))
	ask(3)
	if n := testing.AllocsPerRun(100, func() { r.Cover("c", queue.At(7, 1), ids) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The file stays within twice of what counts in it, and no line is lost when it is
// written anew.
func TestCompaction(t *testing.T) {
	dir := t.TempDir()
	r, _ := load(t, dir)
	const visitors = 20
	for i := range uint64(2 * spareLines) {
		addAll(t, r, Subject{UserID: fmt.Sprint(i % visitors)}, upto(i+1))
		if n := lines(t, dir); n > 2*visitors+spareLines {
			t.Fatalf("%d lines for %d visitors", n, visitors)
		}
	}
	r, _ = load(t, dir)
	for i := range uint64(visitors) {
		last := 2*spareLines - 2*spareLines%visitors + i + 1
		if last > 2*spareLines {
			last -= visitors
		}
		if s := fmt.Sprint(i); !covers(r, queue.At(7, last), "", s) || covers(r, queue.At(7, last+1), "", s) {
			t.Errorf("visitor %d is not covered up to %d", i, last)
		}
	}
}

// TestMaxPlaces: the bound is on all places together; one that takes the place of
// another costs nothing.
func TestMaxPlaces(t *testing.T) {
	dir := t.TempDir()
	r, _ := load(t, dir)
	for i, c := range []struct {
		user  string
		upto  map[string]queue.Position
		limit int
		want  error
	}{
		{"u", places(map[string]uint64{"a": 1, "b": 1}), 3, nil},
		{"w", places(map[string]uint64{"a": 1, "b": 1}), 3, ErrFull},
		{"w", places(map[string]uint64{"a": 1}), 3, nil},
		{"u", places(map[string]uint64{"a": 2, "b": 2}), 3, nil},
		{"u", places(map[string]uint64{"c": 1}), 3, ErrFull},
		{"u", places(map[string]uint64{"c": 1}), 0, nil},
	} {
		if err := r.Add(Subject{UserID: c.user}, c.upto, c.limit); err != c.want {
			t.Errorf("%d: %v, want %v", i, err, c.want)
		}
	}
	if again, _ := load(t, dir); again.places != 4 || r.places != 4 {
		t.Errorf("%d places, later %d; want 4", r.places, again.places)
	}
}

// A line that a crash has cut off did not count, and the next one takes its place;
// a file that somebody has removed or cut is made again.
func TestTornTombstone(t *testing.T) {
	for name, c := range map[string]struct {
		harm   func(path string) error
		reload bool
	}{
		"torn": {func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteString(`{"time":"2026-` + strings.Repeat("x", 1000))
			return err
		}, true},
		"a write failed": {func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteString(strings.Repeat("x", 1000) + "\n")
			return err
		}, false},
		"removed": {os.Remove, false},
		"cut":     {func(path string) error { return os.Truncate(path, 10) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			r, _ := load(t, dir)
			addAll(t, r, Subject{UserID: "first"}, upto(1))
			if err := c.harm(filepath.Join(dir, tombstoneFile)); err != nil {
				t.Fatal(err)
			}
			if c.reload {
				var out *bytes.Buffer
				if r, out = load(t, dir); out.Len() > 0 {
					t.Errorf("reported: %s", out)
				}
			}
			addAll(t, r, Subject{UserID: "second"}, upto(2))
			again, out := load(t, dir)
			if !covers(again, queue.At(7, 1), "", "first") || !covers(again, queue.At(7, 2), "", "second") || out.Len() > 0 {
				t.Errorf("not both are covered; %s", out)
			}
		})
	}
}

// The audit file is bounded: the older one makes room.
func TestAuditIsBounded(t *testing.T) {
	dir := t.TempDir()
	r, _ := load(t, dir)
	path, older := filepath.Join(dir, auditFile), filepath.Join(dir, olderAuditFile)
	audit := func() {
		t.Helper()
		if err := r.Audit(Subject{UserID: "u"}, Counts{}); err != nil {
			t.Fatal(err)
		}
	}
	audit()
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	line := fi.Size()
	for _, c := range []struct {
		name               string
		before             int64
		younger, olderSize int64 // afterwards
	}{
		{"room for one more", auditBytes - 2*line, auditBytes - line, 0},
		{"full", auditBytes - line/2, line, auditBytes - line/2},
		{"full again", auditBytes, line, auditBytes},
	} {
		if err := os.Truncate(path, c.before); err != nil {
			t.Fatal(err)
		}
		audit()
		size := func(path string) int64 {
			fi, err := os.Stat(path)
			if err != nil {
				return 0
			}
			return fi.Size()
		}
		if a, b := size(path), size(older); abs(a-c.younger) > 8 || b != c.olderSize {
			t.Errorf("%s: %d and %d bytes, want %d and %d", c.name, a, b, c.younger, c.olderSize)
		}
	}
}

// abs allows for a time that is written shorter or longer.
func abs(n int64) int64 { return max(n, -n) }
