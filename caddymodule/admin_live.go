package caddymodule

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/intilery/caddy-intilery/caddymodule/internal/operatorpage"
	"github.com/intilery/caddy-intilery/forwarder"
	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// What the page shows of what there may be thousands of.
const (
	maxShownDestinations = 50
	maxShownLanes        = 200
)

// live is what the operator's page asks for again and again: the status, with the
// destinations and lanes that matter most, and what it plots and lists beside. It has
// no payloads and no IDs of visitors.
func live(r *http.Request, queues []liveQueue) (any, error) {
	query, err := parameters(r, "since")
	if err != nil {
		return nil, err
	}
	var since int64
	if query.Has("since") {
		if since, err = strconv.ParseInt(query.Get("since"), 10, 64); err != nil {
			return nil, refusal(http.StatusBadRequest, "since: %q is not accepted; use the time of a sample, in ms", query.Get("since"))
		}
	}
	type queueLive struct {
		queueStatus                        // with the destinations that are shown
		All         allDestinations        `json:"all_destinations"`
		History     []operatorpage.Sample  `json:"history"`       // since the time given
		Mark        string                 `json:"captures_mark"` // see operatorpage.Captures.Mark
		Captures    []operatorpage.Capture `json:"captures"`
	}
	answer := struct {
		Version string                `json:"version"`
		Time    time.Time             `json:"time"`
		Queues  []queueLive           `json:"queues"`
		Sites   map[string]siteStatus `json:"sites"` // by server
	}{version(), time.Now().UTC(), []queueLive{}, siteStatuses()}
	none := func(uint64) bool { return false }
	for _, q := range queues {
		all := sumDestinations(q.stats.Destinations)
		status := newQueueStatus(q.dir, q.stats, q.tally.status())
		status.Destinations = shownDestinations(status.Destinations)
		if status.Fleet != nil {
			all.Lanes = len(status.Fleet.Lanes)
			status.Fleet.Lanes = shownLanes(status.Fleet.Lanes)
		}
		mark := q.captures.Mark()
		answer.Queues = append(answer.Queues, queueLive{status, all, q.history.Since(since), mark, q.captures.List(none)})
	}
	return answer, nil
}

// allDestinations sums up the destinations of a queue, with those that are not shown.
type allDestinations struct {
	Count  int                        `json:"count"`
	Paused int                        `json:"paused"`
	Lost   map[queue.LossCause]uint64 `json:"lost"` // by cause
	// Waiting is how many have something to send, and WaitingPaused how many of them
	// are paused. DrainSeconds is that of the slowest, absent when one cannot be told.
	Waiting       int      `json:"waiting"`
	WaitingPaused int      `json:"waiting_paused"`
	DrainSeconds  *float64 `json:"drain_seconds,omitempty"`
	Lanes         int      `json:"lanes"` // of a fleet
}

func sumDestinations(of map[string]forwarder.DestinationStats) allDestinations {
	all := allDestinations{Count: len(of), Lost: make(map[queue.LossCause]uint64)}
	for _, d := range of {
		if d.Paused != "" {
			all.Paused++
		}
		if d.Pending > 0 || d.DrainETA != 0 {
			all.Waiting++
			if d.Paused != "" {
				all.WaitingPaused++
			}
		}
		for cause, n := range d.Lost {
			all.Lost[cause] += n
		}
	}
	all.DrainSeconds = slowestDrain(of)
	return all
}

// slowestDrain returns the seconds until the last destination has sent what waits,
// nil when one of them cannot be told.
func slowestDrain(of map[string]forwarder.DestinationStats) *float64 {
	var slowest time.Duration
	for _, d := range of {
		if d.DrainETA < 0 {
			return nil
		}
		slowest = max(slowest, d.DrainETA)
	}
	seconds := slowest.Seconds()
	return &seconds
}

// shownDestinations are those that matter most: what is paused, then what has most
// waiting.
func shownDestinations(all map[string]destinationStatus) map[string]destinationStatus {
	return foremost(all, maxShownDestinations, func(a, b destinationStatus) int {
		return cmp.Or(trueFirst(a.Paused != "", b.Paused != ""), cmp.Compare(b.Pending, a.Pending))
	})
}

// shownLanes are those that matter most: what nobody owns, then what has most waiting.
func shownLanes(all map[string]fleetLaneStatus) map[string]fleetLaneStatus {
	backlog := func(l fleetLaneStatus) uint64 {
		if l.Backlog == nil {
			return 0
		}
		return *l.Backlog
	}
	return foremost(all, maxShownLanes, func(a, b fleetLaneStatus) int {
		return cmp.Or(trueFirst(a.Owner == "", b.Owner == ""), cmp.Compare(backlog(b), backlog(a)))
	})
}

// foremost returns the n values that come first in an order, and by name where that does
// not tell.
func foremost[V any](all map[string]V, n int, compare func(a, b V) int) map[string]V {
	if len(all) <= n {
		return all
	}
	names := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		return cmp.Or(compare(all[a], all[b]), strings.Compare(a, b))
	})
	some := make(map[string]V, n)
	for _, name := range names[:n] {
		some[name] = all[name]
	}
	return some
}

func trueFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// listCaptures lists the events that were captured last. Like the dead letters, it
// has the events themselves only when they are asked for.
func listCaptures(r *http.Request, queues []liveQueue) (any, error) {
	query, err := parameters(r, "events", "id")
	if err != nil {
		return nil, err
	}
	events, err := flag(query, "events")
	if err != nil {
		return nil, err
	}
	var id uint64
	if query.Has("id") {
		if id, err = strconv.ParseUint(query.Get("id"), 10, 64); err != nil {
			return nil, refusal(http.StatusBadRequest, "id: %q is not accepted; use the id of a capture", query.Get("id"))
		}
	}
	wanted := func(of uint64) bool { return id == 0 || of == id }
	answer := struct {
		Captures []operatorpage.Capture `json:"captures"`
	}{[]operatorpage.Capture{}}
	for _, q := range queues {
		for _, c := range q.captures.List(func(of uint64) bool { return events && wanted(of) }) {
			if !wanted(c.ID) {
				continue
			}
			if c.Event != nil {
				c.Event = asJSON(c.Event)
			}
			answer.Captures = append(answer.Captures, c)
		}
	}
	return answer, nil
}

// look takes a sample of the queue for the operator's page, and has the captures
// forgotten that are old.
func (p pooled) look(now time.Time) operatorpage.Sample {
	p.captures.Expire(now)
	return sampleOf(p.Stats())
}

func sampleOf(st forwarder.Stats) operatorpage.Sample {
	s := operatorpage.Sample{
		Pending: st.Log.TotalPending(), OldestSeconds: st.Log.Oldest.Seconds(), FreeBytes: st.Log.FreeBytes,
	}
	s.DrainSeconds = slowestDrain(st.Destinations)
	for _, d := range st.Destinations {
		s.Captured += d.Captured.Sum()
		s.Acknowledged += d.Acknowledged.Sum()
		s.DeadLettered += d.DeadLettered.Sum()
	}
	for _, n := range lossesOf(st) {
		s.Lost += n
	}
	return s
}
