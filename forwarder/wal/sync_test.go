package wal

import (
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fsyncs counts the syncs of memtables and makes them fail when told to.
type fsyncs struct {
	mu   sync.Mutex
	mems int
	err  error
}

func (f *fsyncs) use(l *Log) {
	l.fsync = func(path string) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		mem := filepath.Ext(path) == ".mem"
		if mem && f.err != nil {
			return f.err
		}
		err := syncFile(path)
		if mem && err == nil {
			f.mems++
		}
		return err
	}
}

func (f *fsyncs) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *fsyncs) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mems
}

// vouched returns how many records of lane the ledger on disk vouches for.
func vouched(t *testing.T, dir, lane string) (n uint64) {
	t.Helper()
	ld := ledger{path: filepath.Join(dir, "ledger")}
	s, _, _, err := ld.load()
	if err != nil || s == nil {
		t.Fatalf("the ledger: %v", err)
	}
	for _, ln := range s.lanes {
		if ln.name != lane {
			continue
		}
		for _, g := range s.gens {
			if r, ok := g.ranges[ln.id]; ok {
				n += r.last - r.first + 1
			}
		}
		if ln.synced < n {
			t.Errorf("the lane's mark is %d, its ranges hold %d", ln.synced, n)
		}
	}
	return n
}

// Each policy syncs when it says, and the ledger vouches for what was synced.
func TestSyncPolicies(t *testing.T) {
	for _, c := range []struct {
		name                string
		sync                SyncPolicy
		mems, later, closed int    // syncs after 5 groups, an interval later, and after Close
		vouched, vouchLater uint64 // by the ledger after the groups and later
	}{
		{"group", SyncGroup, 5, 5, 5, 5, 5},
		{"interval", SyncInterval, 0, 1, 1, 0, 5},
		{"os", SyncOS, 0, 0, 1, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				o := quick(dir)
				o.Sync, o.SyncEvery = c.sync, time.Minute
				var f fsyncs
				l := New(o)
				f.use(l)
				l.Start()
				mustFlush(t, l)
				fill(t, l, "a", 0, 1)
				base := f.count() - min(c.mems, 1) // what opening has synced
				for i := range 4 {
					time.Sleep(time.Second)
					fill(t, l, "a", 1+i, 1)
				}
				time.Sleep(time.Second)
				if n := f.count() - base; n != c.mems {
					t.Errorf("%d syncs for 5 groups, want %d", n, c.mems)
				}
				if n := vouched(t, dir, "a"); n != c.vouched {
					t.Errorf("the ledger vouches for %d, want %d", n, c.vouched)
				}
				time.Sleep(24 * time.Hour) // idle: nothing is synced again
				if n := f.count() - base; n != c.later {
					t.Errorf("%d syncs in the end, want %d", n, c.later)
				}
				if n := vouched(t, dir, "a"); n != c.vouchLater {
					t.Errorf("the ledger vouches for %d later, want %d", n, c.vouchLater)
				}
				mustClose(t, l)
				if n := f.count() - base; n != c.closed {
					t.Errorf("%d syncs after Close, want %d", n, c.closed)
				}
				if n := vouched(t, dir, "a"); n != 5 {
					t.Errorf("the closed ledger vouches for %d", n)
				}
			})
			l := open(t, quick(dir))
			waitOpen(t, l)
			if recs := drain(t, l, "a", 0); len(recs) != 5 || len(l.Stats().Lost) != 0 {
				t.Errorf("read %d, lost %v", len(recs), l.Stats().Lost)
			}
		})
	}
}

// After a sync that failed, a group goes into a new generation; and what an
// interval's failed sync leaves in doubt is never vouched for.
func TestFailedSync(t *testing.T) {
	for _, p := range []SyncPolicy{SyncGroup, SyncInterval} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			o := quick(dir)
			o.Sync = p
			var f fsyncs
			l := New(o)
			f.use(l)
			l.Start()
			fill(t, l, "a", 0, 3)
			time.Sleep(time.Minute)
			f.set(errors.New("input/output error"))
			mustAppend(t, l, "a", 1, "a 3")
			time.Sleep(time.Minute)
			if p == SyncGroup {
				if s := l.Stats(); s.Condition != Failing || s.Committed != 3 {
					t.Errorf("%s, committed %d", s.Condition, s.Committed)
				}
			}
			f.set(nil)
			time.Sleep(time.Minute)
			fill(t, l, "a", 4, 1)
			time.Sleep(time.Minute)
			if recs := drain(t, l, "a", 0); len(recs) != 5 || string(recs[3].Data) != "a 3" || string(recs[4].Data) != "a 4" {
				t.Errorf("policy %d: read %d records", p, len(recs))
			}
			if n := len(generations(t, dir, "gen-*")); n < 2 {
				t.Errorf("policy %d: no new generation", p)
			}
			want := uint64(5)
			if p == SyncInterval {
				want = 4
			}
			if n := vouched(t, dir, "a"); n != want {
				t.Errorf("policy %d: the ledger vouches for %d, want %d", p, n, want)
			}
			mustClose(t, l)
		})
	}
}

// Sequences of which a power cut may have left no trace are not given out again.
func TestLooseLedgerSkips(t *testing.T) {
	o := quick(t.TempDir())
	o.Sync = SyncOS
	l := open(t, o)
	fill(t, l, "a", 0, 3)
	b := savedLedger(t, o.Dir)
	mustClose(t, l)
	restoreLedger(t, o.Dir, b)
	l = open(t, o)
	waitOpen(t, l)
	fill(t, l, "a", 3, 1)
	recs := drain(t, l, "a", 0)
	if len(recs) != 4 || recs[2].Seq != 3 || recs[3].Seq < seqSkip {
		t.Errorf("read %v", recs)
	}
	if s := l.Stats(); len(s.Lost) != 0 {
		t.Errorf("lost %v", s.Lost)
	}
}

// syncedFiles keeps the paths of the files that l syncs.
type syncedFiles struct {
	mu    sync.Mutex
	paths map[string]bool
}

func (f *syncedFiles) use(l *Log) {
	f.reset()
	l.fsync = func(path string) error {
		err := syncFile(path)
		if err == nil {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.paths[path] = true
		}
		return err
	}
}

func (f *syncedFiles) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.paths = make(map[string]bool)
}

func (f *syncedFiles) has(path string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.paths[path]
}

// newestMem is the memtable that takes writes.
func newestMem(t *testing.T, dir string) string {
	t.Helper()
	mems := generations(t, dir, "gen-*/*.mem")
	if len(mems) == 0 {
		t.Fatal("no memtable")
	}
	return mems[len(mems)-1]
}

// However many memtables Badger has begun, the one that a group went into is
// synced with it.
func TestSyncFollowsMemtables(t *testing.T) {
	dir := t.TempDir()
	var synced syncedFiles
	var c clock
	l := open(t, quick(dir), synced.use, c.use)
	fill(t, l, "a", 0, 1)
	c.shift.Store(int64(time.Minute)) // nobody reads: the generation fills
	recs := noisy(800, 30<<10)        // 25 MB, of which a memtable takes 8
	begun := make(map[string]bool)
	for i := range 100 {
		for _, rec := range recs[8*i : 8*i+8] {
			mustAppend(t, l, "a", 1, string(rec))
		}
		synced.reset()
		mustAppend(t, l, "b", 1, "the last of its group")
		mustFlush(t, l)
		newest := newestMem(t, dir)
		begun[newest] = true
		if !synced.has(newest) {
			t.Errorf("group %d went into %s, which was not synced", i, filepath.Base(newest))
		}
	}
	if len(begun) < 3 {
		t.Errorf("only %d memtables: this shows nothing", len(begun))
	}
}

// The memtables of last time may have gone when the interval is over.
func TestIntervalFollowsMemtables(t *testing.T) {
	o := quick(t.TempDir())
	o.Sync, o.SyncEvery = SyncInterval, 1500*time.Millisecond
	var synced syncedFiles
	var c clock
	l := open(t, o, synced.use, c.use)
	waitOpen(t, l)
	synced.reset()
	fill(t, l, "a", 0, 1)
	c.shift.Store(int64(time.Minute)) // nobody reads: the generation fills
	first := newestMem(t, o.Dir)
	until(t, "the first memtable is synced", func() bool { return synced.has(first) })
	for _, rec := range noisy(400, 30<<10) {
		mustAppend(t, l, "a", 1, string(rec))
	}
	mustFlush(t, l)
	until(t, "the first memtable is a table", func() bool { return generations(t, o.Dir, "gen-*/*.mem")[0] != first })
	synced.reset()
	fill(t, l, "a", 401, 1)
	until(t, "what came later is synced", func() bool { return synced.has(newestMem(t, o.Dir)) })
}
