package caddymodule

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/intilery/caddy-intilery/forwarder"
)

// fleetStatus is what the status tells about the fleet, as this node sees it.
type fleetStatus struct {
	Name    string `json:"name"`
	Node    string `json:"node"`
	Session bool   `json:"session"`
	// Reason is what does not work, since Since. ApartSince is there once this node
	// has been cut off for some seconds.
	Reason     string     `json:"reason,omitempty"`
	Since      *time.Time `json:"since,omitempty"`
	ApartSince *time.Time `json:"apart_since,omitempty"`

	HandedOver uint64                     `json:"handed_over"`
	TakenBack  uint64                     `json:"taken_back"`
	Backlog    uint64                     `json:"backlog"`
	Kept       uint64                     `json:"kept"`
	LagSeconds float64                    `json:"lag_seconds"`
	Nodes      map[string]fleetNodeStatus `json:"nodes"`
	Lost       map[string]lostNodeStatus  `json:"lost_nodes"`
	Lanes      map[string]fleetLaneStatus `json:"lanes"`
	Pauses     map[string]fleetPause      `json:"pauses"`
}

type fleetNodeStatus struct {
	Lanes   int    `json:"lanes"`
	Backlog uint64 `json:"backlog"` // that it has said it has
}

type lostNodeStatus struct {
	Backlog uint64     `json:"backlog"`
	Since   *time.Time `json:"since"`
	SaidAt  *time.Time `json:"said_at"`
}

// fleetLaneStatus is a lane: who delivers it, and what waits in its stream.
type fleetLaneStatus struct {
	Owner   string  `json:"owner,omitempty"`
	Backlog *uint64 `json:"backlog,omitempty"` // absent where it is not known
}

type fleetPause struct {
	Node   string     `json:"node"`
	Reason string     `json:"reason"`
	Until  *time.Time `json:"until,omitempty"`
}

// newFleetStatus returns nil without a fleet.
func newFleetStatus(all forwarder.Stats, now time.Time) *fleetStatus {
	st := all.Fleet
	if st == nil {
		return nil
	}
	s := &fleetStatus{
		Name: st.Name, Node: st.Node, Session: st.Session, Reason: st.Reason, Since: given(st.Since), ApartSince: given(st.Apart),
		HandedOver: st.HandedOver, TakenBack: st.TakenBack, Backlog: st.TotalBacklog(), Kept: st.TotalKept(), LagSeconds: st.Lag(now).Seconds(),
		Nodes: make(map[string]fleetNodeStatus), Lost: make(map[string]lostNodeStatus),
		Lanes: make(map[string]fleetLaneStatus), Pauses: make(map[string]fleetPause),
	}
	for _, node := range st.Nodes {
		s.Nodes[node] = fleetNodeStatus{}
	}
	for name, d := range all.Destinations {
		for n := range d.Lanes {
			if d.Sending {
				s.Lanes[fmt.Sprintf("%s/%d", name, n)] = fleetLaneStatus{}
			}
		}
	}
	for lane, node := range st.Owners {
		s.Lanes[lane] = fleetLaneStatus{Owner: node}
		n := s.Nodes[node]
		n.Lanes++
		s.Nodes[node] = n
	}
	for _, m := range st.Members {
		if n, ok := s.Nodes[m.Node]; ok {
			n.Backlog = m.Backlog
			s.Nodes[m.Node] = n
		}
	}
	for _, m := range st.Lost {
		s.Lost[m.Node] = lostNodeStatus{m.Backlog, given(m.Gone), given(m.At)}
	}
	for lane, n := range st.Streams {
		s.Lanes[lane] = fleetLaneStatus{s.Lanes[lane].Owner, &n}
	}
	for destination, p := range st.Pauses {
		s.Pauses[destination] = fleetPause{p.Node, p.Reason, given(p.Until)}
	}
	return s
}

func (s *fleetStatus) print(out io.Writer) {
	fmt.Fprintf(out, "fleet %s\n", s.Name)
	fmt.Fprintf(out, "  this node      %s, %s\n", s.Node, s.condition())
	fmt.Fprintf(out, "  to hand over   %s", plural(s.Backlog, "event"))
	if s.LagSeconds > 0 {
		fmt.Fprintf(out, ", the oldest for %s", seconds(s.LagSeconds))
	}
	fmt.Fprintf(out, "\n  kept           %s\n", plural(s.Kept, "event"))
	for _, name := range slices.Sorted(maps.Keys(s.Nodes)) {
		n := s.Nodes[name]
		fmt.Fprintf(out, "  node           %s: %s, %s%s\n", name, plural(uint64(n.Lanes), "lane"), plural(n.Backlog, "event")+" to hand over", s.streams(name))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Lost)) {
		n := s.Lost[name]
		fmt.Fprintf(out, "  lost node      %s: %s to hand over", name, plural(n.Backlog, "event"))
		if n.Since != nil {
			fmt.Fprintf(out, ", gone since %s", n.Since.Format(time.RFC3339))
		}
		fmt.Fprintln(out)
	}
	if lanes := s.unowned(); len(lanes) > 0 {
		fmt.Fprintf(out, "  without owner  %s\n", strings.Join(lanes, ", "))
	}
	for _, destination := range slices.Sorted(maps.Keys(s.Pauses)) {
		p := s.Pauses[destination]
		fmt.Fprintf(out, "  paused         %s: %s, found by %s", destination, p.Reason, p.Node)
		if p.Until != nil {
			fmt.Fprintf(out, ", until %s", p.Until.Format(time.RFC3339))
		}
		fmt.Fprintln(out)
	}
}

func (s *fleetStatus) condition() string {
	text := "takes part"
	switch {
	case !s.Session && s.Reason == "":
		return "not connected yet"
	case !s.Session:
		text = "apart"
	}
	if s.Reason != "" {
		text += ": " + s.Reason
		if s.Since != nil {
			text += ", since " + s.Since.Format(time.RFC3339)
		}
	}
	return text
}

// unowned returns the lanes that nobody delivers.
func (s *fleetStatus) unowned() (lanes []string) {
	for _, lane := range slices.Sorted(maps.Keys(s.Lanes)) {
		if s.Lanes[lane].Owner == "" {
			lanes = append(lanes, lane)
		}
	}
	return lanes
}

// streams lists what waits in the streams of an owner's lanes.
func (s *fleetStatus) streams(owner string) string {
	var sum uint64
	var list []string
	for _, lane := range slices.Sorted(maps.Keys(s.Lanes)) {
		if l := s.Lanes[lane]; l.Owner == owner && l.Backlog != nil && *l.Backlog > 0 {
			sum += *l.Backlog
			list = append(list, fmt.Sprintf("%d %s", *l.Backlog, lane))
		}
	}
	if sum == 0 {
		return ""
	}
	return fmt.Sprintf(", %s in streams: %s", plural(sum, "event"), strings.Join(list, ", "))
}
