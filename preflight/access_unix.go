//go:build unix

package preflight

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// What a mode allows.
const (
	read  = 4
	write = 2
	enter = 1
)

// mayWrite says why the user may not make files in dir, "" if the user may. Of the
// user of this process the system is asked; of another one the modes and access
// control lists are read.
func (u *User) mayWrite(dir string) (whyNot string, err error) {
	if u == nil || int(u.uid) == os.Getuid() {
		// A file system that is mounted read-only is a finding of its own.
		if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil && err != unix.EROFS {
			return err.Error(), nil
		}
		return "", nil
	}
	return u.reach(dir, write|enter)
}

// MayRead says why the user may not read a file, "" if the user may. The error is that
// of looking at the file.
func (u *User) MayRead(file string) (whyNot string, err error) {
	file, err = filepath.Abs(file)
	if err != nil {
		return "", err
	}
	if u == nil || int(u.uid) == os.Getuid() {
		if err := unix.Access(file, unix.R_OK); err != nil {
			return err.Error(), nil
		}
		return "", nil
	}
	return u.reach(file, read)
}

// reach says what keeps the user from using a path as wanted: the path itself, or a
// directory above it, also where a symbolic link leads.
func (u *User) reach(path string, want uint32) (whyNot string, err error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	for at := real; ; at, want = filepath.Dir(at), enter {
		fi, err := os.Stat(at)
		if err != nil {
			return "", err
		}
		if !u.may(at, fi, want) {
			return fmt.Sprintf("%s is %s", at, describe(fi)), nil
		}
		if at == filepath.Dir(at) {
			return "", nil
		}
	}
}

// may reads a mode, or an access control list, as the system does: the first class that
// fits counts alone.
func (u *User) may(path string, fi fs.FileInfo, want uint32) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || u.uid == 0 {
		return true
	}
	if list := accessList(path); list != nil {
		return u.listed(list, st.Uid, st.Gid, want)
	}
	bits := uint32(fi.Mode().Perm())
	switch {
	case st.Uid == u.uid:
		bits >>= 6
	case slices.Contains(u.groups, st.Gid):
		bits >>= 3
	}
	return bits&want == want
}

// describe tells mode and owner.
func describe(fi fs.FileInfo) string {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return fi.Mode().String()
	}
	owner, group := strconv.Itoa(int(st.Uid)), strconv.Itoa(int(st.Gid))
	if u, err := user.LookupId(owner); err == nil {
		owner = u.Username
	}
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return fmt.Sprintf("%v %s:%s", fi.Mode(), owner, group)
}

// deviceOf tells file systems apart.
func deviceOf(fi fs.FileInfo) (device uint64, ok bool) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return uint64(st.Dev), true
}
