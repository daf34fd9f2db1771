package preflight

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Of linux/quota.h.
const (
	getQuota   = 0x800007 // Q_GETQUOTA
	userQuota  = 0
	groupQuota = 1
	quotaBlock = 1024 // bytes of a block in limits

	limitsValid = 1<<0 | 1<<2 // QIF_BLIMITS, QIF_ILIMITS
	usageValid  = 1<<1 | 1<<3 // QIF_SPACE, QIF_INODES
)

// quotaEntry is struct if_dqblk of linux/quota.h.
type quotaEntry struct {
	bytesHard, bytesSoft, bytesUsed uint64 // limits in blocks, 0 for none
	filesHard, filesSoft, filesUsed uint64
	bytesTime, filesTime            uint64
	valid                           uint32
	_                               uint32
}

// quotasOf asks for the quotas of a user, and of the group that files in dir get.
// It returns none where there is none.
func quotasOf(dir string, u *User) (found []quota, err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	uid, gid := uint32(os.Geteuid()), uint32(os.Getegid())
	if u != nil {
		uid, gid = u.uid, u.gid
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && fi.Mode()&os.ModeSetgid != 0 {
		gid = st.Gid // new files inherit it
	}
	if uid == 0 {
		return nil, nil // root is bound by none
	}
	for kind, id := range [...]uint32{userQuota: uid, groupQuota: gid} {
		e, err := readQuota(f, kind, id)
		switch {
		case errors.Is(err, unix.ESRCH), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.ENOTTY), errors.Is(err, unix.ENOENT):
			continue // off, or none of this kind
		case err != nil:
			return found, err
		}
		of := u.String()
		if kind == groupQuota {
			of = "group " + groupName(id)
		}
		if q := e.left(); q.bytes >= 0 || q.files >= 0 {
			q.of = of
			found = append(found, q)
		}
	}
	return found, nil
}

// readQuota is quotactl_fd(2), which Linux has since 5.14.
func readQuota(f *os.File, kind int, id uint32) (e quotaEntry, err error) {
	_, _, errno := unix.Syscall6(unix.SYS_QUOTACTL_FD, f.Fd(), uintptr(getQuota)<<8|uintptr(kind), uintptr(id), uintptr(unsafe.Pointer(&e)), 0, 0)
	if errno != 0 {
		return e, fmt.Errorf("quotactl: %w", errno)
	}
	return e, nil
}

// left returns what the limits leave. The soft ones count, because they bind after a
// time of grace, and a queue waits longer.
func (e *quotaEntry) left() quota {
	q := quota{bytes: -1, files: -1}
	if e.valid&limitsValid != limitsValid || e.valid&usageValid != usageValid {
		return q
	}
	if limit := lower(e.bytesSoft, e.bytesHard); limit > 0 {
		q.bytes = remains(limit*quotaBlock, e.bytesUsed)
	}
	if limit := lower(e.filesSoft, e.filesHard); limit > 0 {
		q.files = remains(limit, e.filesUsed)
	}
	return q
}

// lower returns the lower limit; 0 is none.
func lower(a, b uint64) uint64 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

func remains(limit, used uint64) int64 {
	if used >= limit {
		return 0
	}
	return int64(limit - used)
}

func groupName(gid uint32) string {
	id := strconv.FormatUint(uint64(gid), 10)
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}
