package caddymodule

import (
	"time"

	"github.com/intilery/caddy-intilery/forwarder/fleet"
)

// reportedFleet is the state of the fleet that was emitted last.
type reportedFleet struct {
	apart  time.Time // since when; zero when it is not
	reason string
	lost   map[string]bool // nodes
}

func (r *reportedFleet) compare(st *fleet.Stats) (changes []notice) {
	add := func(event, node string, since time.Time, more string, value any) {
		changes = append(changes, notice{event, map[string]any{"node": node, "since": since.UTC().Format(time.RFC3339), more: value}})
	}
	switch {
	case r.apart.IsZero() && !st.Apart.IsZero():
		r.apart, r.reason = st.Apart, st.Reason
		add(eventApart, st.Node, r.apart, "reason", r.reason)
	case !r.apart.IsZero() && st.Apart.IsZero() && st.Session:
		add(eventRejoined, st.Node, r.apart, "reason", r.reason)
		r.apart, r.reason = time.Time{}, ""
	}
	if !r.apart.IsZero() {
		return changes // what it sees of the others is of before
	}
	lost := make(map[string]bool, len(st.Lost))
	for _, m := range st.Lost {
		if lost[m.Node] = true; !r.lost[m.Node] {
			add(eventNodeLost, m.Node, m.Gone, "backlog", m.Backlog)
		}
	}
	r.lost = lost
	return changes
}
