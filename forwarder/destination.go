package forwarder

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/intilery/caddy-intilery/forwarder/tracking"
)

// maxBody bounds a request. The API's limit is 1 MB.
const maxBody = 950_000

// minBody bounds what a destination's limit shrinks to: one event always fits.
const minBody = MaxEventBytes + len(batchPrefix) + len(batchSuffix)

// destination is what a configured name stands for: its lanes, how they are
// doing, and what was counted. It outlives the settings that named it.
type destination struct {
	name    string
	queue   Log
	letters *deadLetters
	log     *slog.Logger

	erasures *erasures

	lanes   [lanesPerDestination]*lane
	client  atomic.Pointer[tracking.Client]
	token   token
	limiter *limiter
	gate    *gate
	body    atomic.Int64 // the size limit of a request, as far as it is known
	counts  counts

	rejections rejections
	settling   settling

	// Guarded by Forwarder.mu.
	stop context.CancelFunc // nil when it is not sent to
	done chan struct{}      // closed when the lanes started last have ended
}

func newDestination(name string, queue Log, letters *deadLetters, erasures *erasures, log *slog.Logger) *destination {
	d := &destination{
		name:    name,
		queue:   queue,
		letters: letters,
		log:     log.With("destination", name),
		limiter: newLimiter(),

		erasures: erasures,
		settling: newSettling(),
	}
	d.gate = newGate(d.token.refresh)
	d.body.Store(maxBody)
	for n := range d.lanes {
		d.lanes[n] = newLane(d, n)
	}
	return d
}

// configure swaps the settings, also under running lanes. What was learned from
// refusals under the old ones is tried anew.
func (d *destination) configure(c Destination, client *tracking.Client) {
	d.client.Store(client)
	d.token.source(c.Token)
	d.limiter.configure(c.Rate, c.Burst, c.Nodes)
	d.body.Store(maxBody)
	d.rejections.reset()
	d.gate.nudge()
}

// resume starts the lanes unless they run. A lane never has two consumers: the
// new ones wait for those that were halted before.
func (d *destination) resume(run, send context.Context, group *sync.WaitGroup) {
	if d.stop != nil {
		return
	}
	ctx, stop := context.WithCancel(run)
	before, done := d.done, make(chan struct{})
	d.stop, d.done = stop, done
	group.Go(func() {
		defer close(done)
		if before != nil {
			<-before
		}
		var lanes sync.WaitGroup
		for _, l := range d.lanes {
			lanes.Go(func() { l.run(ctx, send) })
		}
		lanes.Wait()
	})
}

// halt stops sending and does not wait: requests under way complete.
func (d *destination) halt() {
	if d.stop != nil {
		d.stop()
		d.stop = nil
	}
}

// sent follows up an answer: it gives the ticket back and tells an operator
// what has changed.
func (d *destination) sent(t ticket, a tracking.Answer) transition {
	tr := d.gate.leave(t, a)
	if tr.from == MassRejection && tr.to == NotPaused {
		d.rejections.reset()
	}
	d.tell(tr, a)
	return tr
}

// tell logs that a destination went down or came back: one line each.
func (d *destination) tell(tr transition, a tracking.Answer) {
	if !tr.news() {
		return
	}
	attrs := []any{slog.Int("status", a.Status)}
	if a.Err != nil {
		attrs = append(attrs, slog.String("error", a.Err.Error()))
	}
	switch tr.to {
	case NotPaused:
		d.log.Info("delivery has recovered", "was", string(tr.from), "since", tr.since)
		return
	case Unavailable:
		d.log.Warn("delivery is interrupted: Intilery cannot be reached or fails; events are kept and sent when it is back", attrs...)
	case Misconfigured:
		d.log.Error("delivery is paused: "+mend(a), append(attrs, slog.Duration("next_try_in", tr.retry))...)
	case MassRejection:
		d.log.Error("delivery is paused: more than a fifth of the latest events were rejected; events are kept; "+
			"see the dead letters for the reasons, mend what sends these events, then reload the configuration",
			append(attrs, slog.Duration("next_try_in", tr.retry))...)
	}
}

// mend says what is wrong with a configuration and what to do about it.
func mend(a tracking.Answer) string {
	switch {
	case a.Status == 0:
		return "no usable auth token; events are kept; correct auth_token"
	case a.Status == 401 || a.Status == 403:
		return "token not accepted for this account/brand; events are kept; correct auth_token"
	case a.Status == 404 || a.Status == 405:
		return "this endpoint, client, account or brand does not exist; events are kept; correct endpoint, client_id, account_id or brand_id"
	case a.Status >= 300 && a.Status < 400:
		return "the endpoint redirects elsewhere, which is not followed; events are kept; correct endpoint"
	default:
		return "the endpoint does not answer like the Intilery Tracking API; events are kept; correct endpoint"
	}
}
