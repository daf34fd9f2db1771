package wal

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/forwarder/wal/internal/segment"
	"github.com/intilery/caddy-intilery/internal/faketime"
	"github.com/intilery/caddy-intilery/internal/fsx"
)

// A disk without room for another segment: the one there is takes what was
// reserved for it, then records are buffered, and all goes on when there is room.
func TestFullDisk(t *testing.T) {
	d := newDisk(plenty)
	l := open(t, quick(t.TempDir()), d.use)
	fill(t, l, "a", 0, 5)
	d.bytes.Store(l.opt.FreeSpaceFloor - 1)
	fill(t, l, "a", 5, 1)
	if s := l.Stats(); s.Condition != queue.OK || s.FreeBytes != l.opt.FreeSpaceFloor-1 {
		t.Errorf("%s, %d bytes free", s.Condition, s.FreeBytes)
	}
	rotate(l)
	mustAppend(t, l, "a", 1, "a 6")
	waitCondition(t, l, queue.DiskFull)
	if s := l.Stats(); s.Committed != 6 || s.Reason == "" {
		t.Errorf("committed %d, reason %q", s.Committed, s.Reason)
	}
	d.bytes.Store(l.opt.FreeSpaceFloor)
	mustFlush(t, l)
	wantTexts(t, drain(t, l, "a", 0), "a 0", "a 1", "a 2", "a 3", "a 4", "a 5", "a 6")
	// Flush returns with the commit, the writer's word on it comes after.
	waitCondition(t, l, queue.OK)
}

// A disk that is full from the start: what is there can be read and removed,
// which is how the disk gets free again.
func TestFullDiskAtStart(t *testing.T) {
	o := prefilled(t)
	d := newDisk(0)
	l := open(t, o, d.use)
	waitCondition(t, l, queue.DiskFull)
	mustAppend(t, l, "a", 1, "a 10")
	if recs := drain(t, l, "a", 4); len(recs) != 6 {
		t.Fatalf("read %d records", len(recs))
	}
	acknowledge(l, "a", 10)
	until(t, "the drained segment goes", func() bool { return len(segmentDirs(t, o.Dir)) == 0 })
	d.bytes.Store(plenty)
	mustFlush(t, l)
	wantTexts(t, drain(t, l, "a", 10), "a 10")
	wantLost(t, l, nil)
}

// While the disk takes no events, what is drained is removed all the same, and
// cursors reach the manifest (field: hours of events were sent again).
func TestFullDiskDrains(t *testing.T) {
	dir := t.TempDir()
	faketime.Test(t, func(t *testing.T) {
		l := New(quick(dir))
		d := newDisk(plenty)
		d.use(l)
		l.Start()
		for i := range 4 {
			fill(t, l, "a", i, 1)
			rotate(l)
		}
		d.bytes.Store(0)
		mustAppend(t, l, "a", 1, "buffered")
		time.Sleep(time.Minute)
		if c := l.Stats().Condition; c != queue.DiskFull {
			t.Errorf("condition %s", c)
		}
		acknowledge(l, "a", 3)
		time.Sleep(2 * time.Second)
		if n := len(segmentDirs(t, dir)); n != 1 {
			t.Errorf("%d segments are left, want 1", n)
		}
		copied := copyFiles(t, dir) // as a killed process leaves it
		again := New(quick(copied))
		again.Start()
		time.Sleep(time.Second)
		wantTexts(t, drain(t, again, "a", acked(again, "a")), "a 3")
		mustClose(t, again)
		d.bytes.Store(plenty)
		mustFlush(t, l)
		mustClose(t, l)
	})
}

// A log on a disk that is full closes, and can be opened again in the same process.
func TestFullDiskCloses(t *testing.T) {
	o := quick(t.TempDir())
	d := newDisk(plenty)
	l := open(t, o, d.use)
	fill(t, l, "a", 0, 3)
	d.bytes.Store(0)
	mustClose(t, l)
	l = open(t, o, d.use)
	waitCondition(t, l, queue.DiskFull)
	wantTexts(t, drain(t, l, "a", 0), "a 0", "a 1", "a 2")
}

// What keeps the log from writing is told as what it is, and so is what is shed.
func TestConditions(t *testing.T) {
	for name, c := range map[string]struct {
		err       error
		free      fsx.Space
		condition queue.Condition
		shed      queue.ShedCause
	}{
		"quota":                    {syscall.EDQUOT, fsx.Space{Bytes: plenty, Files: 1000}, queue.QuotaFull, queue.ShedQuota},
		"quota, as Badger says it": {errors.New("while opening memtables error: truncate: disk quota exceeded"), fsx.Space{Bytes: plenty, Files: -1}, queue.QuotaFull, queue.ShedQuota},
		"inodes":                   {syscall.ENOSPC, fsx.Space{Bytes: plenty, Files: 3}, queue.InodesFull, queue.ShedInodes},
		"space":                    {syscall.ENOSPC, fsx.Space{Bytes: 1 << 30, Files: 1000}, queue.DiskFull, queue.ShedDiskFull},
		"space, no inodes":         {syscall.ENOSPC, fsx.Space{Bytes: 1 << 30, Files: -1}, queue.DiskFull, queue.ShedDiskFull},
		"files":                    {syscall.EMFILE, fsx.Space{Bytes: plenty, Files: 1000}, queue.Failing, queue.ShedDiskError},
		"error":                    {syscall.EIO, fsx.Space{Bytes: plenty, Files: 1000}, queue.Failing, queue.ShedDiskError},
		"read-only":                {syscall.EROFS, fsx.Space{Bytes: plenty, Files: 1000}, queue.Opening, queue.ShedNotOpen},
		"owner":                    {syscall.EACCES, fsx.Space{Bytes: plenty, Files: 1000}, queue.Opening, queue.ShedNotOpen},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			faketime.Test(t, func(t *testing.T) {
				o := quick(dir)
				o.BufferBytes = 1000
				l := New(o)
				var write fault
				faults(&segment.Faults{Write: write.get})(l)
				l.free = func(string) (fsx.Space, error) { return c.free, nil }
				l.Start()
				fill(t, l, "a", 0, 1)
				write.set(c.err)
				mustAppend(t, l, "a", 1, string(make([]byte, 900)))
				time.Sleep(time.Second)
				s := l.Stats()
				if s.Condition != c.condition || s.Reason == "" {
					t.Errorf("%s: %s", s.Condition, s.Reason)
				}
				if err := l.Lane("a").Append(1, make([]byte, 900)); !errors.Is(err, queue.ErrFull) || l.Stats().Shed[1][c.shed] != 1 {
					t.Errorf("%v, shed %v", err, l.Stats().Shed)
				}
				write.set(nil)
				time.Sleep(time.Minute)
				if s := l.Stats(); s.Condition != queue.OK || s.Committed != 2 {
					t.Errorf("%s, committed %d", s.Condition, s.Committed)
				}
				mustClose(t, l)
			})
		})
	}
}
