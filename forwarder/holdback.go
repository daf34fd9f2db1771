package forwarder

import (
	"bytes"
	"sync"
	"time"
)

// settleTime is how long after an identify was acknowledged a command of the
// same user goes out. Intilery stores traits asynchronously and advises 500 ms
// before a call that reads them.
const settleTime = 500 * time.Millisecond

// holdback decides, event by event in a window's order, which of them wait
// while others go: a command waits until the identifies of its user that came
// before it are settled, and what the same visitor did after it waits with it.
// Most batches have no command: then no event is looked into.
type holdback struct {
	settling   *settling
	identifies []int           // places of those not yet in pending
	pending    map[uint64]bool // who has an identify that is outstanding
	held       map[uint64]bool // who has an event that is held back
	wake       time.Duration   // until the first held event may go, if that is known
}

// holds reports whether the event at a place is held back. Places come in order.
func (h *holdback) holds(out []Record, i int) bool {
	rec := &out[i]
	command := isCommand(rec.Data)
	hold := false
	if command || len(h.held) > 0 {
		who := visitorOf(rec.Data)
		hold = who.in(h.held)
		if command && !hold {
			hold = h.unsettled(out, who)
		}
		if hold {
			if h.held == nil {
				h.held = make(map[uint64]bool)
			}
			who.join(h.held)
		}
	}
	if typeOf(rec.Class) == Identify {
		h.identifies = append(h.identifies, i)
	}
	return hold
}

// unsettled reports whether an identify of the command's user is outstanding or
// was acknowledged a moment ago.
func (h *holdback) unsettled(out []Record, who visitor) bool {
	if h.pending == nil {
		h.pending = make(map[uint64]bool)
	}
	for _, i := range h.identifies {
		visitorOf(out[i].Data).join(h.pending)
	}
	h.identifies = h.identifies[:0]
	if who.in(h.pending) {
		return true
	}
	d := h.settling.left(who)
	if d > 0 && (h.wake == 0 || d < h.wake) {
		h.wake = d
	}
	return d > 0
}

// settling remembers for whom an identify was acknowledged in the last moments,
// over all lanes of a destination: events of one user from two browsers are in
// two lanes. What happened before the process began is not known, so commands
// wait until it has run for settleTime.
type settling struct {
	began time.Time

	mu      sync.Mutex
	recent  map[uint64]time.Duration // since began
	older   map[uint64]time.Duration // dropped when recent is old enough to take its place
	swapped time.Duration
}

func newSettling() settling {
	return settling{began: time.Now(), recent: make(map[uint64]time.Duration)}
}

// acknowledged notes the identifies among events that were just acknowledged.
func (s *settling) acknowledged(events []Record) {
	var now time.Duration
	for _, r := range events {
		if typeOf(r.Class) != Identify {
			continue
		}
		if now == 0 {
			now = time.Since(s.began)
			s.mu.Lock()
			defer s.mu.Unlock()
			if now-s.swapped > settleTime {
				s.older, s.recent, s.swapped = s.recent, make(map[uint64]time.Duration), now
			}
		}
		for _, k := range visitorOf(r.Data) {
			if k != 0 {
				s.recent[k] = now
			}
		}
	}
}

// left is how long a command of a visitor has to wait.
func (s *settling) left(who visitor) time.Duration {
	now := time.Since(s.began)
	s.mu.Lock()
	defer s.mu.Unlock()
	d := settleTime - now
	for _, k := range who {
		for _, m := range []map[uint64]time.Duration{s.recent, s.older} {
			if at, found := m[k]; found {
				d = max(d, at+settleTime-now)
			}
		}
	}
	return max(d, 0)
}

// isCommand reports whether a stored event is a track whose name makes Intilery
// do something at once.
func isCommand(event []byte) bool {
	const prefix = `","type":"track","event":"`
	rest := event[len(timestampPrefix)+len(timeLayout):]
	if len(rest) < len(prefix) || string(rest[:len(prefix)]) != prefix {
		return false
	}
	name, _, _ := bytes.Cut(rest[len(prefix):], []byte{'"'})
	switch string(name) {
	case "send_email", "send_sms", "send_print", "send_push", "start_journey":
		return true
	}
	return false
}

// visitor is whom an event is about: hashes of its anonymousId and userId, 0
// for one that it lacks. Two that share a hash by chance wait for each other,
// which does no harm.
type visitor [2]uint64

func visitorOf(event []byte) visitor {
	anonymousID, userID := idsOf(event)
	var v visitor
	if len(anonymousID) > 0 {
		v[0] = hash64('a', anonymousID)
	}
	if len(userID) > 0 {
		v[1] = hash64('u', userID)
	}
	return v
}

func (v visitor) in(set map[uint64]bool) bool { return set[v[0]] || set[v[1]] }

func (v visitor) join(set map[uint64]bool) {
	for _, k := range v {
		if k != 0 {
			set[k] = true
		}
	}
}

// hash64 is FNV-1a, never 0.
func hash64(kind byte, id []byte) uint64 {
	h := uint64(14695981039346656037)
	h = (h ^ uint64(kind)) * 1099511628211
	for _, c := range id {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h | 1<<63
}

// idsOf returns the anonymousId and the userId of a stored event, as they are
// written: escaped, without quotes; nil when it has none.
func idsOf(event []byte) (anonymousID, userID []byte) {
	for pos := 0; ; {
		key, member, next, ok := nextMember(event, pos)
		if !ok {
			return anonymousID, userID
		}
		switch string(key) {
		case `"anonymousId"`:
			anonymousID = textOf(member[len(key):])
		case `"userId"`:
			userID = textOf(member[len(key):])
		case `"messageId"`:
			return anonymousID, userID // AppendJSON writes it behind the two
		}
		pos = next
	}
}
