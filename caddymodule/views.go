package caddymodule

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/intilery/caddy-intilery/forwarder/event"
)

const (
	// tagWait is how long the server's page event of a view is withheld for the
	// tag's.
	tagWait = 5 * time.Second
	// viewLife is how long a view is remembered whose page event the server has
	// sent, for a tag that comes later still.
	viewLife = 30 * time.Minute

	// maxWithheld bounds the memory of page events that are withheld, in bytes, and
	// maxViews the number of views that are remembered.
	maxWithheld = 8 << 20
	maxViews    = 16384
)

// views counts each view once where both the server and the tag of the page send a
// page event: the tag's is taken, and the server's only if none has come within
// tagWait. A view is known by the visitor's anonymousId and the page's path, and
// each of the tag's page events stands for one view at most: the latest that the
// server has not sent, or else the latest that it has.
//
// Withheld events are in memory. They are sent at a reload or a stop; a process that
// is killed loses them.
type views struct {
	capture func(destination string, e *event.Event) error

	mu       sync.Mutex
	withheld []*view // oldest first, with those that are no longer
	sent     []*view // likewise
	byPage   map[pageOf][]*view
	bytes    int
	timer    *time.Timer
	next     time.Time // at which it fires
}

// pageOf is what a view is known by.
type pageOf struct{ anonymousID, path string }

// view is a page that the server has answered.
type view struct {
	pageOf
	of          *views
	at          time.Time
	destination string
	event       *event.Event // nil once it is sent or the tag's has come
	claimed     bool         // the tag's event is on its way to the log
	due         bool         // its time came while it was claimed
	gone        bool         // the tag's has come, or the view is forgotten
	counter     prometheus.Counter
}

// size is about the memory of a withheld event.
func (v *view) size() int {
	e := v.event
	p := &e.Context.Page
	return 1024 + len(e.Name) + len(e.Properties) + 2*len(p.URL) + len(p.Referrer) + len(e.Context.UserAgent)
}

// withhold keeps the server's page event back. The event must not be changed after.
func (vs *views) withhold(destination string, e *event.Event, withheld prometheus.Counter) {
	v := &view{
		pageOf: pageOf{e.AnonymousID, e.Context.Page.Path}, of: vs, at: time.Now(),
		destination: destination, event: e, counter: withheld,
	}
	vs.mu.Lock()
	if vs.byPage == nil {
		vs.byPage = make(map[pageOf][]*view)
	}
	vs.byPage[v.pageOf] = append(vs.byPage[v.pageOf], v)
	vs.withheld = append(vs.withheld, v)
	vs.bytes += v.size()
	due := vs.dueLocked(v.at)
	vs.wakeLocked(v.at)
	vs.mu.Unlock()
	vs.send(due)
}

// claim takes a page event of the tag, which is of the first of those paths that has
// a view. It returns the view whose event the server withholds, which is to be
// settled; or reports that the server has sent that view already, so that the tag's
// is to be dropped.
func (vs *views) claim(anonymousID string, paths ...string) (v *view, sent bool) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	for _, path := range paths {
		// Those that are withheld are later than those that are sent.
		for _, v := range slices.Backward(vs.byPage[pageOf{anonymousID, path}]) {
			switch {
			case v.claimed:
				continue
			case v.event == nil:
				vs.forgetLocked(v)
				return nil, true
			}
			v.claimed = true
			return v, false
		}
	}
	return nil, false
}

// settle ends a claim: the tag's event of the view is durable, or else the server's
// is needed.
func (v *view) settle(durable bool) {
	vs := v.of
	vs.mu.Lock()
	var due []*view
	switch {
	case v.gone: // the visitor was erased
	case durable:
		vs.bytes -= v.size()
		v.event = nil
		v.counter.Inc()
		vs.forgetLocked(v)
	case v.due:
		due = append(due, vs.releaseLocked(v))
	}
	v.claimed = false
	vs.mu.Unlock()
	vs.send(due)
}

// drop forgets a visitor's views, and a user's, and returns how many events were
// withheld of them.
func (vs *views) drop(anonymousID, userID string) (events int) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	for _, list := range [...][]*view{vs.withheld, vs.sent} {
		for _, v := range list {
			of := anonymousID != "" && v.anonymousID == anonymousID || userID != "" && v.event != nil && v.event.UserID == userID
			if !of || v.gone {
				continue
			}
			if v.event != nil {
				events++
				vs.bytes -= v.size()
				v.event = nil
			}
			vs.forgetLocked(v)
		}
	}
	return events
}

// forgetLocked takes a view out of byPage; the lists drop it when they come to it.
func (vs *views) forgetLocked(v *view) {
	v.gone = true
	list := vs.byPage[v.pageOf]
	switch {
	case len(list) == 1:
		delete(vs.byPage, v.pageOf)
	case v == list[0]: // it is one of the oldest
		vs.byPage[v.pageOf] = list[1:]
	default: // or one of the latest
		i := len(list) - 1
		for list[i] != v {
			i--
		}
		vs.byPage[v.pageOf] = slices.Delete(list, i, i+1)
	}
}

// releaseLocked returns a view as it is to be sent, and remembers that it was.
func (vs *views) releaseLocked(v *view) *view {
	due := &view{destination: v.destination, event: v.event}
	vs.bytes -= v.size()
	v.event = nil
	vs.sent = append(vs.sent, v)
	return due
}

// tick sends what has waited long enough.
func (vs *views) tick() {
	now := time.Now()
	vs.mu.Lock()
	due := vs.dueLocked(now)
	vs.wakeLocked(now)
	vs.mu.Unlock()
	vs.send(due)
}

// wakeLocked has tick called when there is something to do next.
func (vs *views) wakeLocked(now time.Time) {
	var next time.Time
	switch {
	case len(vs.withheld) > 0:
		next = vs.withheld[0].at.Add(tagWait)
	case len(vs.sent) > 0:
		next = vs.sent[0].at.Add(viewLife)
	default:
		return
	}
	switch {
	case vs.timer == nil:
		vs.timer = time.AfterFunc(next.Sub(now), vs.tick)
	case !next.Equal(vs.next):
		vs.timer.Reset(next.Sub(now))
	}
	vs.next = next
}

// dueLocked returns the events whose wait is over, or for which there is no room,
// and forgets the views that are too old or too many.
func (vs *views) dueLocked(now time.Time) (due []*view) {
	for len(vs.withheld) > 0 {
		v := vs.withheld[0]
		if !v.gone && now.Sub(v.at) < tagWait && vs.bytes <= maxWithheld {
			break
		}
		vs.withheld = vs.withheld[1:]
		switch {
		case v.gone:
		case v.claimed:
			v.due = true
		default:
			due = append(due, vs.releaseLocked(v))
		}
	}
	for len(vs.sent) > 0 {
		v := vs.sent[0]
		if !v.gone && now.Sub(v.at) < viewLife && len(vs.sent) <= maxViews {
			break
		}
		vs.sent = vs.sent[1:]
		if !v.gone {
			vs.forgetLocked(v)
		}
	}
	return due
}

// send captures events, which counts and reports those that the queue cannot take.
func (vs *views) send(due []*view) {
	for _, v := range due {
		_ = vs.capture(v.destination, v.event)
	}
}

// flush sends all that is withheld, before the queue is closed.
func (vs *views) flush() {
	vs.mu.Lock()
	due := vs.dueLocked(time.Now().Add(tagWait))
	if vs.timer != nil {
		vs.timer.Stop()
	}
	vs.mu.Unlock()
	vs.send(due)
}
