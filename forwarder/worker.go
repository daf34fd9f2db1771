package forwarder

import (
	"context"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/intilery/caddy-intilery/forwarder/deadletter"
	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/forwarder/tracking"
)

// linger is how long an event waits for others to share its request.
const linger = 250 * time.Millisecond

// worker sends the events of one lane, in order, one batch at a time. It has a
// goroutine only while there is something to do: the lane's news, the breaker and
// a reload wake it.
type worker struct {
	d   *destination
	in  inflight
	own context.Context // ends when the lane is not this node's any more; nil without a fleet
	end context.CancelFunc

	mu      sync.Mutex
	running bool          // a goroutine is in run
	again   bool          // it was woken meanwhile
	stopped chan struct{} // closed when it was stopped and has no goroutine

	// The goroutine's own.
	deferrals  deferrals
	batch      []entry // reused
	lingered   bool    // what goes next has waited for others
	full       bool    // no more may be read past what is deferred
	unreadable bool    // the last read failed
	suspect    suspect
	failures   *backoff.ExponentialBackOff // of reads, and of attempts while the breaker is closed
}

func newWorker(d *destination, lane queue.Source, name string, erasures erasures) *worker {
	return &worker{
		d: d, in: inflight{lane: lane, name: name, counts: &d.counts, erasures: erasures},
		deferrals: deferrals{traits: &d.traits}, failures: newBackoff(),
	}
}

// wake has the worker look what there is to do. It does not block.
func (w *worker) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.own != nil && w.own.Err() != nil:
	case w.running:
		w.again = true
	case w.d.sending().Err() == nil && w.d.shared.crew.join():
		w.running = true
		go w.run()
	}
}

func (w *worker) run() {
	defer w.d.shared.crew.leave()
	for {
		ctx, end := w.sending()
		for ctx.Err() == nil && w.round(ctx) {
		}
		end()
		if w.rest() {
			return
		}
	}
}

// sending returns the context in which batches are begun.
func (w *worker) sending() (ctx context.Context, done func()) {
	ctx = w.d.sending()
	if w.own == nil {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	unlink := context.AfterFunc(w.own, cancel)
	return ctx, func() {
		unlink()
		cancel()
	}
}

// rest reports whether the goroutine has nothing more to do, and is to end.
func (w *worker) rest() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	stopped := w.own != nil && w.own.Err() != nil
	w.running, w.again = w.again && !stopped, false
	if !w.running && stopped {
		close(w.stopped)
	}
	return !w.running
}

// round sends one batch, if it can. It returns false when the worker has nothing
// to do until it is woken.
func (w *worker) round(ctx context.Context) bool {
	d := w.d
	if err := w.in.erasures.Load(); err != nil {
		return w.outlast(ctx, err)
	}
	if !w.linger(ctx) {
		return false
	}
	t, ok := d.breaker.enter(w)
	if !ok {
		w.in.release()
		return false
	}
	if err := d.limiter.wait(ctx); err != nil {
		d.breaker.abandon(t)
		return false
	}
	if !d.breaker.valid(t) {
		return true // it has opened while the worker waited for the rate
	}
	// Events are read only now, and within the memory that all destinations
	// share: however many of them wait, they hold nothing.
	room := 2 * int64(d.size.now())
	if err := d.shared.memory.Acquire(ctx, room); err != nil {
		d.breaker.abandon(t)
		return false
	}
	defer func() { d.shared.memory.Release(room) }()
	size, err := w.fill()
	if len(w.batch) == 0 {
		d.breaker.abandon(t)
		if err != nil {
			return w.outlast(ctx, err)
		}
		return w.idle(ctx)
	}
	w.readable()
	if spare := room - 2*int64(size); spare > 0 {
		d.shared.memory.Release(spare)
		room -= spare
	}
	if t.probe {
		d.token.refresh()
	}
	a := d.post(w.in.name, w.batch, size)
	if a.Class == tracking.Unavailable && d.shared.send.Err() != nil {
		d.breaker.abandon(t) // cut off by Close
		return false
	}
	w.follow(ctx, a, d.answered(t, a), size)
	return true
}

// linger waits until the next batch is full, or its first event has waited.
func (w *worker) linger(ctx context.Context) bool {
	if !w.lingered && len(w.in.parts) == 0 {
		wait := linger
		if due := w.deferrals.due; !due.IsZero() {
			wait = min(wait, time.Until(due))
		}
		full := make(chan struct{}, 1)
		w.in.lane.Await(w.in.last, max(1, w.d.size.now()-w.in.bytes()), func() { nudge(full) })
		w.lingered = pause(ctx, wait, full)
	}
	return ctx.Err() == nil
}

// fill chooses the batch, and returns its size: the oldest events that may go now,
// as many as fit, but at least one if any may go.
func (w *worker) fill() (size int, err error) {
	in := &w.in
	in.sweep()
	w.batch = w.batch[:0]
	w.deferrals.begin()
	limit, size, deferred := w.d.size.now(), len(batchPrefix)+len(batchSuffix), 0
	most := maxBody // events
	if n := len(in.parts); n > 0 {
		most = in.parts[n-1]
	}
	for i := 0; ; {
		for ; i < len(in.out); i++ {
			e := &in.out[i]
			n := sentBytes(e)
			if w.deferrals.defers(e) {
				deferred += n
				continue
			}
			if len(w.batch) > 0 && size+n > limit || len(w.batch) == most {
				return size, nil
			}
			size += n
			w.batch = append(w.batch, *e)
		}
		w.full = deferred >= maxDeferredBytes || len(in.completed) >= maxCompleted
		if w.full || len(w.batch) == most {
			return size, nil
		}
		if more, err := in.read(limit - size); err != nil || !more {
			return size, err
		}
	}
}

// idle is what the worker does when no event may go at present.
func (w *worker) idle(ctx context.Context) bool {
	if len(w.in.out) > 0 { // all of it is deferred
		news := make(chan struct{}, 1)
		if !w.full {
			w.in.lane.Await(w.in.last, 1, func() { nudge(news) })
		}
		pause(ctx, time.Until(w.deferrals.due), news)
		w.lingered = !time.Now().Before(w.deferrals.due)
		return true
	}
	w.lingered, w.in.out, w.in.parts, w.batch, w.deferrals.deadlines = false, nil, nil, nil, nil
	w.d.shared.retireErasures()
	w.in.lane.Await(w.in.last, 1, w.wake)
	return false
}

// follow does what an answer says about the batch.
func (w *worker) follow(ctx context.Context, a tracking.Answer, tr transition, size int) {
	d, n := w.d, len(w.batch)
	switch a.Class {
	case tracking.Accepted:
		d.rejections.accept(n)
		d.throughput.add(n)
		d.traits.acknowledged(w.batch)
		w.ended(&d.counts.acknowledged)
	case tracking.Rejected, tracking.TooLarge:
		w.failures.Reset()
		if n == 1 {
			w.deadLetter(ctx, a)
			return
		}
		if a.Class == tracking.TooLarge {
			if limit, news := d.size.refused(size); news {
				d.log.Warn("the receiver refuses large requests; sending smaller ones", "bytes", limit)
			}
		}
		w.in.divide(n)
	case tracking.Unavailable:
		if a.TimedOut && n > 1 {
			d.size.timedOut(size)
		}
		if alone := w.suspect.failed(w.batch[0].Position, tr.tally); alone && n > 1 {
			w.in.divide(n)
		} else if alone && w.suspect.alone >= patience {
			w.deadLetter(ctx, a)
			return
		}
		if tr.to == NotPaused {
			w.in.release()
			pause(ctx, nextBackoff(w.failures), nil)
		}
	}
}

// ended brings the batch to its end.
func (w *worker) ended(counts *byClass) {
	w.failures.Reset()
	w.deferrals.ended(w.batch)
	w.in.end(w.batch, counts)
	clear(w.batch)
	w.lingered = false
	w.d.shared.retireErasures()
}

// deadLetter moves the batch's only event to the dead letters, unless too many
// went there.
func (w *worker) deadLetter(ctx context.Context, a tracking.Answer) {
	d, e := w.d, &w.batch[0]
	if !d.rejections.reject() {
		tr := d.breaker.reject()
		d.tell(tr, a)
		d.share(tr)
		return
	}
	letter := deadletter.Letter{
		Time: time.Now(), Destination: d.name, Reason: a.Class.String(), Status: a.Status, Message: a.Message, Event: e.event(),
	}
	for ctx.Err() == nil {
		added, err := d.shared.letters.Add(&letter, func() bool { return !w.in.erasures.Cover(w.in.name, e.Position, e.event().IDs) })
		switch {
		case err != nil:
			d.log.Error("a refused event cannot be written to the dead letters; trying again", "lane", w.in.name, "error", err)
			pause(ctx, nextBackoff(w.failures), nil)
			continue
		case added:
			d.log.Warn("an event was refused and is kept as a dead letter", "lane", w.in.name,
				"type", event.OfClass(e.Class).String(), "status", a.Status, "reason", a.Class.String())
			w.ended(&d.counts.deadLettered)
		}
		return // one that was not added was erased: the next round sweeps it away
	}
}

// outlast waits before the queue is read again, and logs when that begins.
func (w *worker) outlast(ctx context.Context, err error) bool {
	if !w.unreadable && ctx.Err() == nil {
		w.d.log.Error("the queue cannot be read; its events are kept and reading is tried again", "lane", w.in.name, "error", err)
		w.unreadable = true
	}
	return pause(ctx, nextBackoff(w.failures), nil)
}

func (w *worker) readable() {
	if w.unreadable {
		w.d.log.Info("the queue can be read again", "lane", w.in.name)
		w.unreadable = false
		w.failures.Reset()
	}
}

// pause waits for d or a signal; it returns false when ctx ends first.
func pause(ctx context.Context, d time.Duration, signal <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-signal:
	case <-t.C:
	case <-ctx.Done():
		return false
	}
	return true
}

// nudge signals a channel of capacity one without waiting.
func nudge(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
