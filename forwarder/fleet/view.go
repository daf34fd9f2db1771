package fleet

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Prefixes of the bucket's keys. After lease. and cursor. comes the lane, with a
// dot in place of its slash.
const (
	nodePrefix   = "node."   // sessions, with a TTL
	memberPrefix = "member." // what a node has to hand over; it outlives the session
	leasePrefix  = "lease."
	cursorPrefix = "cursor."
	pausePrefix  = "pause."
	erasePrefix  = "erase."
	secretKey    = "secret" // the fleet's key
)

func laneKey(prefix, lane string) string { return prefix + strings.Replace(lane, "/", ".", 1) }

func laneOfKey(prefix, key string) string {
	return strings.Replace(strings.TrimPrefix(key, prefix), ".", "/", 1)
}

// nodeKey and memberKey are those of a node, whose name may have dots.
func nodeKey(node string) string   { return nodePrefix + escape(node) }
func memberKey(node string) string { return memberPrefix + escape(node) }

// sessionValue is what a node's key says.
type sessionValue struct {
	Node    string `json:"node"`
	Session string `json:"session"`
	Log     uint64 `json:"log"`     // of the node's log, so that its next process is known
	Beat    uint64 `json:"beat"`    // differs in each renewal
	Applied uint64 `json:"applied"` // the revision up to which erasures are applied to the node's log
}

// memberValue is what a node says about its log, and the lanes that it owns.
type memberValue struct {
	Node    string    `json:"node"`
	Backlog uint64    `json:"backlog"` // events that are not handed over
	At      time.Time `json:"at"`
	// Streams are how many events wait in the streams of lanes that it owns.
	Streams map[string]uint64 `json:"streams,omitempty"`
	// Destinations are those that it serves.
	Destinations []string `json:"destinations"`
}

// leaseValue is what a lane's lease says.
type leaseValue struct {
	Node    string `json:"node"`
	Session string `json:"session"`
}

// keyed is a value with its key's revision.
type keyed[T any] struct {
	value    T
	revision uint64
}

// view is what the keys of all nodes say, as far as this node has heard. It is
// filled anew at each connection, and takes the place of the one before when it is
// complete.
type view struct {
	mu      sync.Mutex
	current keys
	seen    uint64               // the highest revision that was told
	next    *keys                // being filled; nil when current is complete and kept so
	gone    map[string]time.Time // since when members were seen without a session
}

type keys struct {
	sessions map[string]keyed[sessionValue] // by node
	members  map[string]memberValue         // by node
	leases   map[string]keyed[leaseValue]   // by lane
	pauses   map[string]keyed[Pause]        // by destination
}

func newKeys() *keys {
	return &keys{
		sessions: make(map[string]keyed[sessionValue]), members: make(map[string]memberValue),
		leases: make(map[string]keyed[leaseValue]), pauses: make(map[string]keyed[Pause]),
	}
}

// begin says that all keys are told anew.
func (v *view) begin() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.next, v.seen = newKeys(), 0
}

// complete says that all have been told.
func (v *view) complete() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.next != nil {
		v.current, v.next = *v.next, nil
	}
	v.missLocked()
}

// missLocked notes which members have no session.
func (v *view) missLocked() {
	if v.next != nil {
		return
	}
	if v.gone == nil {
		v.gone = make(map[string]time.Time)
	}
	for node := range v.gone {
		if _, known := v.current.members[node]; !known {
			delete(v.gone, node)
		}
	}
	for node := range v.current.members {
		if _, live := v.current.sessions[node]; live {
			delete(v.gone, node)
		} else if v.gone[node].IsZero() {
			v.gone[node] = time.Now()
		}
	}
}

// change takes a key over. Keys that it does not know it leaves alone.
func (v *view) change(e entry) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seen = max(v.seen, e.revision)
	k := v.next
	if k == nil {
		k = &v.current
	}
	switch {
	case strings.HasPrefix(e.key, nodePrefix):
		keep(k.sessions, strings.TrimPrefix(e.key, nodePrefix), e)
		v.missLocked()
	case strings.HasPrefix(e.key, memberPrefix):
		all := make(map[string]keyed[memberValue])
		keep(all, e.key, e)
		node := strings.TrimPrefix(e.key, memberPrefix)
		if m, ok := all[e.key]; ok {
			k.members[node] = m.value
		} else {
			delete(k.members, node)
		}
		v.missLocked()
	case strings.HasPrefix(e.key, leasePrefix):
		keep(k.leases, laneOfKey(leasePrefix, e.key), e)
	case strings.HasPrefix(e.key, pausePrefix):
		keep(k.pauses, strings.TrimPrefix(e.key, pausePrefix), e)
	}
}

// keep puts an entry into a map, or takes it out.
func keep[T any](m map[string]keyed[T], name string, e entry) {
	var value T
	if e.revision == 0 || json.Unmarshal(e.value, &value) != nil {
		delete(m, name)
		return
	}
	m[name] = keyed[T]{value, e.revision}
}

// serving returns how many nodes with a session serve a destination. The node itself
// does, and so do those that have not said what they serve.
func (v *view) serving(destination, self string) (n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for node := range v.current.sessions {
		m, said := v.current.members[node]
		if node == escape(self) || !said || slices.Contains(m.Destinations, destination) {
			n++
		}
	}
	return n
}

// destinations adds to some those that any node is known to serve, or that have lanes
// which somebody has owned.
func (v *view) destinations(some []string) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := make(map[string]bool)
	for _, name := range some {
		all[name] = true
	}
	for _, m := range v.current.members {
		for _, name := range m.Destinations {
			all[name] = true
		}
	}
	for lane := range v.current.leases {
		name, _, _ := strings.Cut(lane, "/")
		all[name] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// holder returns the lease of a lane, and whether its session is there.
func (v *view) holder(lane string) (l keyed[leaseValue], live bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	l = v.current.leases[lane]
	if l.revision == 0 {
		return l, false
	}
	return l, v.current.sessions[escape(l.value.Node)].value.Session == l.value.Session
}

// applied reports whether all nodes that have a session have applied the erasures
// up to a revision. This node must have heard of what came before it.
func (v *view) applied(revision uint64) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.seen < revision {
		return false
	}
	for _, s := range v.current.sessions {
		if s.value.Applied < revision {
			return false
		}
	}
	return true
}

// pause returns the pause of a destination.
func (v *view) pause(destination string) keyed[Pause] {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.current.pauses[destination]
}
