package wal

import (
	"errors"
	"time"
)

// closeWait bounds how long Close waits.
const closeWait = 900 * time.Millisecond

// Close commits what it can of the ring, closes the log and waits for that,
// but not longer than a second: a disk that hangs is left to finish by itself,
// and the lock with it. Records that could not be committed are counted as
// lost. A second Close waits like the first and returns the same.
func (l *Log) Close() error {
	l.mu.Lock()
	first := !l.closed
	l.closed = true
	started := l.started
	if first {
		close(l.closing)
		if !started {
			l.dropRingLocked()
			close(l.finished)
		}
	}
	l.mu.Unlock()
	t := time.NewTimer(closeWait)
	defer t.Stop()
	select {
	case <-l.finished:
	case <-t.C:
		return errors.New("wal: the disk did not finish in time; the log closes in the background")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closeErr
}

// shutDown commits the rest if it can and lets everything go.
func (l *Log) shutDown() {
	l.w.retryAt = time.Time{}
	for l.flushRest() {
	}
	l.settleBefore("the log closes")
	l.mu.Lock()
	l.w.ended = true
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
		gr = l.takeLocked()
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
	for _, gr := range []*group{l.group, l.ahead} {
		if gr != nil {
			<-gr.encoded
			n += gr.records
		}
	}
	l.group, l.ahead = nil, nil
	for c := range l.ring.queue {
		n += uint64(l.ring.queue[c].len())
		l.ring.queue[c] = fifo{}
	}
	l.ring.bytes, l.ring.taken = 0, 0
	if n > 0 {
		l.counts.addLost(LostAtClose, n)
		l.log.Error("records of the queue are lost, for they could not be written before the end", "records", n)
	}
}
