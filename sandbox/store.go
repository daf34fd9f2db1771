package sandbox

import (
	"cmp"
	"encoding/json"
	"slices"
	"sync"
	"time"
)

const (
	// keepBytes bounds what the kept events take, whatever Options.Keep says.
	keepBytes = 16 << 20
	// eventOverhead is a generous guess at an event's bookkeeping.
	eventOverhead = 512
)

// Event is one call that was accepted. Its byte slices are shared with the
// sandbox and must not be changed.
type Event struct {
	// Seq is the order of arrival, from 1.
	Seq uint64 `json:"seq"`
	// ReceivedAt is when the call arrived first.
	ReceivedAt time.Time `json:"receivedAt"`
	// EventID is the eventId that answered the request. The calls of a batch
	// share it.
	EventID string `json:"eventId"`
	// Type is identify, track, page or screen.
	Type string `json:"type"`
	// Name is a track's event and a page's or screen's name.
	Name        string `json:"name,omitempty"`
	AnonymousID string `json:"anonymousId,omitempty"`
	UserID      string `json:"userId,omitempty"`
	MessageID   string `json:"messageId,omitempty"`
	// Timestamp is when the event happened, by its sender.
	Timestamp time.Time `json:"timestamp,omitzero"`
	// Duplicates counts the times that the same messageId came again while
	// this event was kept.
	Duplicates int `json:"duplicates"`
	// Context is the call's context with its batch's merged in, the call's own
	// fields winning. Nil when neither has one.
	Context json.RawMessage `json:"context,omitempty"`
	// Raw is the call as it was received, byte for byte.
	Raw json.RawMessage `json:"raw"`
}

// Stats are the counters since New or the last clearing.
type Stats struct {
	Since time.Time `json:"since"`
	// Requests were answered with 200.
	Requests uint64 `json:"requests"`
	// Events are distinct calls; Duplicates are calls whose messageId was known.
	Events     uint64 `json:"events"`
	Duplicates uint64 `json:"duplicates"`
	// Kept events are in memory now, of at most Keep.
	Kept int `json:"kept"`
	Keep int `json:"keep"`
	// Rejected requests by answer, sorted by it.
	Rejected []Rejected `json:"rejected"`
}

// Rejected counts the requests that got one answer other than 200.
type Rejected struct {
	// Answer is the status code, or "drop" for a connection closed by the fault.
	Answer string `json:"answer"`
	Count  uint64 `json:"count"`
	// Message says why the last one was rejected. In a batch it names the call,
	// which the answer does not.
	Message string    `json:"message"`
	At      time.Time `json:"at"`
}

// entry is a kept event. Its outer context stays apart, because the calls of a
// batch share it: merged at once, a batch of small calls around a large
// context would grow a thousandfold.
type entry struct {
	call
	version uint64 // of the store, when this entry last changed
}

func (e *entry) size() int {
	return eventOverhead + 2*len(e.Raw) + len(e.outer)
}

func (e *entry) event() Event {
	ev := e.Event
	ev.Context = mergeContext(e.outer, e.own)
	return ev
}

// store holds the last events and the counters. Every change raises its
// version; a reader that knows a version asks for what changed since.
type store struct {
	keep int

	mu        sync.Mutex
	entries   []*entry // oldest first
	byMessage map[string]*entry
	bytes     int
	seq       uint64
	version   uint64
	cleared   uint64 // version of the last clearing
	fault     Fault
	stats     Stats
	rejected  map[string]*Rejected
	changed   chan struct{} // closed at the next change
}

func newStore(keep int, now time.Time) *store {
	st := &store{keep: keep, fault: FaultNone, changed: make(chan struct{})}
	st.reset(now)
	return st
}

func (st *store) reset(now time.Time) {
	st.entries, st.bytes = nil, 0
	st.byMessage = map[string]*entry{}
	st.rejected = map[string]*Rejected{}
	st.stats = Stats{Since: now}
}

// touch marks a change and wakes the readers that wait for one.
func (st *store) touch() {
	st.version++
	close(st.changed)
	st.changed = make(chan struct{})
}

// add stores the calls of one accepted request.
func (st *store) add(calls []call, eventID string, now time.Time) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.stats.Requests++
	for i := range calls {
		c := &calls[i]
		st.version++
		if known := st.byMessage[c.MessageID]; known != nil {
			known.Duplicates++
			known.version = st.version
			st.stats.Duplicates++
			continue
		}
		st.seq++
		st.stats.Events++
		c.Seq, c.EventID, c.ReceivedAt = st.seq, eventID, now
		e := &entry{call: *c, version: st.version}
		st.entries = append(st.entries, e)
		st.bytes += e.size()
		if c.MessageID != "" {
			st.byMessage[c.MessageID] = e
		}
		for len(st.entries) > st.keep || st.bytes > keepBytes {
			st.evict()
		}
	}
	st.touch()
}

// evict forgets the oldest event.
func (st *store) evict() {
	e := st.entries[0]
	st.entries[0] = nil // let go of it before the slice grows anew
	st.entries = st.entries[1:]
	st.bytes -= e.size()
	delete(st.byMessage, e.MessageID)
}

func (st *store) reject(answer, message string, now time.Time) {
	st.mu.Lock()
	defer st.mu.Unlock()
	r := st.rejected[answer]
	if r == nil {
		r = &Rejected{Answer: answer}
		st.rejected[answer] = r
	}
	r.Count++
	r.Message, r.At = message, now
	st.touch()
}

func (st *store) clear(now time.Time) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.reset(now)
	st.touch()
	st.cleared = st.version
}

func (st *store) setFault(f Fault) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.fault != f {
		st.fault = f
		st.touch()
	}
}

func (st *store) currentFault() Fault {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.fault
}

// events returns the kept events, oldest first.
func (st *store) events() []Event {
	st.mu.Lock()
	entries := make([]entry, len(st.entries))
	for i, e := range st.entries {
		entries[i] = *e
	}
	st.mu.Unlock()

	events := make([]Event, len(entries))
	for i := range entries {
		events[i] = entries[i].event()
	}
	return events
}

func (st *store) snapshot() Stats {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.statsLocked()
}

func (st *store) statsLocked() Stats {
	s := st.stats
	s.Kept, s.Keep = len(st.entries), st.keep
	s.Rejected = make([]Rejected, 0, len(st.rejected))
	for _, r := range st.rejected {
		s.Rejected = append(s.Rejected, *r)
	}
	slices.SortFunc(s.Rejected, func(a, b Rejected) int { return cmp.Compare(a.Answer, b.Answer) })
	return s
}

// update is what changed since a version.
type update struct {
	version uint64
	cleared bool    // forget what was known before the entries
	entries []entry // in the order of their last change
	fault   Fault
	stats   Stats
	changed <-chan struct{} // closed at the first change after this update
}

// since returns what changed after version v.
func (st *store) since(v uint64) update {
	st.mu.Lock()
	defer st.mu.Unlock()
	u := update{
		version: st.version,
		cleared: v < st.cleared,
		fault:   st.fault,
		stats:   st.statsLocked(),
		changed: st.changed,
	}
	for _, e := range st.entries {
		if e.version > v {
			u.entries = append(u.entries, *e)
		}
	}
	slices.SortFunc(u.entries, func(a, b entry) int { return cmp.Compare(a.version, b.version) })
	return u
}
