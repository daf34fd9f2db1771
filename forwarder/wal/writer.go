package wal

import (
	"time"
)

const (
	retryMin  = 250 * time.Millisecond
	retryMax  = 15 * time.Second
	spacePoll = time.Second // how often free space is asked for while it is short

	// seqSkip is how far sequences jump when synced records turn out to be
	// missing at open: after a power cut the ledger may lag by ledgerSync, and
	// the sequences given out in that time must not come again.
	seqSkip = 1 << 20

	forever time.Duration = -1
)

// writer is the state of the goroutine that opens, commits and rotates.
type writer struct {
	loaded    bool  // the ledger and the directory have been read
	unweighed int64 // bytes committed since the directory was weighed
	ended     bool  // nothing is committed any more; under Log.mu
	skip      bool  // damage was found: sequences must jump
	packers   []*packer
	entries   []entry
	groupAt   time.Time // when the waiting records are due; zero when none wait
	retryAt   time.Time // nothing is tried before; zero after a success
	backoff   time.Duration
	ledgerAt  time.Time // when the ledger is due; zero when it is up to date
	syncAt    time.Time // when unsynced is due, under SyncInterval
	unsynced  *generation
}

// run is the writer goroutine: it opens the log, commits what comes, and shuts
// everything down.
func (l *Log) run() {
	tidied := make(chan struct{})
	go func() {
		defer close(tidied)
		l.tidyLoop()
	}()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait := l.step(l.now())
		if wait == 0 {
			select {
			case <-l.closing:
			default:
				continue
			}
		} else {
			var due <-chan time.Time
			if wait > 0 {
				timer.Reset(wait)
				due = timer.C
			}
			select {
			case <-l.wake:
				continue
			case <-due:
				continue
			case <-l.closing:
			}
		}
		break
	}
	<-tidied
	l.shutDown()
}

// step does what is due and says how long there is nothing more to do.
func (l *Log) step(now time.Time) time.Duration {
	if wait := l.w.retryAt.Sub(now); wait > 0 {
		return wait
	}
	if err := l.ready(now); err != nil {
		return l.failed(now, err)
	}
	l.mu.Lock()
	gr := l.group
	if gr == nil && l.dueLocked(now) {
		gr = l.takeLocked()
	}
	l.mu.Unlock()
	if gr != nil {
		if err := l.write(gr, now); err != nil {
			return l.failed(now, err)
		}
	}
	if !l.w.syncAt.IsZero() && !now.Before(l.w.syncAt) {
		if err := l.settle(); err != nil {
			return l.failed(now, err)
		}
		l.w.ledgerAt = now // it may vouch for more
	}
	l.w.backoff, l.w.retryAt = 0, time.Time{}
	l.setTrouble(trouble{})
	if gr != nil {
		return 0
	}
	return l.keepLedger(now)
}

// dueLocked says whether the waiting records should be committed now, and
// starts the clock of their group if it does not run.
func (l *Log) dueLocked(now time.Time) bool {
	if l.ring.waiting() == 0 {
		l.w.groupAt = time.Time{}
		return false
	}
	if l.w.groupAt.IsZero() {
		l.w.groupAt = now.Add(l.opt.GroupDelay)
	}
	return l.ring.waiting() >= l.opt.GroupBytes || !now.Before(l.w.groupAt)
}

// write commits gr into the active generation. While the disk is at work, the
// next group is made ready if it is due by its size. On an error gr stays the
// group under way, and the next one stays behind it; a generation that failed
// takes no more.
func (l *Log) write(gr *group, now time.Time) error {
	if l.spaceLow() {
		return errHeld
	}
	<-gr.encoded
	if gr.err != nil {
		return gr.err
	}
	l.mu.Lock()
	if l.ahead == nil && l.ring.waiting() >= l.opt.GroupBytes {
		l.takeLocked()
	}
	l.mu.Unlock()
	if gr.newLanes {
		if err := l.saveLedger(true); err != nil {
			return err
		}
		gr.newLanes = false
	}
	g := l.active
	begun := time.Now()
	err := l.commit(g, gr)
	l.commits.Observe(time.Since(begun))
	if err != nil {
		l.mu.Lock()
		l.active = nil
		l.mu.Unlock()
		return err
	}
	l.mu.Lock()
	l.committedLocked(g, gr)
	l.mu.Unlock()
	if l.opt.Sync != SyncGroup {
		l.syncDue(g, now)
	}
	l.w.groupAt = time.Time{}
	l.acksDirty.Store(false)
	sync := !l.w.ledgerAt.IsZero() && !now.Before(l.w.ledgerAt)
	if err := l.saveLedger(sync); err != nil {
		l.log.Warn("the queue's ledger cannot be written", "error", err)
	}
	if sync {
		l.w.ledgerAt = time.Time{}
	} else if l.w.ledgerAt.IsZero() {
		l.w.ledgerAt = now.Add(ledgerSync)
	}
	l.mu.Lock()
	l.signalFlushLocked()
	for i := range gr.packs {
		nudge(gr.packs[i].lane.news)
	}
	l.mu.Unlock()
	return nil
}
