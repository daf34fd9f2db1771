package fleet

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// memBroker is a cluster in memory: what broker.go promises, and what JetStream
// does beside it. It does no I/O and knows time only by package time, so it works
// in a synctest bubble, in which it must then be made. Streams come to be when they
// are first named.
type memBroker struct {
	mu       sync.Mutex
	nodes    map[string]*memNode
	streams  map[string]*memStream
	keys     map[string]*memKey
	revision uint64 // of the bucket
	watchers map[*memWatcher]struct{}
	calls    map[string]int // by method

	latency  time.Duration // of a call, there and back
	maxBytes uint64        // of a stream; 0: no bound
	// maxPayload is of a dead letter; 0: no bound.
	maxPayload int
	isDown     bool
	turn       chan struct{} // closed when a node or the cluster is cut off or is back
}

// memStream is a lane's stream. Events and positions share its sequences.
type memStream struct {
	messages  []memMessage // by sequence, with gaps
	last      uint64
	events    uint64
	bytes     uint64
	positions map[string]uint64 // each node's latest
	full      bool
	news      chan struct{} // closed when something was stored
}

type memMessage struct {
	sequence uint64
	at       time.Time
	node     string // a position's; empty for an event
	visitor  string
	letter   string // the ID of a dead letter
	payload  []byte
}

func (m memMessage) size() uint64 {
	return uint64(len(m.payload) + len(m.node) + len(m.visitor) + 30)
}

type memKey struct {
	value    []byte
	revision uint64
	at       time.Time
	ttl      time.Duration
	timer    *time.Timer
}

func newMemBroker() *memBroker {
	return &memBroker{
		nodes: map[string]*memNode{}, streams: map[string]*memStream{}, keys: map[string]*memKey{},
		watchers: map[*memWatcher]struct{}{}, calls: map[string]int{}, turn: make(chan struct{}),
	}
}

// node returns the view of a node, the same for the same name.
func (b *memBroker) node(name string) *memNode {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.nodes[name]
	if n == nil {
		n = &memNode{b: b, name: name}
		b.nodes[name] = n
	}
	return n
}

// called tells how often nodes have called a method, such as "Put".
func (b *memBroker) called(method string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls[method]
}

// stream needs b.mu, as do all methods below that do not take it.
func (b *memBroker) stream(lane string) *memStream {
	s := b.streams[lane]
	if s == nil {
		s = &memStream{positions: map[string]uint64{}, news: make(chan struct{})}
		b.streams[lane] = s
	}
	return s
}

// memNode is what one node sees of the cluster.
type memNode struct {
	b    *memBroker
	name string
	// Guarded by b.mu:
	isCut bool
	// breaks counts how often the connection was lost: what has begun before is broken.
	breaks int
	lost   int // how many answers to writes are still to be lost
	fault  func(method, what string) fault
}

func (n *memNode) Ready() error {
	n.b.mu.Lock()
	defer n.b.mu.Unlock()
	if n.isCut || n.b.isDown {
		return errNotReady
	}
	return nil
}

// Publish has JetStream's limit of 1,000 messages in a batch.
func (n *memNode) Publish(ctx context.Context, lane string, events []message, position []byte, last uint64) (revision uint64, err error) {
	if len(events) > 999 {
		return 0, fmt.Errorf("%d events and a position: a batch takes 1000 messages", len(events))
	}
	err = n.write(ctx, "Publish", lane, func() error {
		s := n.b.stream(lane)
		size := memMessage{node: n.name, payload: position}.size()
		for _, e := range events {
			size += memMessage{visitor: e.visitor, payload: e.payload}.size()
		}
		// The server checks what a batch expects before it looks for room.
		if s.positions[n.name] != last {
			return errConflict
		}
		if s.full || n.b.maxBytes > 0 && s.bytes+size > n.b.maxBytes {
			return errFull
		}
		for _, e := range events {
			s.add(memMessage{visitor: e.visitor, payload: slices.Clone(e.payload)})
		}
		revision = s.add(memMessage{node: n.name, payload: slices.Clone(position)})
		close(s.news)
		s.news = make(chan struct{})
		return nil
	})
	if err != nil {
		return 0, err
	}
	return revision, nil
}

func (n *memNode) Position(ctx context.Context, lane string) (position []byte, revision uint64, err error) {
	err = n.read(ctx, "Position", func() {
		s := n.b.stream(lane)
		revision = s.positions[n.name]
		if m, ok := s.get(revision); ok {
			position = slices.Clone(m.payload)
		}
	})
	return position, revision, err
}

func (n *memNode) Stored(ctx context.Context, lane string, sequence uint64) (at time.Time, err error) {
	err = n.read(ctx, "Stored", func() {
		m, _ := n.b.stream(lane).get(sequence)
		at = m.at
	})
	return at, err
}

// State counts events only; first and bytes are the whole stream's.
func (n *memNode) State(ctx context.Context, lane string) (st state, err error) {
	err = n.read(ctx, "State", func() {
		s := n.b.stream(lane)
		st = state{first: s.last + 1, last: s.last, events: s.events, bytes: s.bytes}
		if len(s.messages) > 0 {
			st.first = s.messages[0].sequence
		}
	})
	return st, err
}

func (n *memNode) Trim(ctx context.Context, lane string, before uint64) error {
	return n.write(ctx, "Trim", lane, func() error {
		n.b.stream(lane).remove(func(m memMessage) bool { return m.node == "" && m.sequence < before })
		return nil
	})
}

func (n *memNode) TrimPositions(ctx context.Context, lane string, before uint64) error {
	return n.write(ctx, "TrimPositions", lane, func() error {
		n.b.stream(lane).remove(func(m memMessage) bool { return m.node == n.name && m.sequence < before })
		return nil
	})
}

func (n *memNode) Erase(ctx context.Context, lane, visitor string) error {
	return n.write(ctx, "Erase", lane, func() error {
		n.b.stream(lane).remove(func(m memMessage) bool { return m.node == "" && m.visitor == visitor })
		return nil
	})
}

// add stores a message and returns its sequence.
func (s *memStream) add(m memMessage) uint64 {
	s.last++
	m.sequence, m.at = s.last, time.Now()
	s.messages = append(s.messages, m)
	s.bytes += m.size()
	if m.node == "" {
		s.events++
	} else {
		s.positions[m.node] = m.sequence
	}
	return m.sequence
}

// remove takes messages away. Sequences are never given out again.
func (s *memStream) remove(gone func(memMessage) bool) {
	s.messages = slices.DeleteFunc(s.messages, func(m memMessage) bool {
		if !gone(m) {
			return false
		}
		s.bytes -= m.size()
		if m.node == "" {
			s.events--
		} else if s.positions[m.node] == m.sequence {
			delete(s.positions, m.node)
		}
		return true
	})
}

func (s *memStream) get(sequence uint64) (memMessage, bool) {
	i, ok := s.index(sequence)
	if !ok {
		return memMessage{}, false
	}
	return s.messages[i], true
}

func (s *memStream) index(sequence uint64) (int, bool) {
	return slices.BinarySearchFunc(s.messages, sequence, func(m memMessage, sequence uint64) int {
		return int(m.sequence) - int(sequence)
	})
}

// memKeyName is what a bucket takes as a key.
var memKeyName = regexp.MustCompile(`^[-/_=a-zA-Z0-9]+(\.[-/_=a-zA-Z0-9]+)*$`)

func (n *memNode) Get(ctx context.Context, key string) (e entry, err error) {
	err = n.read(ctx, "Get", func() {
		e = entry{key: key}
		if k := n.b.keys[key]; k != nil {
			e = k.entry(key)
		}
	})
	return e, err
}

// Put counts a TTL in whole seconds, as the server does: a fraction is dropped.
func (n *memNode) Put(ctx context.Context, key string, value []byte, revision uint64, ttl time.Duration) (next uint64, err error) {
	if !memKeyName.MatchString(key) {
		return 0, fmt.Errorf("a bucket takes no key %q", key)
	}
	if ttl < 0 || ttl > 0 && ttl < time.Second {
		return 0, fmt.Errorf("TTL of %v: a bucket takes a second or more", ttl)
	}
	err = n.write(ctx, "Put", key, func() error {
		b := n.b
		old := b.keys[key]
		if old == nil && revision != 0 || old != nil && old.revision != revision {
			return errConflict
		}
		old.stop()
		b.revision++
		next = b.revision
		k := &memKey{value: slices.Clone(value), revision: next, at: time.Now(), ttl: ttl.Truncate(time.Second)}
		b.keys[key] = k
		b.expire(key, k)
		b.tell(k.entry(key))
		return nil
	})
	if err != nil {
		return 0, err
	}
	return next, nil
}

func (n *memNode) Delete(ctx context.Context, key string, revision uint64) error {
	return n.write(ctx, "Delete", key, func() error {
		k := n.b.keys[key]
		if k == nil || k.revision != revision {
			return errConflict
		}
		k.stop()
		n.b.drop(key)
		return nil
	})
}

func (k *memKey) entry(key string) entry {
	return entry{key: key, value: slices.Clone(k.value), revision: k.revision}
}

func (k *memKey) stop() {
	if k != nil && k.timer != nil {
		k.timer.Stop()
	}
}

// expire arms the end of a key that has a TTL.
func (b *memBroker) expire(key string, k *memKey) {
	if k.ttl == 0 {
		return
	}
	k.timer = time.AfterFunc(time.Until(k.at.Add(k.ttl)), func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.keys[key] == k {
			b.drop(key)
		}
	})
}

// drop removes a key; the marker that says so takes a revision.
func (b *memBroker) drop(key string) {
	delete(b.keys, key)
	b.revision++
	b.tell(entry{key: key})
}

func (b *memBroker) tell(e entry) {
	for w := range b.watchers {
		w.tell(e)
	}
}

// entries are the keys with one of the prefixes, the oldest revision first.
func (b *memBroker) entries(prefixes []string) []entry {
	var es []entry
	for key := range maps.Keys(b.keys) {
		if hasPrefix(key, prefixes) {
			es = append(es, b.keys[key].entry(key))
		}
	}
	slices.SortFunc(es, func(x, y entry) int { return int(x.revision) - int(y.revision) })
	return es
}

func hasPrefix(key string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(key, p) })
}
