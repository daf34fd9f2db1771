package wal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// fillDirEnv makes the test binary a child that works on that directory.
const fillDirEnv = "INTILERY_FILL_DIR"

// tableDirEnv does so too: another program has the room of a segment's table.
const tableDirEnv = "INTILERY_TABLE_DIR"

func init() { children[fillDirEnv], children[tableDirEnv] = fillChild, tableChild }

// run runs a command that needs root and tools, or skips the test.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Skipf("%s %q: %v: %s", name, args, err, out)
	}
}

// mounted is a directory on a file system of its own, which root can make.
func mounted(t *testing.T, mount ...string) (dir string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount a file system")
	}
	dir = filepath.Join(t.TempDir(), "mounted")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	run(t, "mount", append(mount, dir)...)
	t.Cleanup(func() { exec.Command("umount", dir).Run() })
	return dir
}

// btrfsQuota is a directory on btrfs with a quota.
func btrfsQuota(t *testing.T, limit string) (dir string) {
	t.Helper()
	image := newImage(t, 1<<30)
	run(t, "mkfs.btrfs", "-q", image)
	root := mounted(t, "-o", "loop", image)
	dir = filepath.Join(root, "limited")
	run(t, "btrfs", "quota", "enable", root)
	run(t, "btrfs", "subvolume", "create", dir)
	run(t, "btrfs", "qgroup", "limit", limit, dir)
	return filepath.Join(dir, "wal")
}

// fillChild appends until the log takes no more, says why, waits until it is told
// to go on, delivers all there is, and says what was read and that the log takes
// events again.
func fillChild(dir string) {
	l := New(quick(dir))
	l.Start()
	ln := l.Lane("a")
	n := 0
	for _, rec := range noisy(4000, 50<<10) { // 200 MB
		if c := l.Stats().Condition; c != queue.OK && c != queue.Opening {
			break
		}
		if ln.Append(1, rec) == nil {
			n++
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_ = l.Flush(ctx)
		cancel()
	}
	s := l.Stats()
	fmt.Println("condition", s.Condition, s.Committed)
	io.ReadFull(os.Stdin, make([]byte, 1))
	deadline := time.Now().Add(60 * time.Second)
	childDelivers(l, ln, n, deadline)
	for l.Stats().Condition != queue.OK {
		time.Sleep(10 * time.Millisecond)
		if time.Now().After(deadline) {
			s := l.Stats()
			fmt.Println("stuck", s.Condition, s.Reason)
			os.Exit(1)
		}
	}
	fmt.Println("read", n, "lost", len(l.Stats().Lost))
	if err := l.Close(); err != nil {
		fmt.Println("error", err)
	}
}

// childDelivers reads and acknowledges n records, or ends the process.
func childDelivers(l *Log, ln *Lane, n int, deadline time.Time) {
	for read := 0; read < n; {
		recs, err := ln.Read(ln.Acknowledged(), 1<<20)
		if err != nil {
			fmt.Println("error", err)
		}
		if len(recs) == 0 || err != nil {
			time.Sleep(10 * time.Millisecond)
		} else {
			read += len(recs)
			ln.Acknowledge(recs[len(recs)-1].Position)
		}
		if time.Now().After(deadline) {
			s := l.Stats()
			fmt.Println("stuck", read, n, s.Condition, s.Reason, s.Lost)
			os.Exit(1)
		}
	}
}

// filled runs fillChild and calls at when the log takes no more.
func filled(t *testing.T, dir string, want queue.Condition, at func(committed int, proceed, kill func())) (out string) {
	t.Helper()
	cmd := child(fillDirEnv, dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	outPipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errOut strings.Builder
	cmd.Stderr = &errOut
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	var condition string
	var committed int
	if _, err := fmt.Fscanf(outPipe, "condition %s %d\n", &condition, &committed); err != nil {
		cmd.Wait()
		t.Fatalf("the child said nothing (%v): %.600s", err, errOut.String())
	}
	if condition != string(want) {
		t.Errorf("condition %s, want %s", condition, want)
	}
	at(committed, func() { in.Write([]byte{1}) }, func() { cmd.Process.Kill() })
	rest, err := io.ReadAll(outPipe)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if strings.Contains(errOut.String(), "SIGBUS") || strings.Contains(errOut.String(), "panic") {
		t.Fatalf("the child died: %.600s", errOut.String())
	}
	return string(rest)
}

// A quota that is used up, which statfs does not show: the process lives, says
// so, delivers what there is, and goes on; also when another process has used it
// up in the middle of a segment, and at a restart after a kill.
func TestQuota(t *testing.T) {
	for _, limit := range []string{"24M", "60M"} {
		t.Run(limit, func(t *testing.T) {
			dir := btrfsQuota(t, limit)
			out := filled(t, dir, queue.QuotaFull, func(committed int, proceed, kill func()) {
				if committed < 50 {
					t.Errorf("only %d committed", committed)
				}
				proceed()
			})
			if !strings.Contains(out, "lost 0") {
				t.Errorf("the child said %q", out)
			}
		})
		t.Run(limit+" killed", func(t *testing.T) {
			dir := btrfsQuota(t, limit)
			var before int
			filled(t, dir, queue.QuotaFull, func(committed int, _, kill func()) { before = committed; kill() })
			l := open(t, quick(dir))
			until(t, "it is open", func() bool { return l.Ready() == nil })
			if n := len(drain(t, l, "a", 0)); n < before {
				t.Errorf("read %d, committed were %d", n, before)
			}
			wantLost(t, l, nil)
			acknowledge(l, "a", 1<<40)
			waitCondition(t, l, queue.OK)
		})
	}
	t.Run("used up by others", func(t *testing.T) {
		dir := btrfsQuota(t, "60M")
		l := open(t, quick(dir))
		fill(t, l, "a", 0, 3)
		f, err := os.Create(filepath.Join(filepath.Dir(dir), "others"))
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range noisy(20_000, 4096) {
			if _, err = f.Write(b); err != nil {
				break
			}
		}
		if err == nil {
			t.Fatal("the quota was not used up")
		}
		f.Sync()
		f.Close()
		for _, rec := range noisy(100, 50<<10) {
			mustAppend(t, l, "a", 1, string(rec))
		}
		waitCondition(t, l, queue.QuotaFull)
		if err := os.Remove(f.Name()); err != nil {
			t.Fatal(err)
		}
		mustFlush(t, l)
		if n := len(drain(t, l, "a", 0)); n != 103 {
			t.Errorf("read %d", n)
		}
	})
}

// A file system that takes no more files.
func TestInodes(t *testing.T) {
	dir := filepath.Join(mounted(t, "-t", "tmpfs", "-o", "size=400m,nr_inodes=120", "none"), "wal")
	out := filled(t, dir, queue.InodesFull, func(committed int, proceed, _ func()) {
		if committed < 100 {
			t.Errorf("only %d committed", committed)
		}
		proceed()
	})
	if !strings.Contains(out, "lost 0") {
		t.Errorf("the child said %q", out)
	}
}

// fillDisk writes a file until the disk takes no more.
func fillDisk(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for size := 1 << 20; size >= 1; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	return nil
}

// Another program fills the disk in the middle of a segment: nothing fails until
// the segment is full, and what is drained makes room.
func TestDiskFilledByOthers(t *testing.T) {
	root := newLoopDisk(t, 256<<20).dir
	o := quick(filepath.Join(root, "wal"))
	l := open(t, o, newDisk(plenty).use) // the disk's own word counts
	recs := noisy(200, 50<<10)           // each segment takes 40
	for _, rec := range recs[:150] {
		mustAppend(t, l, "a", 1, string(rec))
		mustFlush(t, l)
	}
	others := filepath.Join(root, "others")
	if err := fillDisk(others); err != nil {
		t.Fatal(err)
	}
	for _, rec := range recs[150:] {
		mustAppend(t, l, "a", 1, string(rec))
	}
	waitCondition(t, l, queue.DiskFull)
	acknowledge(l, "a", 150)
	until(t, "what is drained makes room for all", func() bool { return l.Stats().Committed == 200 })
	wantLost(t, l, nil)
	if err := os.Remove(others); err != nil {
		t.Fatal(err)
	}
}

// A program that is quick enough takes the room that Close has freed for a
// segment's table: this process lives, reads all there is, and what is drained
// makes room.
func TestTableWithoutRoom(t *testing.T) {
	cmd := child(tableDirEnv, newLoopDisk(t, 256<<20).dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "read 200 lost 0") || strings.Contains(string(out), "\nerror ") {
		t.Fatalf("the child ended with %v: %.2000s", err, out)
	}
}

func tableChild(root string) {
	o := quick(filepath.Join(root, "wal"))
	o.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	l := New(o)
	newDisk(plenty).use(l)
	l.Start()
	ln := l.Lane("a")
	flush := func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := l.Flush(ctx); err != nil {
			childFails(err)
		}
	}
	recs := noisy(200, 50<<10) // each segment takes 40
	for _, rec := range recs[:150] {
		if err := ln.Append(1, rec); err != nil {
			childFails(err)
		}
		flush()
	}
	taken, err := filepath.Glob(filepath.Join(o.Dir, "seg-*", "RESERVE"))
	if err != nil || len(taken) == 0 {
		childFails(fmt.Errorf("nothing is reserved: %v", err))
	}
	for _, name := range taken {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			childFails(err)
		}
	}
	if err := fillDisk(filepath.Join(root, "others")); err != nil {
		childFails(err)
	}
	for _, rec := range recs[150:] {
		if err := ln.Append(1, rec); err != nil {
			childFails(err)
		}
	}
	deadline := time.Now().Add(60 * time.Second)
	// All segments have ended, and are closed.
	closed := func() bool {
		l.index.mu.Lock()
		defer l.index.mu.Unlock()
		return !slices.ContainsFunc(l.index.segments, (*segmentInfo).takesBlocks)
	}
	for l.Stats().Condition != queue.DiskFull || !closed() {
		if time.Sleep(time.Millisecond); time.Now().After(deadline) {
			childFails(fmt.Errorf("not closed: %+v", l.Stats()))
		}
	}
	childDelivers(l, ln, len(recs), deadline)
	fmt.Println("read", len(recs), "lost", len(l.Stats().Lost))
}
