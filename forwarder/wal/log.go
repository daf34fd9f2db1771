package wal

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/forwarder/wal/internal/block"
	"github.com/intilery/caddy-intilery/forwarder/wal/internal/segment"
	"github.com/intilery/caddy-intilery/internal/fsx"
)

// Log is a durable log. Its methods may be called by any number of goroutines;
// each lane should have one consumer.
type Log struct {
	opt Options
	log *slog.Logger

	// Tests replace these before Start.
	now  func() time.Time // for what takes time; its monotonic reading counts
	wall func() time.Time // for what is written down
	free func(dir string) (fsx.Space, error)
	used func() int64 // bytes allocated to the log; nil: as it is

	buffer     *buffer
	index      *index
	segments   *segments
	cache      cache
	decoder    *block.Decoder
	checkpoint *checkpoint
	condition  condition
	commits    prometheus.Histogram
	writer     *writer
	janitor    *janitor

	opened   chan struct{} // closed when the directory has been read
	closing  chan struct{} // closed by Close
	finished chan struct{} // closed when everything has been shut down

	mu       sync.Mutex
	started  bool
	closed   bool
	closeErr error
}

// New returns a log that does nothing yet. It does no I/O.
func New(o Options) *Log {
	o = o.withDefaults()
	l := &Log{
		opt: o, log: o.Logger, now: time.Now, wall: time.Now, free: fsx.Free,
		decoder: block.NewDecoder(o.Keys), commits: queue.NewHistogram(),
		opened: make(chan struct{}), closing: make(chan struct{}), finished: make(chan struct{}),
	}
	l.writer, l.janitor = newWriter(l), newJanitor(l)
	clock := func() time.Time { return l.now() }
	l.buffer = &buffer{limit: o.BufferBytes, due: o.GroupBytes, wake: l.writer.nudge, cause: queue.ShedNotOpen}
	l.index = newIndex(l.log)
	l.index.changed, l.index.drained = l.writer.nudge, l.janitor.nudge
	l.segments = &segments{
		dir: o.Dir, clock: clock, opened: l.janitor.nudge,
		opt: segment.Options{Size: o.SegmentBytes, Find: findBlock, Log: l.log},
	}
	l.checkpoint = &checkpoint{index: l.index, wall: func() time.Time { return l.wall() }, clock: clock}
	l.condition = condition{log: l.log, dir: o.Dir, now: queue.Opening}
	l.writer.groups = grouper{buffer: l.buffer, index: l.index, nextBlock: 1}
	return l
}

// Start opens the log in the background and returns at once. A directory that
// cannot be opened is tried again until it can be. Start may be called again.
func (l *Log) Start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.started || l.closed {
		return
	}
	l.started = true
	go l.run()
}

// run is the writer goroutine, with the janitor beside it.
func (l *Log) run() {
	tidied := make(chan struct{})
	go func() {
		defer close(tidied)
		l.janitor.run()
	}()
	l.writer.run()
	<-tidied
	l.shutDown()
}

// Flush returns nil once every record that was appended before the call is
// durable or was shed. It waits for the group commit; it does not hurry it. It
// returns ctx's error when ctx ends first, and queue.ErrClosed when Close came
// first and had to give records up.
func (l *Log) Flush(ctx context.Context) error { return l.buffer.flush(ctx, l.finished) }

// Drop removes the records that are not yet taken for a commit, and for which
// match says so, from memory, and returns how many, by class. Match must not
// keep or change rec. Records that were appended before the call and are neither
// dropped nor offered to match are being committed: treat them as committed.
func (l *Log) Drop(match func(rec []byte) bool) [queue.Classes]uint64 { return l.buffer.drop(match) }

// Ready returns nil when this process has the log open, and queue.ErrNotHeld
// when it does not.
func (l *Log) Ready() error {
	if !l.isOpen() || l.isClosed() {
		return queue.ErrNotHeld
	}
	return nil
}

// Opened returns a channel that is closed once the log is open.
func (l *Log) Opened() <-chan struct{} { return l.opened }

// Ends returns the position of the last durable record of each lane that has had
// any and is not forgotten.
func (l *Log) Ends() map[string]queue.Position {
	l.index.mu.Lock()
	defer l.index.mu.Unlock()
	ends := make(map[string]queue.Position)
	for name, ln := range l.index.names {
		if ln.last > 0 {
			ends[name] = queue.At(l.index.incarnation, ln.last)
		}
	}
	return ends
}

// Unfinished returns the position of the last durable record of each lane of which
// records may still be read, by this process or by the next one after a crash. A
// lane is left out when all of its records have ended, and the disk says so.
func (l *Log) Unfinished() map[string]queue.Position {
	l.index.mu.Lock()
	defer l.index.mu.Unlock()
	ends := make(map[string]queue.Position)
	for name, ln := range l.index.names {
		if l.index.unfinishedLocked(ln) {
			ends[name] = queue.At(l.index.incarnation, ln.last)
		}
	}
	return ends
}

// Cursor returns the cursor of a lane; false when the log does not know the lane.
func (l *Log) Cursor(name string) (queue.Position, bool) {
	l.index.mu.Lock()
	defer l.index.mu.Unlock()
	ln := l.index.names[name]
	if ln == nil {
		return queue.Position{}, false
	}
	return queue.At(l.index.incarnation, ln.acked), true
}

// Pending returns the number of durable records that have not ended, by lane.
func (l *Log) Pending() map[string]uint64 {
	l.index.mu.Lock()
	defer l.index.mu.Unlock()
	pending := make(map[string]uint64, len(l.index.names))
	for name, ln := range l.index.names {
		pending[name] = ln.pending
	}
	return pending
}

// Incarnation is that of the positions of an open log.
func (l *Log) Incarnation() uint64 {
	l.index.mu.Lock()
	defer l.index.mu.Unlock()
	return l.index.incarnation
}

// Crowded reports that the log has used half of its maximum size.
func (l *Log) Crowded() bool { return l.size() > l.opt.MaxBytes/2 }

// isOpen reports whether the directory has been read, and isClosed whether Close
// was called.
func (l *Log) isOpen() bool   { return isDone(l.opened) }
func (l *Log) isClosed() bool { return isDone(l.closing) }

func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// closeWait bounds how long Close waits.
const closeWait = 900 * time.Millisecond

// Close commits what it can of the buffer, closes the log and waits for that, but
// not longer than a second: a disk that hangs is left to finish by itself, and
// the lock with it. Records that could not be committed are counted as lost. A
// second Close waits like the first and returns the same.
func (l *Log) Close() error {
	l.mu.Lock()
	first, started := !l.closed, l.started
	l.closed = true
	l.mu.Unlock()
	if first {
		l.buffer.close()
		close(l.closing)
		if !started {
			l.abandon()
			close(l.finished)
		}
	}
	t := time.NewTimer(closeWait)
	defer t.Stop()
	select {
	case <-l.finished:
	case <-t.C:
		return errors.New("the disk did not finish in time; the queue closes in the background")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closeErr
}

// shutDown commits the rest if it can and lets everything go.
func (l *Log) shutDown() {
	l.writer.finish()
	l.abandon()
	var errs []error
	if l.isOpen() {
		errs = append(errs, l.janitor.closeAll())
		l.checkpoint.clean = true
		errs = append(errs, l.checkpoint.save(), l.checkpoint.close())
	}
	l.decoder.Close()
	if lock := l.writer.lock; lock != nil {
		errs = append(errs, lock.Release())
	}
	l.mu.Lock()
	l.closeErr = errors.Join(errs...)
	l.mu.Unlock()
	l.condition.close()
	close(l.finished)
}

// abandon counts what is left in memory as lost.
func (l *Log) abandon() {
	if n := l.buffer.abandon(); n > 0 {
		l.log.Error("events are lost: not written before shutdown", "events", n)
	}
}

// Stats returns a snapshot. It asks the file system for sizes, but does not wait
// for writes.
func (l *Log) Stats() queue.Stats {
	s := queue.Stats{Lost: make(map[queue.LossCause]uint64)}
	oldest := l.index.stats(&s)
	if at := l.buffer.stats(&s); at != 0 && (oldest == 0 || at < oldest) {
		oldest = at
	}
	if oldest != 0 {
		s.Oldest = max(0, l.wall().Sub(time.UnixMilli(oldest)))
	}
	if free, err := l.free(l.opt.Dir); err == nil {
		s.FreeBytes = free.Bytes
	}
	s.CommitDurations, s.Reads = queue.ReadHistogram(l.commits), l.segments.reads.Load()
	switch s.Condition, s.Reason = l.condition.get(); {
	case s.Condition == queue.Opening && s.Reason == "":
		s.Reason = "not open yet"
	case s.Condition != "":
	case s.Quarantined > 0:
		s.Condition = queue.Degraded
		s.Reason = "damaged segments were set aside in " + filepath.Join(l.opt.Dir, quarantinePrefix+"*") +
			": remove them once their contents are dealt with"
	default:
		s.Condition = queue.OK
	}
	return s
}

// nudge signals a channel of capacity one without waiting.
func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
