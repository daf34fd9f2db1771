package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// trouble is what keeps the log from committing, if anything. Log.mu guards it.
type trouble struct {
	cond   Condition // Opening, Held, Failing, or empty
	reason string
}

func (t *trouble) shedCause() ShedCause {
	switch t.cond {
	case Opening:
		return ShedNotOpen
	case Held:
		return ShedDiskFull
	case Failing:
		return ShedDiskError
	}
	return ShedRingFull
}

func (l *Log) conditionLocked() (Condition, string) {
	switch {
	case l.closed:
		return Closed, "the log was closed"
	case l.trouble.cond != "":
		return l.trouble.cond, l.trouble.reason
	case l.active == nil:
		return Opening, "the log has not been opened yet"
	case l.counts.quarantined > 0:
		return Degraded, "there are quarantined generations in " + l.opt.Dir +
			"; remove the quarantine directories once their contents are dealt with"
	}
	return OK, ""
}

// setTrouble reports a new state of affairs once; an empty one ends the trouble.
func (l *Log) setTrouble(t trouble) {
	l.mu.Lock()
	before := l.trouble
	l.trouble = t
	l.mu.Unlock()
	switch {
	case t == before:
	case t.cond == "":
		l.log.Info("the queue is written to disk again", "dir", l.opt.Dir)
	default:
		l.log.Error("the queue cannot be written to disk; events are held in memory and shed when it is full",
			"dir", l.opt.Dir, "condition", string(t.cond), "reason", t.reason)
	}
}

// failed notes why nothing can be committed now and says when to try again.
func (l *Log) failed(now time.Time, err error) time.Duration {
	wait := spacePoll
	if !errors.Is(err, errHeld) {
		l.w.backoff = min(max(2*l.w.backoff, retryMin), retryMax)
		wait = l.w.backoff
	}
	l.w.retryAt = now.Add(wait)
	l.setTrouble(l.explain(err))
	return wait
}

// explain puts a failure into words that say how to mend it.
func (l *Log) explain(err error) trouble {
	dir := l.opt.Dir
	switch {
	case errors.Is(err, errHeld), errors.Is(err, syscall.ENOSPC):
		return trouble{Held, fmt.Sprintf("the file system of %s has less than %d MiB free: make room, or move the directory",
			dir, l.opt.FreeSpaceFloor>>20)}
	case errors.Is(err, errLocked):
		return trouble{Opening, fmt.Sprintf("another process has %s open: stop it, or give each process a directory of its own", dir)}
	case errors.Is(err, ErrKey):
		return trouble{Opening, fmt.Sprintf("a part of the queue in %s is sealed with an encryption key that is not configured (%v): "+
			"add that key behind the first one", dir, err)}
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return trouble{Opening, fmt.Sprintf("%s is not writable for user %d (%v): change its owner or mode, or choose another directory",
			dir, os.Getuid(), err)}
	case !l.isPrepared():
		return trouble{Opening, fmt.Sprintf("%s cannot be opened (%v): check that it is a directory on a local disk", dir, err)}
	}
	return trouble{Failing, fmt.Sprintf("writing to %s fails (%v): check the disk and the system's log", dir, err)}
}
