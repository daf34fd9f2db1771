//go:build darwin || dragonfly || freebsd || linux

package fsx

import (
	"fmt"
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// Free returns the space that the file system of dir has left. Quotas do not
// show in it.
func Free(dir string) (Space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return Space{}, fmt.Errorf("free space of %s: %w", dir, err)
	}
	s := Space{Bytes: int64(st.Bavail) * int64(st.Bsize), Files: -1}
	if st.Files > 0 { // btrfs and others make inodes as they need them
		s.Files = int64(st.Ffree)
	}
	return s, nil
}

// Allocated returns the bytes that a file takes on disk, which is less than its
// size when it is sparse.
func Allocated(fi fs.FileInfo) int64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return fi.Size()
}
