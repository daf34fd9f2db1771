//go:build linux

package wal

import (
	"fmt"
	"os"
	"testing"
)

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

// A sync writes what is new, and the page that was partly full: not the pages
// beside it, which the kernel may have faulted in as one.
func TestSyncsWriteSinglePages(t *testing.T) {
	o := quick(t.TempDir())
	o.SegmentBytes = 16 << 20
	l := open(t, o)
	waitOpen(t, l)
	const groups, size, page = 950, 16 << 10, 4 << 10
	var most int64
	before := written(t)
	for _, rec := range noisy(groups, size) {
		mustAppend(t, l, "a", 1, string(rec))
		mustFlush(t, l)
		most += int64(len(rec)) + 2*page
	}
	n := written(t) - before
	if n == 0 {
		t.Skip("this file system's writes are not counted")
	}
	if most += 64 * page; n > most { // the segment's beginning, and the manifest
		t.Errorf("%d bytes written, want at most %d", n, most)
	}
}
