package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"

	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/internal/fsx"
	"github.com/intilery/caddy-intilery/internal/seal"
)

// errFloor says that the file system has less free space than the floor.
var errFloor = errors.New("too little free space")

// condition is what keeps the log from committing, if anything.
type condition struct {
	log *slog.Logger
	dir string

	mu     sync.Mutex
	now    queue.Condition // empty when commits work
	reason string
}

// get returns the condition; it is empty when commits work.
func (c *condition) get() (now queue.Condition, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now, c.reason
}

// set logs a condition when it begins and when it ends.
func (c *condition) set(now queue.Condition, reason string) {
	c.mu.Lock()
	before, wasReason, same := c.now, c.reason, c.now == now && c.reason == reason
	c.now, c.reason = now, reason
	c.mu.Unlock()
	switch {
	case same:
	case now != "":
		c.log.Error("the queue cannot write to disk; events are buffered in memory and shed when the buffer is full",
			"dir", c.dir, "condition", string(now), "reason", reason)
	case before != queue.Opening || wasReason != "":
		c.log.Info("the queue writes to disk again", "dir", c.dir)
	}
}

// close ends it all.
func (c *condition) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now, c.reason = queue.Closed, "the queue was closed"
}

// shedCause is what is counted when the buffer is full.
func shedCause(c queue.Condition) queue.ShedCause {
	switch c {
	case queue.Opening:
		return queue.ShedNotOpen
	case queue.DiskFull:
		return queue.ShedDiskFull
	case queue.QuotaFull:
		return queue.ShedQuota
	case queue.InodesFull:
		return queue.ShedInodes
	case queue.Failing:
		return queue.ShedDiskError
	}
	return queue.ShedBufferFull
}

// fewInodes is below what a segment takes.
const fewInodes = 32

// is reports whether err is an error of the system, also where Badger has
// flattened it into text.
func is(err error, errno syscall.Errno) bool {
	return errors.Is(err, errno) || strings.Contains(err.Error(), errno.Error())
}

// explain puts a failure into words that say how to mend it. Opened says whether
// the directory has been read.
func explain(err error, dir string, opened bool, floor int64, free func(string) (fsx.Space, error)) (queue.Condition, string) {
	mib := floor >> 20
	switch {
	case errors.Is(err, errFloor):
		return queue.DiskFull, fmt.Sprintf("the file system of %s has less than %d MiB free: make room, or move the directory", dir, mib)
	case is(err, syscall.EDQUOT):
		return queue.QuotaFull, fmt.Sprintf("the disk quota of %s is used up (%v): raise it, or make room", dir, err)
	case is(err, syscall.ENOSPC):
		if s, freeErr := free(dir); freeErr == nil && s.Files >= 0 && s.Files < fewInodes {
			return queue.InodesFull, fmt.Sprintf("the file system of %s takes no more files (%d inodes left): remove files, or move the directory", dir, s.Files)
		}
		return queue.DiskFull, fmt.Sprintf("the file system of %s is full (%v): make room, or move the directory", dir, err)
	case is(err, syscall.EMFILE), is(err, syscall.ENFILE):
		return queue.Failing, fmt.Sprintf("too many files are open (%v): raise the limit of open files", err)
	case errors.Is(err, fsx.ErrLocked):
		return queue.Opening, fmt.Sprintf("another process has %s open: stop it, or give each process a directory of its own", dir)
	case errors.Is(err, seal.ErrKey):
		return queue.Opening, fmt.Sprintf("a part of the queue in %s is encrypted with a key that is not configured (%v): "+
			"add that key behind the first one", dir, err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return queue.Opening, fmt.Sprintf("%s is not writable for user %d (%v): change its owner or mode, or choose another directory",
			dir, os.Getuid(), err)
	case !opened:
		return queue.Opening, fmt.Sprintf("%s cannot be opened (%v): check that it is a directory on a local disk", dir, err)
	}
	return queue.Failing, fmt.Sprintf("writing to %s fails (%v): check the disk and the system's log", dir, err)
}
