package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/internal/fsx"
)

const (
	// maxOpen is how many segments that have ended stay open. One is drained at a
	// time as a rule; a second lets a lane that lags behind go on.
	maxOpen = 2
	// closeDelay is how long a segment that has ended stays as it is: if its readers
	// keep up, it is drained by then and need not be closed properly.
	closeDelay = 2 * time.Second
)

// janitor is the goroutine that looks after segments which have ended, off the
// writer's path: it closes them, writes their indexes, removes those that are
// drained, sets damaged ones aside, and gives up what is too old.
type janitor struct {
	l    *Log
	wake chan struct{} // cap 1

	mu sync.Mutex // held while segments are closed or removed
}

func newJanitor(l *Log) *janitor { return &janitor{l: l, wake: make(chan struct{}, 1)} }

// nudge tells the janitor that there is something to do.
func (j *janitor) nudge() { nudge(j.wake) }

func (j *janitor) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-j.l.closing:
			return
		case <-j.wake:
		case <-timer.C:
		}
		if j.l.Ready() == nil {
			timer.Reset(j.tidy(j.l.now()))
		}
	}
}

// tidy does what is due and says how long there is nothing more to do.
func (j *janitor) tidy(now time.Time) (wait time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	x := j.l.index
	wait = j.l.opt.MaxAge
	x.mu.Lock()
	var drained, ended, expired []*segmentInfo
	for _, seg := range x.segments {
		left := j.l.opt.MaxAge - now.Sub(seg.latest)
		switch {
		case seg.left == 0 && seg != x.active:
			drained = append(drained, seg)
		case left <= 0:
			expired = append(expired, seg)
		default:
			wait = sooner(wait, left)
			if seg != x.active {
				ended = append(ended, seg)
			}
		}
	}
	active := x.active
	x.mu.Unlock()
	for _, seg := range drained {
		if err := j.remove(seg, true); err != nil {
			j.l.log.Error("a drained segment of the queue cannot be removed", "segment", seg.number, "error", err)
			wait = sooner(wait, time.Minute)
		}
	}
	for _, seg := range expired {
		x.giveUp(seg, queue.LostExpired)
		if seg == active {
			continue // it goes when it has ended
		}
		if err := j.remove(seg, false); err != nil {
			j.l.log.Warn("a segment of the queue is too old and cannot be removed now", "segment", seg.number, "error", err)
			wait = sooner(wait, time.Minute)
		}
	}
	wait = sooner(wait, j.closeEnded(ended, now))
	if err := j.weighLocked(); err != nil {
		j.l.log.Error("the queue cannot be kept below max_size", "error", err)
		wait = sooner(wait, time.Minute)
	}
	return wait
}

// closeEnded closes segments that have taken their last block, and those that
// were not read lately.
func (j *janitor) closeEnded(ended []*segmentInfo, now time.Time) (wait time.Duration) {
	wait = forever
	var open []*segmentInfo
	for i, seg := range ended {
		if !seg.takesBlocks() {
			if seg.isOpen() {
				open = append(open, seg)
			}
			continue
		}
		// The latest one may be drained in a moment.
		if left := closeDelay - now.Sub(seg.ended); left > 0 && i == len(ended)-1 {
			wait = sooner(wait, left)
			continue
		}
		if err := j.close(seg); err != nil {
			j.l.log.Error("a segment of the queue does not close cleanly; it is read from its value log", "segment", seg.number, "error", err)
		}
	}
	slices.SortFunc(open, func(a, b *segmentInfo) int { return int(a.used.Load() - b.used.Load()) })
	for _, seg := range open[:max(0, len(open)-maxOpen)] {
		if err := j.l.segments.close(seg); err != nil {
			j.l.log.Warn("a segment of the queue does not close cleanly", "segment", seg.number, "error", err)
		}
	}
	return wait
}

// close closes a segment that has taken its last block and writes its index.
func (j *janitor) close(seg *segmentInfo) error {
	err := j.l.segments.close(seg)
	if err == nil {
		j.l.index.synced(seg) // closing syncs
	}
	return errors.Join(err, j.l.checkpoint.writeIndex(seg, j.l.opt.Keys.SealingID()))
}

// closeAll closes all segments when the log does.
func (j *janitor) closeAll() error {
	x := j.l.index
	x.mu.Lock()
	segs := slices.Clone(x.segments)
	x.mu.Unlock()
	var errs []error
	for _, seg := range segs {
		if seg.takesBlocks() {
			errs = append(errs, j.close(seg))
		} else {
			errs = append(errs, j.l.segments.close(seg))
		}
	}
	return errors.Join(errs...)
}

// remove deletes a segment of which nothing is pending; one that has lost events
// may be set aside. The cursors are made durable before, so that after a crash
// the missing directory is not taken for a loss.
func (j *janitor) remove(seg *segmentInfo, keepDamaged bool) error {
	x := j.l.index
	if err := j.l.checkpoint.save(); err != nil {
		return err
	}
	x.mu.Lock()
	keep := seg.damaged && keepDamaged
	x.mu.Unlock()
	aside := ""
	if keep {
		aside = fmt.Sprintf("%s%s-%s", quarantinePrefix, j.l.wall().UTC().Format("20060102T150405Z"), segmentName(seg.number))
		j.l.log.Error("events in a segment of the queue are damaged; the segment was set aside, and new events are not affected", "quarantine", aside)
	}
	if err := j.l.segments.remove(seg, aside); err != nil {
		return err
	}
	j.l.cache.forget(seg.number)
	x.remove(seg, keep)
	j.l.writer.nudge()
	return nil
}

// The maximum size counts allocated blocks of the whole directory, quarantine
// included. Records on disk cannot be given up one by one, so what comes in is
// refused by class well before the maximum, and only when that does not help, the
// oldest segment goes as a whole. The last sixteenth is for what is written until
// the directory is weighed again.
const (
	sizeParts  = 32
	dropOldest = 30 // what is oldest goes
)

// refusals says from which part of the maximum size on records below a class are
// refused, the fullest first. Those of the highest class never are.
var refusals = []struct {
	from  int64
	below queue.Class
	news  string
}{
	{28, 4, "queue near max_size: refusing page and track events, and identifies of browsers"},
	{27, 3, "queue near max_size: refusing page events, and all events of browsers"},
	{26, 1, "queue near max_size: refusing page events"},
	{0, 0, "queue no longer near max_size: taking all events"},
}

// weigh does what the size of the log asks for. It is called whenever the size
// changes, which is when a segment is made, closed or removed.
func (j *janitor) weigh() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.weighLocked()
}

func (j *janitor) weighLocked() error {
	l := j.l
	for {
		used := l.size()
		part := l.opt.MaxBytes / sizeParts
		i := 0
		for used < part*refusals[i].from {
			i++
		}
		if before := l.buffer.refuseBelow(refusals[i].below); before != refusals[i].below {
			l.log.Warn(refusals[i].news, "bytes", used, "max_size", l.opt.MaxBytes)
		}
		if used < part*dropOldest {
			return nil
		}
		if more, err := j.dropOldest(); err != nil || !more {
			return err
		}
	}
}

// size returns the bytes allocated to the log's directory.
func (l *Log) size() int64 {
	if l.used != nil {
		return l.used()
	}
	l.index.mu.Lock()
	defer l.index.mu.Unlock()
	var n int64
	for _, seg := range l.index.segments {
		n += seg.disk.Load()
	}
	if l.index.quarantined > 0 {
		for _, name := range quarantines(l.opt.Dir) {
			n += fsx.Usage(filepath.Join(l.opt.Dir, name))
		}
	}
	return n
}

// dropOldest removes what is oldest: quarantined segments first, for their events
// are counted as lost already. False says that nothing is left.
func (j *janitor) dropOldest() (bool, error) {
	x := j.l.index
	if old := quarantines(j.l.opt.Dir); len(old) > 0 {
		j.l.log.Error("queue at max_size: removing a quarantined segment", "quarantine", old[0])
		if err := os.RemoveAll(filepath.Join(j.l.opt.Dir, old[0])); err != nil {
			return false, fmt.Errorf("remove a quarantined segment: %w", err)
		}
		x.mu.Lock()
		x.quarantined = len(old) - 1
		x.mu.Unlock()
		return true, nil
	}
	x.mu.Lock()
	var oldest *segmentInfo
	if len(x.segments) > 0 && x.segments[0] != x.active {
		oldest = x.segments[0]
	}
	x.mu.Unlock()
	if oldest == nil {
		return false, nil
	}
	x.giveUp(oldest, queue.LostMaxSize)
	return true, j.remove(oldest, false)
}

// quarantines returns the names of the quarantined segments, oldest first.
func quarantines(dir string) (names []string) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, f := range files {
		if strings.HasPrefix(f.Name(), quarantinePrefix) {
			names = append(names, f.Name())
		}
	}
	slices.Sort(names)
	return names
}
