package forwarder

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/tracking"
)

// lanes is how many batches can be under way to one destination.
const lanes = event.Lanes

// destination is what a configured name stands for: its lanes, how they are
// doing, and what was counted. It outlives the settings that named it until it
// has nothing left.
type destination struct {
	name   string
	shared *shared
	log    *slog.Logger

	ctx        atomic.Pointer[context.Context] // ends when it is not sent to any more
	client     atomic.Pointer[tracking.Client]
	token      token
	limiter    *limiter
	breaker    *breaker
	size       batchSize
	rejections rejections
	traits     traitTimes
	throughput throughput
	counts     counts

	mu      sync.RWMutex
	retired bool
	lanes   [lanes]logLane // made when they are first used
	workers [lanes]*worker // of the lanes that are sent by this process
	rate    float64        // as it is configured, for all nodes
	burst   int
	nodes   int
	// throttledUntil is of the last pause that another node has told.
	throttledUntil time.Time

	// Guarded by Forwarder.mu.
	stop   context.CancelFunc // nil when it is not sent to
	halted time.Time
}

func newDestination(name string, s *shared, log *slog.Logger) *destination {
	d := &destination{
		name: name, shared: s, log: log.With("destination", name),
		limiter: newLimiter(), traits: traitTimes{began: time.Now()},
	}
	ended, end := context.WithCancel(context.Background())
	end()
	d.ctx.Store(&ended)
	d.breaker = newBreaker(d.token.refresh)
	return d
}

// configure swaps the settings, also under running workers. What was learned from
// refusals under the old ones is tried anew.
func (d *destination) configure(c Destination, client *tracking.Client) {
	if before := d.client.Swap(client); before != nil {
		before.CloseIdleConnections()
	}
	d.token.source(c.Token)
	d.mu.Lock()
	d.rate, d.burst, d.nodes = c.Rate, c.Burst, c.Nodes
	d.limitLocked()
	d.mu.Unlock()
	d.size.reset()
	d.rejections.reset()
	d.breaker.nudge()
}

// limitLocked allows this process its part of the rate. In a fleet each lane has
// its part, whoever sends it, so that the sum is the same for any number of nodes.
func (d *destination) limitLocked() {
	part := 1 / float64(d.nodes)
	if d.shared.fleet != nil {
		n := 0
		for _, w := range d.workers {
			if w != nil {
				n++
			}
		}
		part = float64(max(n, 1)) / lanes
	}
	d.limiter.configure(d.rate, d.burst, part)
}

// sending returns the context in which batches are begun.
func (d *destination) sending() context.Context { return *d.ctx.Load() }

// resume has the lanes sent.
func (d *destination) resume(run context.Context) {
	if d.stop != nil {
		return
	}
	ctx, stop := context.WithCancel(run)
	d.ctx.Store(&ctx)
	d.stop = stop
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, w := range d.workers {
		if w != nil {
			w.wake()
		}
	}
}

// halt stops sending and does not wait: requests under way complete.
func (d *destination) halt() {
	if d.stop != nil {
		d.stop()
		d.stop, d.halted = nil, time.Now()
		d.breaker.halt()
	}
}

// open makes a lane, if it is not there, and has it sent, or handed over to the
// fleet.
func (d *destination) open(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lanes[n] != nil || d.retired {
		return
	}
	name := laneName(d.name, n)
	lane := d.shared.queue.Lane(name)
	d.lanes[n] = lane
	if d.shared.fleet != nil {
		d.shared.fleet.Move(name, lane)
		return
	}
	d.workers[n] = newWorker(d, lane, name, d.shared.erasures)
	d.workers[n].wake()
}

// retire gives the lanes back if nothing is pending in them. Pending is the log's.
func (d *destination) retire(pending map[string]uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for n := range lanes {
		if pending[laneName(d.name, n)] > 0 {
			return false
		}
	}
	for n, lane := range d.lanes {
		switch {
		case lane == nil:
		case d.shared.fleet != nil:
			idle := d.shared.fleet.Halt(laneName(d.name, n))
			go func() {
				<-idle
				lane.Release()
			}()
		default:
			lane.Release()
			d.workers[n] = nil
		}
		d.lanes[n] = nil
	}
	d.retired = true
	return true
}

func laneName(destination string, n int) string { return destination + "/" + strconv.Itoa(n) }

// splitLane is the inverse of laneName.
func splitLane(name string) (destination string, n int, ok bool) {
	destination, number, _ := strings.Cut(name, "/")
	n, err := strconv.Atoi(number)
	return destination, n, err == nil && n >= 0 && n < lanes
}

// bodies are the requests' bodies, shared by all workers.
var bodies = sync.Pool{New: func() any { return new([]byte) }}

// post makes one attempt to send a batch of a size.
func (d *destination) post(lane string, batch []entry, size int) tracking.Answer {
	token, err := d.token.get()
	if err != nil {
		return tracking.Answer{Class: tracking.Misconfigured, Err: err}
	}
	body := bodies.Get().(*[]byte)
	defer bodies.Put(body)
	*body = appendBatch(slices.Grow((*body)[:0], size), merge(batch), time.Now())
	began := time.Now()
	a := d.client.Load().Send(d.shared.send, token, *body)
	took := time.Since(began)
	d.counts.request(a.Status, took)
	if a.Class == tracking.Accepted {
		d.size.accepted(size, took)
	}
	d.log.Debug("batch sent", "lane", lane, "events", len(batch), "bytes", len(*body),
		"status", a.Status, "answer", a.Class.String(), "event_id", a.EventID, "message", a.Message, "error", a.Err)
	return a
}

// answered gives the ticket back with the answer, and tells an operator what has
// changed.
func (d *destination) answered(t ticket, a tracking.Answer) transition {
	tr := d.breaker.leave(t, a)
	if tr.from == MassRejection && tr.to == NotPaused {
		d.rejections.reset()
	}
	if a.Class == tracking.Throttled && tr.retry > 0 {
		d.limiter.throttled(time.Now().Add(tr.retry))
	}
	d.tell(tr, a)
	d.share(tr)
	return tr
}

// tell logs that a destination went down or came back: one line each.
func (d *destination) tell(tr transition, a tracking.Answer) {
	if !tr.news() {
		return
	}
	attrs := []any{slog.Int("status", a.Status), slog.Duration("next_try_in", tr.retry)}
	if a.Err != nil {
		attrs = append(attrs, slog.String("error", a.Err.Error()))
	}
	switch tr.to {
	case NotPaused:
		d.log.Info("delivery has recovered", "was", string(tr.from), "since", tr.since)
	case Unavailable:
		d.log.Warn("delivery is interrupted: Intilery cannot be reached or fails; events are kept and sent when it is back", attrs...)
	case Throttled:
		d.log.Warn("delivery is interrupted: Intilery asks for fewer requests; events are kept and sent later", attrs...)
	case Misconfigured:
		d.log.Error("delivery is paused: "+fix(a)+"; events are kept", attrs...)
	case MassRejection:
		d.log.Error("delivery is paused: more than a fifth of the latest events were rejected; events are kept; "+
			"the dead letters have the reasons; fix what sends these events, then reload the configuration", attrs...)
	}
}

// fix says what is wrong with a configuration and what to do about it.
func fix(a tracking.Answer) string {
	switch {
	case a.Status == 0:
		return "no usable auth token: correct auth_token"
	case a.Status == 401 || a.Status == 403:
		return "token not accepted for this account and brand: correct auth_token"
	case a.Status == 404 || a.Status == 405:
		return "this endpoint, client, account or brand does not exist: correct endpoint, client_id, account_id or brand_id"
	case a.Status >= 300 && a.Status < 400:
		return "the endpoint redirects elsewhere, which is not followed: correct endpoint"
	default:
		return "the endpoint does not answer like the Intilery Tracking API: correct endpoint, or let requests to it through"
	}
}
