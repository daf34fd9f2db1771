//go:build linux

package wal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Requests to the kernel to cut a file system off, as for tests of its own:
// nothing of what is in memory reaches the disk, the journal included.
const (
	extShutdown   = 0x8004587d
	noJournalSave = 2
)

// loopDisk is an ext4 file system in a file.
type loopDisk struct{ image, dir string }

// newImage is a file for a file system of that size.
func newImage(t testing.TB, size int64) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "image")
	f, err := os.Create(path)
	if err == nil {
		err = errors.Join(f.Truncate(size), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// newLoopDisk makes and mounts one of that size, or skips the test.
func newLoopDisk(t testing.TB, size int64) *loopDisk {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount a file system")
	}
	d := &loopDisk{newImage(t, size), t.TempDir()}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", d.image).CombinedOutput(); err != nil {
		t.Skipf("no ext4 can be made here: %v: %s", err, out)
	}
	if err := d.mount(); err != nil {
		t.Skipf("no file can be mounted here: %v", err)
	}
	t.Cleanup(func() { exec.Command("umount", d.dir).Run() })
	return d
}

func (d *loopDisk) mount() error {
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.dir).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func (d *loopDisk) unmount() error {
	if out, err := exec.Command("umount", d.dir).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// cut ends all writing at once.
func (d *loopDisk) cut() error {
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer f.Close()
	how := uint32(noJournalSave)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), extShutdown, uintptr(unsafe.Pointer(&how))); errno != 0 {
		return errno
	}
	return nil
}

// A power cut at a random moment under load: with SyncGroup all that Flush has
// confirmed is there; under each policy what is there is right and in order,
// and the manifest says of nothing that it is there which is not.
func TestPowerCut(t *testing.T) {
	rounds := 1
	if s := os.Getenv(crashRoundsEnv); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		rounds = max(1, n/4)
	}
	for _, sync := range []SyncPolicy{SyncGroup, SyncInterval, SyncOS} {
		for round := range rounds {
			t.Run(fmt.Sprintf("policy %d, round %d", sync, round), func(t *testing.T) {
				d := newLoopDisk(t, 192<<20)
				dir := filepath.Join(d.dir, "wal")
				cmd := child(crashDirEnv, dir, fmt.Sprintf("%s=%d", crashSyncEnv, sync))
				out, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				var said told
				// What is confirmed from here on does not count: a sync that is
				// under way when ext4 is cut off can succeed all the same, because
				// the aborted transaction has gone when it looks for it.
				var before [crashLanes]uint64
				cut := make(chan error, 1)
				time.AfterFunc(time.Duration(500+rand.IntN(1500))*time.Millisecond, func() {
					before = said.confirmed()
					cut <- d.cut()
					cmd.Process.Kill()
				})
				said.listen(t, out)
				cmd.Wait() // it was killed, or died of the disk
				if err := <-cut; err != nil {
					t.Skipf("the file system cannot be cut off: %v", err)
				}
				if t.Failed() {
					return
				}
				if said.lines == 0 {
					t.Fatal("the child did not come to a flush")
				}
				if err := errors.Join(d.unmount(), d.mount()); err != nil {
					t.Fatal(err)
				}
				if said.flushed = before; sync != SyncGroup {
					said.flushed = [crashLanes]uint64{}
				}
				said.verify(t, dir)
			})
		}
	}
}
