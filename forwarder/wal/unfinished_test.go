package wal

import (
	"testing"

	"github.com/intilery/caddy-intilery/forwarder/wal/internal/manifest"
)

// A lane is unfinished until all of its records have ended and the manifest on
// disk says so, also when that could not be written the first time.
func TestUnfinished(t *testing.T) {
	o := quick(t.TempDir())
	l := open(t, o)
	waitOpen(t, l)
	want := func(want bool, when string) {
		t.Helper()
		at, got := l.Unfinished()["a"]
		if got != want || got && at != l.Lane("a").End() {
			t.Errorf("%s: unfinished %v at %v, want %v", when, got, at, want)
		}
	}
	finished := func() {
		t.Helper()
		until(t, "the lane is finished", func() bool { return len(l.Unfinished()) == 0 })
		end := l.Ends()["a"]
		s, _, err := manifest.Load(o.Dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, ln := range s.Lanes {
			if ln.Name == "a" && ln.Acked != offset(l, end) {
				t.Errorf("the manifest has %d acknowledged of %d", ln.Acked, offset(l, end))
			}
		}
	}
	l.Lane("a")
	want(false, "nothing in it")
	fill(t, l, "a", 0, 3)
	want(true, "pending")
	until(t, "the manifest has it", func() bool {
		l.index.mu.Lock()
		defer l.index.mu.Unlock()
		return len(l.index.dirtyLanes)+len(l.index.unwritten) == 0
	})
	want(true, "pending, and in the manifest")
	acknowledge(l, "a", 2)
	want(true, "one pending")
	acknowledge(l, "a", 3)
	finished()

	fill(t, l, "a", 3, 1)
	l.checkpoint.mu.Lock() // nothing is written to the manifest
	acknowledge(l, "a", 4)
	want(true, "acknowledged")
	l.checkpoint.take(false)
	l.checkpoint.stale = true
	want(true, "the manifest could not be written")
	l.checkpoint.mu.Unlock()
	fill(t, l, "b", 0, 1)
	acknowledge(l, "b", 1)
	finished()
	mustClose(t, l)

	l = open(t, o)
	waitOpen(t, l)
	want(false, "opened again")
}

// What a manifest that fails was to say is not on disk.
func TestUnfinishedWithoutManifest(t *testing.T) {
	dir := t.TempDir()
	l := New(quick(dir))
	ln := l.Lane("a")
	l.index.assign([]*Lane{ln})
	ended := func() {
		l.index.mu.Lock()
		defer l.index.mu.Unlock()
		ln.last++
		ln.acked = ln.last
		l.index.dirtyLanes[ln] = struct{}{}
	}
	ended()
	if err := l.checkpoint.open(dir); err != nil {
		t.Fatal(err)
	}
	if n := len(l.Unfinished()); n != 0 {
		t.Errorf("%d lanes are unfinished though the manifest has been made", n)
	}
	if err := l.checkpoint.close(); err != nil {
		t.Fatal(err)
	}
	ended()
	if err := l.checkpoint.save(); err == nil {
		t.Fatal("a closed manifest is written")
	}
	if n := len(l.Unfinished()); n != 1 {
		t.Errorf("%d lanes are unfinished, want 1", n)
	}
}
