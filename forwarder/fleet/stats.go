package fleet

import (
	"cmp"
	"slices"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/event"
)

// Stats is a snapshot of a fleet as one node sees it. While the node is apart it
// shows what it saw last.
type Stats struct {
	// Name is that of the fleet, and Node this node's.
	Name, Node string
	// Session reports that this node takes part: it holds its session.
	Session bool
	// Reason says what does not work at present, and Since since when; empty when all
	// does. Trouble may be over within a moment, as when the broker elects a leader.
	Reason string
	Since  time.Time
	// Apart is since when this node could not take part, or not reach the broker;
	// zero when it can, and before that has lasted for some seconds.
	Apart time.Time
	// Nodes are those with a session, in order.
	Nodes []string
	// Lost are nodes that have been without a session for some seconds and have events
	// to hand over, in order.
	Lost []Member
	// Members are what all nodes have to hand over, in order.
	Members []Member
	// Owners are the nodes that deliver lanes, by lane.
	Owners map[string]string
	// Owned is the number of lanes that this node delivers.
	Owned int
	// Streams are how many events the streams hold that have not ended, by lane, as
	// their owners were told some seconds ago. Lanes that nobody knows about are absent.
	Streams map[string]uint64
	// Pauses are those of the fleet, by destination.
	Pauses map[string]Pause
	// Account is over all destinations, and Destinations has it for each of which this
	// node had a lane.
	Account
	Destinations map[string]Account
	// Backlog is the number of events in this node's log that are not handed over,
	// by lane, and Kept of those that are and stay for a while.
	Backlog, Kept map[string]uint64
	// Oldest is the timestamp of the oldest event that could not be handed over;
	// zero when none waits for the broker.
	Oldest time.Time
}

// Member is what a node says about its log.
type Member struct {
	Node    string
	Backlog uint64
	At      time.Time // when it said so
	Gone    time.Time // since when this node has seen it without a session; zero when it has one
}

// Lag is how long the oldest event has waited for the broker; 0 when none does.
func (s Stats) Lag(now time.Time) time.Duration {
	if s.Oldest.IsZero() {
		return 0
	}
	return max(now.Sub(s.Oldest), 0)
}

// TotalBacklog is the backlog of all lanes.
func (s Stats) TotalBacklog() uint64 { return sum(s.Backlog) }

// TotalKept is what is kept of all lanes.
func (s Stats) TotalKept() uint64 { return sum(s.Kept) }

func sum(lanes map[string]uint64) (n uint64) {
	for _, events := range lanes {
		n += events
	}
	return n
}

// Stats returns a snapshot. Pending is that of the node's log, by lane. It asks no
// broker.
func (f *Fleet) Stats(pending map[string]uint64) Stats {
	s := Stats{
		Name: f.o.Name, Node: f.o.Node, Session: f.session.current() != "",
		Owners: make(map[string]string), Streams: make(map[string]uint64), Pauses: make(map[string]Pause),
		Backlog: make(map[string]uint64), Kept: make(map[string]uint64),
	}
	f.troubles.stats(&s)
	f.tallies.stats(&s)
	for lane, n := range pending {
		s.Backlog[lane] = n
	}
	for _, m := range f.allMovers() {
		if kept := min(m.keeps(), pending[m.lane]); kept > 0 {
			s.Kept[m.lane] = kept
			s.Backlog[m.lane] -= kept
		}
		if ms := m.oldest.Load(); ms != 0 {
			if t := time.UnixMilli(ms); s.Oldest.IsZero() || t.Before(s.Oldest) {
				s.Oldest = t
			}
		}
	}
	f.view.stats(&s)
	for lane, n := range f.depths() {
		s.Streams[lane] = n // newer than what it has told the others
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, o := range f.lanes {
		if o.running && !o.leaving {
			s.Owned++
		}
	}
	return s
}

func (v *view) stats(s *Stats) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, n := range v.current.sessions {
		s.Nodes = append(s.Nodes, n.value.Node)
	}
	slices.Sort(s.Nodes)
	for lane, l := range v.current.leases {
		if v.current.sessions[escape(l.value.Node)].value.Session == l.value.Session {
			s.Owners[lane] = l.value.Node
		}
	}
	for node, said := range v.current.members {
		m := Member{said.Node, said.Backlog, said.At, v.gone[node]}
		s.Members = append(s.Members, m)
		if !m.Gone.IsZero() && time.Since(m.Gone) >= tellAfter && m.Backlog > 0 {
			s.Lost = append(s.Lost, m)
		}
		for lane, n := range said.Streams {
			if s.Owners[lane] == said.Node {
				s.Streams[lane] = n
			}
		}
	}
	for _, list := range [][]Member{s.Members, s.Lost} {
		slices.SortFunc(list, func(a, b Member) int { return cmp.Compare(a.Node, b.Node) })
	}
	for destination, p := range v.current.pauses {
		s.Pauses[destination] = p.value
	}
}

// peek notes how old what waits is while nothing may be handed over.
func (m *mover) peek() {
	from := m.src.Acknowledged()
	if from.SameLog(m.at) && from.Compare(m.at) < 0 {
		from = m.at
	}
	recs, err := m.src.Read(from, 1)
	switch {
	case err != nil: // Await fires when that changes
	case len(recs) > 0:
		if ev := event.Stored(recs[0].Data); event.IsStored(ev) {
			m.oldest.CompareAndSwap(0, ev.Time().UnixMilli())
		}
		return
	default:
		m.oldest.Store(0) // it has been given up
	}
	m.src.Await(from, 1, m.wake)
}
