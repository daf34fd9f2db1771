package caddymodule

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/intilery/caddy-intilery/forwarder"
)

// The Caddy events of the app. Times are text in RFC 3339.
const (
	// eventPaused: nothing is sent to a destination any more, or for another
	// reason than before. Data: destination, reason, since.
	eventPaused = "intilery_destination_paused"
	// eventRecovered: a destination is sent to again. Data: destination, and the
	// reason and since of the pause that is over.
	eventRecovered = "intilery_destination_recovered"
	// eventLost: events were lost, or given up for want of room. Data: destination,
	// empty where it is not known; cause, as in the metrics events_lost_total and
	// events_shed_total; count, since the last such event.
	eventLost = "intilery_events_lost"
	// eventNodeLost: a node of the fleet is gone and has events to hand over. Each
	// of the other nodes emits it. Data: node, backlog, since.
	eventNodeLost = "intilery_fleet_node_lost"
	// eventApart: this node has been cut off from the fleet for some seconds. Data:
	// node, reason, since.
	eventApart = "intilery_fleet_apart"
	// eventRejoined: this node takes part in the fleet again. Data: node, and the
	// reason and since of when it was apart.
	eventRejoined = "intilery_fleet_rejoined"
)

// lookEvery is how often the queue's state is looked at. Tests shorten it.
var lookEvery = 5 * time.Second

// lostEvery is how long the same loss at one destination is not emitted again.
const lostEvery = time.Minute

// watch emits Caddy events while the configuration runs, if it has a handler that
// subscribes to them. Apps may not emit before all of them have started, since the
// app events takes its subscriptions when it starts, without a lock.
func (a *App) watch(ctx context.Context) {
	select {
	case <-a.started.signal:
	case <-ctx.Done():
		return
	}
	wanted := subjects{
		pauses: a.events.ShouldEmit(eventPaused) || a.events.ShouldEmit(eventRecovered),
		losses: a.events.ShouldEmit(eventLost),
		fleet:  a.events.ShouldEmit(eventNodeLost) || a.events.ShouldEmit(eventApart) || a.events.ShouldEmit(eventRejoined),
	}
	if wanted == (subjects{}) {
		return
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			for _, n := range a.queue.reported.changes(a.queue.Stats(), time.Now(), wanted) {
				a.emit(n)
			}
		case <-ctx.Done():
			return
		}
	}
}

// emit calls the event handlers. A reload does not cancel it, since what changes
// returned once is not returned again.
func (a *App) emit(n notice) {
	defer func() {
		if v := recover(); v != nil {
			a.logger.Error("an event handler panicked", zap.String("event", n.event), zap.Any("panic", v), zap.Stack("stack"))
		}
	}()
	ctx := a.ctx
	ctx.Context = context.WithoutCancel(ctx.Context)
	a.events.Emit(ctx, n.event, n.data)
}

// notice is a Caddy event that is to be emitted.
type notice struct {
	event string
	data  map[string]any
}

// subjects are what event handlers subscribe to.
type subjects struct{ pauses, losses, fleet bool }

// reported is the state of a queue that was emitted last. It stays beside the queue
// over reloads, so that each change is emitted once.
type reported struct {
	mu     sync.Mutex
	pauses map[string]pause // by destination
	losses map[loss]lossReport
	fleet  reportedFleet
}

// pause is a destination's. One that ends and begins again between two looks counts
// as one.
type pause struct {
	reason forwarder.Pause
	since  time.Time
}

// loss is what losses are counted by. The destination is empty where the account is
// that of the log.
type loss struct{ destination, cause string }

type lossReport struct {
	count uint64
	at    time.Time
}

// changes returns what has changed since it was last called.
func (r *reported) changes(st forwarder.Stats, now time.Time, of subjects) (changes []notice) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if of.pauses {
		changes = r.comparePauses(st.Destinations)
	}
	if of.losses {
		changes = append(changes, r.compareLosses(lossesOf(st), now)...)
	}
	if of.fleet && st.Fleet != nil {
		changes = append(changes, r.fleet.compare(st.Fleet)...)
	}
	return changes
}

func (r *reported) comparePauses(destinations map[string]forwarder.DestinationStats) (changes []notice) {
	add := func(event, destination string, p pause) {
		changes = append(changes, notice{event, map[string]any{
			"destination": destination, "reason": string(p.reason), "since": p.since.UTC().Format(time.RFC3339),
		}})
	}
	if r.pauses == nil {
		r.pauses = make(map[string]pause)
	}
	maps.DeleteFunc(r.pauses, func(name string, _ pause) bool { _, there := destinations[name]; return !there })
	for _, name := range slices.Sorted(maps.Keys(destinations)) {
		before, now := r.pauses[name], pause{destinations[name].Paused, destinations[name].PausedSince}
		switch now.reason {
		case before.reason:
		case forwarder.NotPaused:
			delete(r.pauses, name)
			add(eventRecovered, name, before)
		default:
			r.pauses[name] = now
			add(eventPaused, name, now)
		}
	}
	return changes
}

func (r *reported) compareLosses(losses map[loss]uint64, now time.Time) (changes []notice) {
	if r.losses == nil {
		r.losses = make(map[loss]lossReport)
	}
	byDestination := func(a, b loss) int {
		return cmp.Or(cmp.Compare(a.destination, b.destination), cmp.Compare(a.cause, b.cause))
	}
	for _, l := range slices.SortedFunc(maps.Keys(losses), byDestination) {
		count, before := losses[l], r.losses[l]
		if count < before.count { // the destination was gone meanwhile, and its counters with it
			before.count = 0
		}
		if count == before.count || now.Sub(before.at) < lostEvery {
			continue
		}
		r.losses[l] = lossReport{count, now}
		changes = append(changes, notice{eventLost, map[string]any{
			"destination": l.destination, "cause": l.cause, "count": count - before.count,
		}})
	}
	maps.DeleteFunc(r.losses, func(l loss, _ lossReport) bool { return losses[l] == 0 })
	return changes
}

// lossesOf counts what was lost, be it that there was no room for it.
func lossesOf(st forwarder.Stats) map[loss]uint64 {
	losses := make(map[loss]uint64)
	for name, d := range st.Destinations {
		for cause, n := range d.Lost {
			losses[loss{name, string(cause)}] = n
		}
	}
	if st.Unknown > 0 {
		losses[loss{cause: string(forwarder.LostUnknown)}] = st.Unknown
	}
	for cause, n := range st.Log.Lost {
		losses[loss{cause: string(cause)}] += n
	}
	for _, causes := range st.Log.Shed {
		for cause, n := range causes {
			losses[loss{cause: string(cause)}] += n
		}
	}
	return losses
}
