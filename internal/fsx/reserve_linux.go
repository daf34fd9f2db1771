package fsx

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Datasync makes a file's data durable. Its times may lag behind: syncing them
// too would cost a journal commit each time.
func Datasync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

// Reserve allocates blocks for the first size bytes of f, so that writing there
// cannot run out of space. Where the file system cannot do that, it returns nil
// and nothing is reserved.
func Reserve(f *os.File, size int64) error {
	err := unix.Fallocate(int(f.Fd()), 0, 0, size)
	for err == unix.EINTR {
		err = unix.Fallocate(int(f.Fd()), 0, 0, size)
	}
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reserve %d bytes: %w", size, err)
	}
	return nil
}

// noCow is FS_NOCOW_FL of Linux: files are overwritten in place.
const noCow = 0x00800000

// OverwriteInPlace asks a file system that copies on write to overwrite the
// files that will be made in dir in place, so that reserved blocks are used and
// no new ones needed. It reports whether the file system copies on write; on
// all others there is nothing to ask for.
func OverwriteInPlace(dir string) (copies bool) {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil || int64(st.Type) != unix.BTRFS_SUPER_MAGIC {
		return false
	}
	f, err := os.Open(dir)
	if err != nil {
		return true
	}
	defer f.Close()
	if flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS); err == nil {
		_ = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags|noCow)
	}
	return true
}

// AdviseRandom tells the kernel that this process touches its memory maps of a
// file here and there. Else it may fault several pages in as one (a large folio),
// and then a sync writes all of them where one was changed. It is done as far as
// it can be: nothing depends on it.
func AdviseRandom(f *os.File) {
	var st unix.Stat_t
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil || unix.Fstat(int(f.Fd()), &st) != nil {
		return
	}
	name := "/" + filepath.Base(f.Name())
	for line := range strings.Lines(string(maps)) {
		if !strings.HasSuffix(strings.TrimSpace(line), name) {
			continue
		}
		var from, to uintptr
		var inode uint64
		var skip string
		_, err := fmt.Sscanf(line, "%x-%x %s %s %s %d", &from, &to, &skip, &skip, &skip, &inode)
		if err == nil && inode == st.Ino {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_RANDOM)
		}
	}
}
