package wal

import (
	"time"

	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/forwarder/wal/internal/segment"
	"github.com/intilery/caddy-intilery/internal/fsx"
)

const (
	retryMin  = 250 * time.Millisecond
	retryMax  = 15 * time.Second
	spacePoll = time.Second // how often room is asked for while there is none

	forever time.Duration = -1
)

// writer is the goroutine that opens the log, commits groups, begins segments
// and saves cursors. Nothing else touches its fields.
type writer struct {
	l      *Log
	wake   chan struct{} // cap 1
	groups grouper
	lock   *fsx.Lock // of the directory

	group  *group       // under way
	behind *group       // taken after it and made ready meanwhile
	active *segmentInfo // takes blocks; nil when there is none

	retryAt  time.Time // nothing is tried before; zero after a success
	backoff  time.Duration
	groupAt  time.Time // when the waiting records are due; zero when none wait
	unsynced bool      // active has blocks that are not synced
	syncAt   time.Time // when they are due, under SyncInterval
	saveAt   time.Time // when the manifest is to be durable; zero when it is
}

func newWriter(l *Log) *writer { return &writer{l: l, wake: make(chan struct{}, 1)} }

// nudge tells the writer that there is something to do.
func (w *writer) nudge() { nudge(w.wake) }

// run works until the log closes.
func (w *writer) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait := w.step(w.l.now())
		var due <-chan time.Time
		switch {
		case wait == 0 && !w.l.isClosed():
			continue
		case wait > 0:
			timer.Reset(wait)
			due = timer.C
		}
		select {
		case <-w.wake:
		case <-due:
		case <-w.l.closing:
			return
		}
	}
}

// step does what is due and says how long there is nothing more to do.
func (w *writer) step(now time.Time) time.Duration {
	wait := w.retryAt.Sub(now)
	if wait <= 0 {
		var err error
		if wait, err = w.work(now); err != nil {
			wait = w.failed(now, err)
		} else {
			w.backoff, w.retryAt = 0, time.Time{}
			w.l.condition.set("", "")
			w.l.buffer.set(queue.ShedBufferFull)
		}
	}
	// Cursors are saved whatever else fails.
	return sooner(wait, w.save(now))
}

// sooner is the shorter of two waits, of which each may be forever.
func sooner(a, b time.Duration) time.Duration {
	if a < 0 || b >= 0 && b < a {
		return b
	}
	return a
}

// work commits a group if one is due, and syncs under SyncInterval.
func (w *writer) work(now time.Time) (wait time.Duration, err error) {
	l := w.l
	if !l.isOpen() {
		if err := w.open(); err != nil {
			return 0, err
		}
	}
	if err := w.groups.prepare(l.opt.Keys); err != nil {
		return 0, err
	}
	if w.active == nil || w.rotationDue(now) {
		if err := w.begin(now); err != nil {
			return 0, err
		}
	}
	if !w.syncAt.IsZero() && !now.Before(w.syncAt) {
		if err := w.syncPending(); err != nil {
			return 0, err
		}
		w.saveAt = now // the manifest may say more
	}
	if w.group == nil && w.due(now) {
		w.group = w.groups.take(false)
	}
	if w.group != nil {
		return 0, w.write(now)
	}
	wait = forever
	for _, at := range []time.Time{w.groupAt, w.syncAt} {
		if !at.IsZero() {
			wait = sooner(wait, max(at.Sub(now), 0))
		}
	}
	return wait, nil
}

// due says whether the waiting records should be committed now, and starts the
// clock of their group if it does not run.
func (w *writer) due(now time.Time) bool {
	n := w.l.buffer.waiting()
	if n == 0 {
		w.groupAt = time.Time{}
		return false
	}
	if w.groupAt.IsZero() {
		w.groupAt = now.Add(w.l.opt.GroupDelay)
	}
	return n >= w.l.opt.GroupBytes || !now.Before(w.groupAt)
}

// rotationDue says whether the active segment has had its time.
func (w *writer) rotationDue(now time.Time) bool {
	return w.active.w.Bytes() > 0 && w.l.index.age(w.active, now) >= w.l.opt.SegmentAge
}

// begin ends the active segment, if there is one, and begins the next.
func (w *writer) begin(now time.Time) error {
	l := w.l
	w.end(now)
	if err := l.janitor.weigh(); err != nil {
		return err
	}
	if free, err := l.free(l.opt.Dir); err == nil && free.Bytes < l.opt.FreeSpaceFloor {
		return errFloor
	}
	l.index.mu.Lock()
	n := l.index.nextSegment
	l.index.mu.Unlock()
	seg, err := l.segments.create(n)
	if err != nil {
		return err
	}
	w.active = seg
	l.index.begin(seg)
	if err := l.checkpoint.save(); err != nil {
		l.log.Warn("the queue's manifest cannot be written", "error", err)
	}
	l.janitor.nudge()
	return nil
}

// end has the active segment take no more blocks. What is in it and not synced is
// synced, or else never said to be there.
func (w *writer) end(now time.Time) {
	if w.active == nil {
		return
	}
	if err := w.syncPending(); err != nil {
		w.l.log.Error("a segment of the queue cannot be synced", "error", err)
	}
	w.active = nil
	w.l.index.end(now)
}

// write commits the group under way. While the disk is at work, the next group
// is made ready if it is due by its size. After an error the group stays the one
// under way, and the segment takes no more.
func (w *writer) write(now time.Time) error {
	l, gr := w.l, w.group
	<-gr.encoded
	if gr.err != nil {
		return gr.err
	}
	if w.behind == nil && l.buffer.waiting() >= l.opt.GroupBytes {
		w.behind = w.groups.take(true)
	}
	if !w.active.w.Fits(gr.blocks) {
		if err := w.begin(now); err != nil {
			return err
		}
	}
	if err := w.commit(gr); err != nil {
		w.end(now)
		return err
	}
	first, last := gr.blocks[0].Number, gr.blocks[len(gr.blocks)-1].Number
	durable := l.opt.Sync == SyncGroup || segment.AlwaysSyncs
	calls := l.index.commit(now, gr.parts, first, last, gr.at, durable)
	w.groups.live = gr.cacheIn(&l.cache, w.active.number)
	w.group, w.behind, w.groupAt = w.behind, nil, time.Time{}
	l.buffer.committed()
	for _, call := range calls {
		call()
	}
	for i := range gr.parts {
		p := &gr.parts[i]
		p.lane.buffered.Add(-int64(p.last - p.first + 1))
	}
	if !durable {
		if !w.unsynced && l.opt.Sync == SyncInterval {
			w.syncAt = now.Add(l.opt.SyncEvery)
		}
		w.unsynced = true
	}
	return nil
}

// commit puts a group into the active segment, durably under SyncGroup. After an
// error it is not known whether it is there.
func (w *writer) commit(gr *group) error {
	begun := time.Now()
	err := w.active.w.Append(gr.blocks)
	if err == nil && w.l.opt.Sync == SyncGroup {
		err = w.active.w.Sync()
	}
	w.l.commits.Observe(time.Since(begun).Seconds())
	return err
}

// syncPending syncs the active segment, if it has blocks which are not.
// After an error nobody knows what the disk has: the manifest never says that it
// is there, though it can be read as long as the machine runs, and the segment
// takes no more.
func (w *writer) syncPending() error {
	if !w.unsynced {
		return nil
	}
	w.unsynced, w.syncAt = false, time.Time{}
	seg := w.active
	if err := seg.w.Sync(); err != nil {
		w.active = nil
		w.l.index.end(w.l.now())
		return err
	}
	w.l.index.synced(seg)
	return nil
}

// save writes what has changed to the manifest, durably, when that is due. It says
// when something is next.
func (w *writer) save(now time.Time) time.Duration {
	l := w.l
	if !l.isOpen() {
		return forever
	}
	dirty, commits := l.index.dirty()
	if !dirty && w.saveAt.IsZero() {
		return forever
	}
	if w.saveAt.IsZero() {
		w.saveAt = now.Add(cursorDelay)
	}
	if commits {
		if at := now.Add(syncDelay); at.Before(w.saveAt) {
			w.saveAt = at
		}
	}
	if now.Before(w.saveAt) {
		return w.saveAt.Sub(now)
	}
	if err := l.checkpoint.save(); err != nil {
		l.log.Warn("the queue's manifest cannot be written", "error", err)
	}
	w.saveAt = time.Time{}
	if !l.index.saved() {
		return 0
	}
	return forever
}

// failed notes why nothing can be committed now and says when to try again.
func (w *writer) failed(now time.Time, err error) time.Duration {
	l := w.l
	condition, reason := explain(err, l.opt.Dir, l.isOpen(), l.opt.FreeSpaceFloor, l.free)
	wait := spacePoll
	if condition == queue.Opening || condition == queue.Failing {
		w.backoff = min(max(2*w.backoff, retryMin), retryMax)
		wait = w.backoff
	}
	w.retryAt = now.Add(wait)
	l.condition.set(condition, reason)
	l.buffer.set(shedCause(condition))
	l.janitor.nudge() // what is drained makes room
	return wait
}

// finish commits what is left, if it can.
func (w *writer) finish() {
	w.retryAt = time.Time{}
	for w.l.isOpen() && (w.group != nil || w.l.buffer.waiting() > 0) {
		now := w.l.now()
		w.groupAt = now // due
		if _, err := w.work(now); err != nil {
			w.l.log.Error("the rest of the queue cannot be written at shutdown", "error", err)
			break
		}
	}
	for _, gr := range []*group{w.group, w.behind} {
		if gr != nil {
			<-gr.encoded
		}
	}
	w.end(w.l.now())
}
