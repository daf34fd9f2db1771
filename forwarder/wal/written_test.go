//go:build linux

package wal

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// While readers keep up, generations are replaced and removed before Badger
// writes what they hold a second time, as a table.
func TestDrainedIsWrittenOnce(t *testing.T) {
	o := quick(t.TempDir())
	l := open(t, o)
	waitOpen(t, l)
	recs := noisy(300, 100<<10) // 30 MB, of which a memtable takes 8
	before := written(t)
	for i, rec := range recs {
		mustAppend(t, l, "a", 1, string(rec))
		mustFlush(t, l)
		if i >= 2 {
			l.Ack("a", uint64(i-1)) // always a little behind
		}
	}
	until(t, "what was drained is removed", func() bool { return l.Stats().Generations == 1 })
	n := written(t) - before
	if n == 0 {
		t.Skip("writes to this file system are not counted")
	}
	if times := float64(n) / float64(len(recs)*len(recs[0])); times > 1.4 {
		t.Errorf("each byte was written %.2f times", times)
	}
	if s := l.Stats(); len(s.Lost) != 0 {
		t.Errorf("lost %v", s.Lost)
	}
	if now := generations(t, o.Dir, "gen-*"); filepath.Base(now[0]) == genName(1) {
		t.Error("the first generation is still there: this shows nothing")
	}
}

// written returns the bytes that this process has had written to disks, as
// Linux counts them; 0 elsewhere.
func written(t testing.TB) (n int64) {
	t.Helper()
	s, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	var x [7]int64
	if _, err := fmt.Sscanf(string(s), "rchar: %d\nwchar: %d\nsyscr: %d\nsyscw: %d\nread_bytes: %d\nwrite_bytes: %d", &x[0], &x[1], &x[2], &x[3], &x[4], &n); err != nil {
		t.Logf("no account of bytes written: %v", err)
	}
	return n
}
