package forwarder

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/deadletter"
	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/fleet"
	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// stopLimit is how long a node of a fleet has at the end to hand over what it has.
const stopLimit = 10 * time.Second

// nodeLog is the log as the fleet needs it.
type nodeLog struct {
	s   *shared
	log *slog.Logger
}

func (l nodeLog) Opened() <-chan struct{}         { return l.s.queue.Opened() }
func (l nodeLog) Ends() map[string]queue.Position { return l.s.queue.Ends() }
func (l nodeLog) Retire()                         { l.s.retireErasures() }
func (l nodeLog) Incarnation() uint64             { return l.s.queue.Incarnation() }
func (l nodeLog) Crowded() bool                   { return l.s.queue.Crowded() }
func (l nodeLog) Pending() map[string]uint64      { return l.s.queue.Pending() }

func (l nodeLog) LoadErasures() error { return l.s.erasures.Load() }

func (l nodeLog) Erased(lane string, at queue.Position, ids func() (anonymousID, userID string)) bool {
	return l.s.erasures.Cover(lane, at, ids)
}

func (l nodeLog) Erase(ctx context.Context, is func(anonymousID, userID string) bool) (map[string]queue.Position, error) {
	l.s.queue.Drop(func(ev []byte) bool { return event.IsStored(ev) && is(event.Stored(ev).IDs()) })
	defer l.s.forget(is)
	if err := l.s.queue.Flush(ctx); err != nil {
		return nil, err
	}
	if err := l.eraseLetters(is); err != nil {
		return nil, err
	}
	return l.s.queue.Unfinished(), nil
}

// eraseLetters removes a visitor's dead letters from this node's files, if it has any.
func (l nodeLog) eraseLetters(is func(anonymousID, userID string) bool) error {
	files := l.s.files
	if files.Stats().Kept == 0 {
		files.Look() // nobody may have, so soon after the start
	}
	if files.Stats().Kept == 0 {
		return nil
	}
	_, err := files.Purge(func(letter *deadletter.Letter) bool { return is(letter.Event.IDs()) })
	if errors.Is(err, deadletter.ErrEncrypted) {
		// The fleet must not wait for a key that may never come.
		l.log.Error("a visitor was erased from the fleet, but not from this node's files of dead letters", "error", err)
		return nil
	}
	return err
}

// nodeDelivery sends the lanes that this node owns.
type nodeDelivery struct{ f *Forwarder }

func (n nodeDelivery) destination(name string) *destination { return (*n.f.destinations.Load())[name] }

// Own implements fleet.Delivery.
func (n nodeDelivery) Own(lane string, src queue.Source) {
	name, i, _ := splitLane(lane)
	d := n.destination(name)
	if d == nil {
		return
	}
	w := newWorker(d, src, lane, d.shared.fleet.Erasures())
	w.own, w.end = context.WithCancel(context.Background())
	w.stopped = make(chan struct{})
	d.mu.Lock()
	d.workers[i] = w
	d.limitLocked()
	d.mu.Unlock()
	w.wake()
}

// Disown implements fleet.Delivery.
func (n nodeDelivery) Disown(lane string) <-chan struct{} {
	name, i, _ := splitLane(lane)
	d := n.destination(name)
	var w *worker
	if d != nil {
		d.mu.Lock()
		w, d.workers[i] = d.workers[i], nil
		d.limitLocked()
		d.mu.Unlock()
	}
	if w == nil {
		idle := make(chan struct{})
		close(idle)
		return idle
	}
	w.stop()
	d.breaker.forget(w)
	return w.stopped
}

// stop ends a worker whose lane is not this node's any more. A request that is
// under way comes back.
func (w *worker) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end()
	if !w.running {
		close(w.stopped)
	}
}

// Paused implements fleet.Delivery.
func (n nodeDelivery) Paused(name string, p *fleet.Pause, leader bool) {
	d := n.destination(name)
	switch {
	case d == nil:
	case p == nil:
		d.breaker.lead()
	case Pause(p.Reason) == Throttled:
		d.throttledElsewhere(p)
	default:
		wait := time.Duration(0)
		if leader {
			wait = d.breaker.long.InitialInterval
		}
		d.tellElsewhere(d.breaker.hold(Pause(p.Reason), wait, !leader), p)
	}
}

// throttledElsewhere takes a 429 into account that another node was answered.
func (d *destination) throttledElsewhere(p *fleet.Pause) {
	wait := min(time.Until(p.Until), maxThrottled)
	d.mu.Lock()
	known := p.Until.Equal(d.throttledUntil) || p.Node == d.shared.fleet.Node()
	d.throttledUntil = p.Until
	d.mu.Unlock()
	if known || wait <= 0 {
		return
	}
	d.limiter.throttled(time.Now().Add(wait))
	d.tellElsewhere(d.breaker.hold(Throttled, wait, false), p)
}

// maxThrottled bounds a pause, as package tracking does.
const maxThrottled = 5 * time.Minute

func (d *destination) tellElsewhere(tr transition, p *fleet.Pause) {
	if tr.news() {
		d.log.Warn("delivery is paused in the whole fleet; events are kept; the node that found the reason has logged it",
			"reason", p.Reason, "found_by", p.Node)
	}
}

// share tells the other nodes what this one has found out about a destination.
func (d *destination) share(tr transition) {
	fl := d.shared.fleet
	switch {
	case fl == nil:
	case tr.to == Throttled && tr.retry > 0:
		fl.Pause(d.name, &fleet.Pause{Reason: string(tr.to), Until: time.Now().Add(tr.retry)})
	case tr.to == tr.from:
	case tr.to == Misconfigured, tr.to == MassRejection:
		fl.Pause(d.name, &fleet.Pause{Reason: string(tr.to)})
	case tr.from == Misconfigured, tr.from == MassRejection:
		fl.Pause(d.name, nil)
	}
}

// serveLocked tells the fleet which destinations this node sends.
func (f *Forwarder) serveLocked() {
	if f.shared.fleet == nil {
		return
	}
	var names []string
	for name, d := range *f.destinations.Load() {
		if d.stop != nil {
			names = append(names, name)
		}
	}
	f.shared.fleet.Serve(names)
}

// inFleet reports whether this process is a node of a fleet.
func (f *Forwarder) inFleet() bool {
	s, err := f.begun()
	return err == nil && s.fleet != nil
}

// leave hands over what the log has, and takes this node out of the fleet.
func (s *shared) leave() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	if s.queue.Ready() != nil {
		return s.fleet.Close(ctx)
	}
	return errors.Join(s.queue.Flush(ctx), s.fleet.Close(ctx))
}

// merge returns the events of a batch in their order of capture where they come
// from several nodes. What a visitor did at one node stays in its order, whatever the
// timestamps say. The batch itself is left as it is.
func merge(batch []entry) []entry {
	if !slices.ContainsFunc(batch, func(e entry) bool { return e.Node != batch[0].Node }) {
		return batch
	}
	type visit struct {
		node    string
		visitor uint64
	}
	type timed struct {
		entry
		at time.Time
	}
	last := make(map[visit]time.Time)
	merged := make([]timed, len(batch))
	for i, e := range batch {
		who := e.event().Visitor()
		v := visit{e.Node, cmp.Or(who[0], who[1])}
		at := e.event().Time()
		if before := last[v]; at.Before(before) {
			at = before
		}
		last[v], merged[i] = at, timed{e, at}
	}
	slices.SortStableFunc(merged, func(a, b timed) int { return a.at.Compare(b.at) })
	sorted := make([]entry, len(batch))
	for i := range merged {
		sorted[i] = merged[i].entry
	}
	return sorted
}

// Interface guards
var (
	_ fleet.Log      = nodeLog{}
	_ fleet.Delivery = nodeDelivery{}
)
