package wal

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// A drained log reads nothing, writes nothing, syncs nothing and grows nothing,
// however long it idles; each goroutine of it waits.
func TestIdleCostsNothing(t *testing.T) {
	for _, p := range []SyncPolicy{SyncGroup, SyncInterval, SyncOS} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			o := quick(dir)
			o.Sync = p
			var f fsyncs
			l := New(o)
			f.use(l)
			looks := 0 // at the file system, by the writer or the janitor
			l.freeSpace = func(string) (int64, error) { looks++; return 1 << 40, nil }
			l.usage = func(string) int64 { looks++; return 0 }
			l.Start()
			fill(t, l, "a", 0, 100)
			recs := drain(t, l, "a", 0)
			l.Ack("a", recs[len(recs)-1].Seq)
			time.Sleep(time.Minute) // what is due after an acknowledgement
			synctest.Wait()
			type state struct {
				reads, epoch  uint64
				syncs, looks  int
				bytes         int64
				ledgerChanged time.Time
			}
			now := func() state {
				l.ledger.mu.Lock()
				defer l.ledger.mu.Unlock()
				fi, err := os.Stat(filepath.Join(dir, "ledger"))
				if err != nil {
					t.Fatal(err)
				}
				return state{l.reads.Load(), l.ledger.epoch, f.count(), looks, dirUsage(dir), fi.ModTime()}
			}
			before := now()
			for range 3600 * 10 { // a consumer that polls all the same
				time.Sleep(100 * time.Millisecond)
				if recs, err := l.Read("a", l.Acked("a"), 1000); recs != nil || err != nil {
					t.Fatal(recs, err)
				}
			}
			time.Sleep(100 * time.Hour) // and beyond MaxAge
			synctest.Wait()
			if after := now(); after != before {
				t.Errorf("policy %d: %+v became %+v", p, before, after)
			}
			mustClose(t, l)
		})
	}
}
