package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
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
	loaded   bool // the ledger and the directory have been read
	skip     bool // damage was found: sequences must jump
	packer   *packer
	entries  []entry
	frames   []byte
	groupAt  time.Time // when the waiting records are due; zero when none wait
	retryAt  time.Time // nothing is tried before; zero after a success
	backoff  time.Duration
	ledgerAt time.Time // when the ledger is due; zero when it is up to date
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
		gr = l.takeLocked(l.w.entries)
	}
	l.mu.Unlock()
	if gr != nil {
		if err := l.write(gr, now); err != nil {
			return l.failed(now, err)
		}
	}
	l.w.backoff, l.w.retryAt = 0, time.Time{}
	l.setTrouble(trouble{})
	if gr != nil {
		return 0
	}
	return l.keepLedger(now)
}

// ready makes sure that there is an active generation that may take a group.
func (l *Log) ready(now time.Time) error {
	if l.w.packer == nil {
		p, err := newPacker()
		if err != nil {
			return err
		}
		l.w.packer = p
	}
	if !l.isPrepared() {
		if err := l.prepare(); err != nil {
			return err
		}
	}
	if l.active != nil && !l.rotationDue(now) {
		return nil
	}
	if l.spaceLow() {
		return l.readyToDrain()
	}
	if l.active != nil {
		return l.createGeneration()
	}
	return l.activate(now)
}

// readyToDrain does, while the disk is too full for a new generation, what lets
// readers drain and the janitor remove the ones there are. It returns errHeld,
// or worse.
func (l *Log) readyToDrain() error {
	l.mu.Lock()
	l.active = nil
	var newest *generation
	if n := len(l.gens); n > 0 && l.gens[n-1].unchecked {
		newest = l.gens[n-1]
	}
	l.mu.Unlock()
	nudge(l.tidyUp)
	if newest != nil {
		if err := l.check(newest, false); err != nil {
			return err
		}
	}
	return errHeld
}

func (l *Log) isPrepared() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.prepared
}

// activate makes the newest generation the active one if it is sound and has
// room, and begins a new one otherwise.
func (l *Log) activate(now time.Time) error {
	l.mu.Lock()
	var g *generation
	if n := len(l.gens); n > 0 && l.gens[n-1].unchecked {
		g = l.gens[n-1]
	}
	l.mu.Unlock()
	if g != nil {
		if err := l.check(g, true); err != nil {
			return err
		}
	}
	if l.w.skip {
		l.mu.Lock()
		for _, ln := range l.byID {
			ln.last += seqSkip
		}
		l.mu.Unlock()
		l.w.skip = false
		return l.createGeneration()
	}
	if g == nil {
		return l.createGeneration()
	}
	g.mu.RLock()
	fit := g.db != nil && !g.readOnly
	g.mu.RUnlock()
	if !fit || g.bytes.Load() >= l.opt.GenerationBytes || now.Sub(g.born) >= l.opt.GenerationAge {
		return l.createGeneration()
	}
	l.mu.Lock()
	l.active = g
	for _, ln := range l.lanes {
		nudge(ln.news)
	}
	l.mu.Unlock()
	return nil
}

// dueLocked says whether the waiting records should be committed now, and
// starts the clock of their group if it does not run.
func (l *Log) dueLocked(now time.Time) bool {
	if l.ring.bytes == 0 {
		l.w.groupAt = time.Time{}
		return false
	}
	if l.w.groupAt.IsZero() {
		l.w.groupAt = now.Add(l.opt.GroupDelay)
	}
	return l.ring.bytes >= l.opt.GroupBytes || !now.Before(l.w.groupAt)
}

// write commits gr into the active generation. On an error gr stays the group
// under way; a generation that failed takes no more.
func (l *Log) write(gr *group, now time.Time) error {
	if l.spaceLow() {
		return errHeld
	}
	if gr.packs == nil {
		l.w.entries = gr.entries
		l.w.frames = gr.encode(l.w.packer, l.w.frames)
		if cap(l.w.entries) > 1024 && gr.records < 256 {
			l.w.entries, l.w.frames = nil, nil // the flood is over
		}
	}
	if gr.newLanes {
		if err := l.saveLedger(true); err != nil {
			return err
		}
		gr.newLanes = false
	}
	g := l.active
	if err := l.commit(g, gr); err != nil {
		l.mu.Lock()
		l.active = nil
		l.mu.Unlock()
		return err
	}
	l.mu.Lock()
	l.committedLocked(g, gr)
	l.mu.Unlock()
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

// keepLedger writes the ledger when it is due and says when something is next.
func (l *Log) keepLedger(now time.Time) time.Duration {
	if l.acksDirty.Load() && l.w.ledgerAt.IsZero() {
		l.w.ledgerAt = now.Add(ackDelay)
	}
	if !l.w.ledgerAt.IsZero() && !now.Before(l.w.ledgerAt) {
		l.w.ledgerAt = time.Time{}
		l.acksDirty.Store(false)
		if err := l.saveLedger(true); err != nil {
			l.log.Warn("the queue's ledger cannot be written", "error", err)
		}
	}
	next := l.w.ledgerAt
	if !l.w.groupAt.IsZero() && (next.IsZero() || l.w.groupAt.Before(next)) {
		next = l.w.groupAt
	}
	if next.IsZero() {
		return forever
	}
	return max(next.Sub(now), 0)
}

// saveLedger writes what the log knows, durably if sync.
func (l *Log) saveLedger(sync bool) error {
	l.ledger.mu.Lock()
	defer l.ledger.mu.Unlock()
	l.mu.Lock()
	s := state{nextGen: l.nextGen}
	for id, ln := range l.byID {
		s.lanes = append(s.lanes, laneState{id, ln.name, ln.acked, ln.synced, ln.last})
	}
	for _, g := range l.gens {
		gs := genState{n: g.n, born: g.born.Unix(), ranges: make(map[uint16]span, len(g.ranges))}
		for id, r := range g.ranges {
			gs.ranges[id] = r
		}
		s.gens = append(s.gens, gs)
	}
	l.mu.Unlock()
	return l.ledger.write(&s, sync)
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
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return trouble{Opening, fmt.Sprintf("%s is not writable for user %d (%v): change its owner or mode, or choose another directory",
			dir, os.Getuid(), err)}
	case !l.isPrepared():
		return trouble{Opening, fmt.Sprintf("%s cannot be opened (%v): check that it is a directory on a local disk", dir, err)}
	}
	return trouble{Failing, fmt.Sprintf("writing to %s fails (%v): check the disk and the system's log", dir, err)}
}

// shutDown commits the rest if it can and lets everything go.
func (l *Log) shutDown() {
	l.w.retryAt = time.Time{}
	for l.flushRest() {
	}
	l.mu.Lock()
	l.dropRingLocked()
	gens := append([]*generation(nil), l.gens...)
	l.mu.Unlock()
	var errs []error
	if l.w.loaded {
		errs = append(errs, l.saveLedger(true))
	}
	for _, g := range gens {
		g.mu.Lock()
		errs = append(errs, l.closeGeneration(g))
		g.gone = true
		g.mu.Unlock()
	}
	l.dec.close()
	errs = append(errs, l.ledger.close())
	if l.lock != nil {
		errs = append(errs, l.lock.release())
	}
	l.mu.Lock()
	l.closeErr = errors.Join(errs...)
	l.mu.Unlock()
	close(l.finished)
}

// flushRest commits one group, due or not, and reports whether to go on.
func (l *Log) flushRest() bool {
	now := l.now()
	l.mu.Lock()
	rest := l.ring.bytes > 0
	l.mu.Unlock()
	if !rest || l.ready(now) != nil {
		return false
	}
	l.mu.Lock()
	gr := l.group
	if gr == nil {
		gr = l.takeLocked(l.w.entries)
	}
	l.mu.Unlock()
	if err := l.write(gr, now); err != nil {
		l.log.Error("the rest of the queue cannot be written at shutdown", "error", err)
		return false
	}
	return true
}

// dropRingLocked counts what is left in the ring as lost.
func (l *Log) dropRingLocked() {
	var n uint64
	if l.group != nil {
		n += l.group.records
		l.group = nil
	}
	for c := range l.ring.queue {
		n += uint64(l.ring.queue[c].len())
		l.ring.queue[c] = fifo{}
	}
	l.ring.bytes = 0
	if n > 0 {
		l.counts.addLost(LostAtClose, n)
		l.log.Error("records of the queue are lost, for they could not be written before the end", "records", n)
	}
}
