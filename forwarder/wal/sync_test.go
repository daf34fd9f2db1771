package wal

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/forwarder/wal/internal/manifest"
	"github.com/intilery/caddy-intilery/forwarder/wal/internal/segment"
	"github.com/intilery/caddy-intilery/internal/faketime"
)

// syncs counts the syncs of segments and makes them fail when told to.
type syncs struct {
	fault
	n atomic.Int64
}

func (s *syncs) use(l *Log) {
	faults(&segment.Faults{Sync: func() error {
		err := s.get()
		if err == nil {
			s.n.Add(1)
		}
		return err
	}})(l)
}

func (s *syncs) count() int { return int(s.n.Load()) }

// durable is the highest sequence of a lane that the manifest on disk says is there.
func durable(t *testing.T, dir, lane string) uint64 {
	t.Helper()
	s, _, err := manifest.Load(dir)
	if err != nil || s == nil {
		t.Fatalf("the manifest: %v", err)
	}
	for _, l := range s.Lanes {
		if l.Name == lane {
			return l.Last
		}
	}
	return 0
}

// Each policy syncs when it says, and the manifest says of what was synced, and
// of nothing else, that it is there.
func TestSyncPolicies(t *testing.T) {
	for _, c := range []struct {
		name                string
		sync                SyncPolicy
		syncs, later, close int    // after 5 groups, an interval later, and after Close
		said, saidLater     uint64 // by the manifest after the groups and later
	}{
		{"group", SyncGroup, 5, 5, 5, 5, 5},
		{"interval", SyncInterval, 0, 1, 1, 0, 5},
		{"os", SyncOS, 0, 0, 1, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			faketime.Test(t, func(t *testing.T) {
				o := quick(dir)
				o.Sync, o.SyncEvery = c.sync, time.Minute
				var f syncs
				l := New(o)
				f.use(l)
				l.Start()
				for i := range 5 {
					fill(t, l, "a", i, 1)
					time.Sleep(time.Second)
				}
				if n := f.count(); n != c.syncs {
					t.Errorf("%d syncs for 5 groups, want %d", n, c.syncs)
				}
				if n := durable(t, dir, "a"); n != c.said {
					t.Errorf("the manifest says that %d are there, want %d", n, c.said)
				}
				time.Sleep(time.Hour) // idle: nothing is synced again
				if n := f.count(); n != c.later {
					t.Errorf("%d syncs in the end, want %d", n, c.later)
				}
				if n := durable(t, dir, "a"); n != c.saidLater {
					t.Errorf("the manifest says later that %d are there, want %d", n, c.saidLater)
				}
				mustClose(t, l)
				if n := f.count(); n != c.close {
					t.Errorf("%d syncs after Close, want %d", n, c.close)
				}
				if n := durable(t, dir, "a"); n != 5 {
					t.Errorf("the closed manifest says that %d are there", n)
				}
			})
			l := open(t, quick(dir))
			waitOpen(t, l)
			if recs := drain(t, l, "a", 0); len(recs) != 5 {
				t.Errorf("read %d", len(recs))
			}
			wantLost(t, l, nil)
		})
	}
}

// After a sync that failed, a group goes into a new segment; and of what an
// interval's failed sync leaves in doubt it is never said that it is there.
func TestFailedSync(t *testing.T) {
	for name, p := range map[string]SyncPolicy{"group": SyncGroup, "interval": SyncInterval} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			faketime.Test(t, func(t *testing.T) {
				o := quick(dir)
				o.Sync = p
				var f syncs
				l := New(o)
				f.use(l)
				l.Start()
				fill(t, l, "a", 0, 3)
				time.Sleep(time.Minute)
				f.set(errors.New("input/output error"))
				mustAppend(t, l, "a", 1, "a 3")
				time.Sleep(time.Minute)
				if p == SyncGroup {
					if s := l.Stats(); s.Condition != queue.Failing || s.Committed != 3 {
						t.Errorf("%s, committed %d", s.Condition, s.Committed)
					}
				} else if n := durable(t, dir, "a"); n != 3 {
					t.Errorf("the manifest says that %d are there, want 3", n)
				}
				f.set(nil)
				time.Sleep(time.Minute)
				fill(t, l, "a", 4, 1)
				time.Sleep(time.Minute)
				wantTexts(t, drain(t, l, "a", 0), "a 0", "a 1", "a 2", "a 3", "a 4")
				if s := l.Stats(); s.Segments < 2 || s.Committed != 5 {
					t.Errorf("%d segments, committed %d", s.Segments, s.Committed)
				}
				mustClose(t, l)
			})
		})
	}
}

// After a failed commit it is not known what is on disk. The group goes into a
// new segment, under the same sequences, once for the reader.
func TestFailedCommit(t *testing.T) {
	for name, applied := range map[string]bool{"applied": true, "not applied": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			faketime.Test(t, func(t *testing.T) {
				l := New(quick(dir))
				var write, sync fault
				faults(&segment.Faults{Write: write.get, Sync: sync.get})(l)
				l.Start()
				fill(t, l, "a", 0, 5)
				if applied {
					sync.set(errors.New("no")) // what was written before may be there
				} else {
					write.set(errors.New("no"))
				}
				mustAppend(t, l, "a", 1, "a 5")
				time.Sleep(time.Second)
				write.set(nil)
				sync.set(nil)
				time.Sleep(time.Minute)
				recs := drain(t, l, "a", 0)
				wantTexts(t, recs, "a 0", "a 1", "a 2", "a 3", "a 4", "a 5")
				if s := l.Stats(); s.Condition != queue.OK || s.Committed != 6 || s.Pending["a"] != 6 {
					t.Errorf("%s, committed %d, pending %v", s.Condition, s.Committed, s.Pending)
				}
				wantLost(t, l, nil)
				copied := copyFiles(t, dir) // as a killed process leaves it
				mustClose(t, l)
				l = New(quick(copied))
				l.Start()
				time.Sleep(time.Minute)
				wantTexts(t, drain(t, l, "a", 0), "a 0", "a 1", "a 2", "a 3", "a 4", "a 5")
				if n := l.Stats().Pending["a"]; n != 6 {
					t.Errorf("%d pending after a restart", n)
				}
				mustClose(t, l)
			})
		})
	}
}

// A drained log reads nothing, writes nothing, syncs nothing and grows nothing,
// however long it idles; each goroutine of it waits.
func TestIdleCostsNothing(t *testing.T) {
	for name, p := range map[string]SyncPolicy{"group": SyncGroup, "interval": SyncInterval, "os": SyncOS} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			faketime.Test(t, func(t *testing.T) {
				o := quick(dir)
				o.Sync = p
				var f syncs
				l := New(o)
				f.use(l)
				var steps atomic.Int64
				l.now = func() time.Time { steps.Add(1); return time.Now() }
				l.Start()
				fill(t, l, "a", 0, 100)
				ln := l.Lane("a")
				ln.Acknowledge(ln.End())
				time.Sleep(time.Minute) // what is due after an acknowledgement
				synctest.Wait()
				steps.Store(0)
				before, count := saved(t, dir), f.count()
				for range 3600 * 10 { // a consumer that polls all the same
					time.Sleep(100 * time.Millisecond)
					if recs, err := ln.Read(ln.Acknowledged(), 1000); recs != nil || err != nil {
						t.Fatal(recs, err)
					}
				}
				time.Sleep(100 * time.Hour) // and beyond MaxAge
				synctest.Wait()
				if n := steps.Load(); n > 4 { // the janitor's, when MaxAge is over
					t.Errorf("the log was at work %d times", n)
				}
				if n := l.Stats().Reads; n != 0 {
					t.Errorf("%d reads", n)
				}
				if n := f.count(); n != count {
					t.Errorf("%d syncs", n-count)
				}
				for path, b := range saved(t, dir) {
					if string(b) != string(before[path]) {
						t.Errorf("%s was written", path)
					}
				}
				mustClose(t, l)
			})
		})
	}
}
