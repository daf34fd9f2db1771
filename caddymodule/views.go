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
// each of the tag's page events stands for one view at most.
//
// Withheld events are in memory. They are sent at a reload or a stop; a process that
// is killed loses them.
type views struct {
	capture func(destination string, e *event.Event) error

	mu       sync.Mutex
	withheld []*view // oldest first, with those that are no longer
	sent     []*view // likewise
	byID     map[string][]*view
	bytes    int
	timer    *time.Timer
	next     time.Time // at which it fires
}

// view is a page that the server has answered.
type view struct {
	anonymousID, path string
	at                time.Time
	destination       string
	event             *event.Event // nil once it is sent or the tag's has come
	gone              bool         // the tag's has come, or the view is forgotten
	counter           prometheus.Counter
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
		anonymousID: e.AnonymousID, path: e.Context.Page.Path, at: time.Now(),
		destination: destination, event: e, counter: withheld,
	}
	vs.mu.Lock()
	if vs.byID == nil {
		vs.byID = make(map[string][]*view)
	}
	vs.byID[v.anonymousID] = append(vs.byID[v.anonymousID], v)
	vs.withheld = append(vs.withheld, v)
	vs.bytes += v.size()
	due := vs.dueLocked(v.at)
	vs.wakeLocked(v.at)
	vs.mu.Unlock()
	vs.send(due)
}

// claim takes a page event of the tag, which is of one of those paths. It reports
// whether the server has sent that view already, so that the tag's is to be dropped.
func (vs *views) claim(anonymousID string, paths ...string) (sent bool) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	for _, v := range vs.byID[anonymousID] {
		if v.gone || !slices.Contains(paths, v.path) {
			continue
		}
		if v.event == nil {
			vs.forgetLocked(v)
			return true
		}
		vs.bytes -= v.size()
		v.event = nil
		v.counter.Inc()
		vs.forgetLocked(v)
		return false
	}
	return false
}

// forgetLocked takes a view out of byID; the lists drop it when they come to it.
func (vs *views) forgetLocked(v *view) {
	v.gone = true
	var left []*view
	for _, other := range vs.byID[v.anonymousID] {
		if other != v {
			left = append(left, other)
		}
	}
	if left == nil {
		delete(vs.byID, v.anonymousID)
	} else {
		vs.byID[v.anonymousID] = left
	}
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
		if v.gone {
			continue
		}
		due = append(due, &view{destination: v.destination, event: v.event})
		vs.bytes -= v.size()
		v.event = nil
		vs.sent = append(vs.sent, v)
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
