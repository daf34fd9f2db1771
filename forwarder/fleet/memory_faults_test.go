package fleet

import (
	"context"
	"maps"
	"slices"
	"time"
)

// fault is what becomes of a call.
type fault int

const (
	noFault     fault = iota
	requestLost       // it is not done
	answerLost        // it is done
)

// setFault lets f say what becomes of each of the node's writes: method is Publish,
// Trim, TrimPositions, Erase, Put or Delete, what its lane or key. Nil: nothing.
// f must not call the broker.
func (n *memNode) setFault(f func(method, what string) fault) {
	n.b.mu.Lock()
	defer n.b.mu.Unlock()
	n.fault = f
}

// loseAnswers has the node's next k writes done, and errUnknown as their answer.
func (n *memNode) loseAnswers(k int) {
	n.b.mu.Lock()
	defer n.b.mu.Unlock()
	n.lost = k
}

// cut takes the node off the network, or back. While it is off, its calls wait for
// their context's end; when it comes back first, they fail with errUnknown. What it
// reads and watches fails at once.
func (n *memNode) cut(yes bool) {
	n.b.mu.Lock()
	defer n.b.mu.Unlock()
	if yes && !n.isCut {
		n.breaks++
	}
	n.isCut = yes
	n.b.turned()
}

// down stops the cluster for all nodes, or starts it. While it is down, calls fail
// at once with errNotReady.
func (b *memBroker) down(yes bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if yes && !b.isDown {
		b.breakAll()
	}
	b.isDown = yes
	b.turned()
}

// full makes a lane's stream refuse messages, or take them again.
func (b *memBroker) full(lane string, yes bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stream(lane).full = yes
}

// setLatency makes each call take so long, half of it on the way to the broker.
func (b *memBroker) setLatency(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.latency = d
}

// setMaxBytes bounds each stream.
func (b *memBroker) setMaxBytes(bytes uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.maxBytes = bytes
}

// memSnapshot is a copy of the cluster's data.
type memSnapshot struct {
	streams  map[string]*memStream
	keys     map[string]*memKey
	revision uint64
}

// snapshot copies the cluster's data.
func (b *memBroker) snapshot() memSnapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	return memSnapshot{copyStreams(b.streams), copyKeys(b.keys), b.revision}
}

// restore sets the cluster's data back to a copy, as after a power cut: sequences
// and revisions that were given out since are given out again. Nodes lose their
// connection for a moment. Keys end when their TTL in the copy is over.
func (b *memBroker) restore(from memSnapshot) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, k := range b.keys {
		k.stop()
	}
	old := b.streams
	b.streams, b.keys, b.revision = copyStreams(from.streams), copyKeys(from.keys), from.revision
	for lane, s := range b.streams {
		if o := old[lane]; o != nil {
			s.full = o.full
		}
	}
	for key, k := range b.keys {
		b.expire(key, k)
	}
	b.breakAll()
	b.turned()
}

// breakAll needs b.mu.
func (b *memBroker) breakAll() {
	for _, n := range b.nodes {
		n.breaks++
	}
}

// turned needs b.mu. It wakes all who wait.
func (b *memBroker) turned() {
	close(b.turn)
	b.turn = make(chan struct{})
}

func copyStreams(from map[string]*memStream) map[string]*memStream {
	to := make(map[string]*memStream, len(from))
	for lane, s := range from {
		c := *s
		c.messages, c.positions, c.news = slices.Clone(s.messages), maps.Clone(s.positions), make(chan struct{})
		to[lane] = &c
	}
	return to
}

func copyKeys(from map[string]*memKey) map[string]*memKey {
	to := make(map[string]*memKey, len(from))
	for key, k := range from {
		to[key] = &memKey{value: k.value, revision: k.revision, at: k.at, ttl: k.ttl}
	}
	return to
}

// read does a call that changes nothing.
func (n *memNode) read(ctx context.Context, method string, do func()) error {
	breaks, err := n.travel(ctx, -1)
	if err != nil {
		return err
	}
	n.b.mu.Lock()
	n.b.calls[method]++
	do()
	n.b.mu.Unlock()
	_, err = n.travel(ctx, breaks)
	return err
}

// write does a call that changes something, unless a fault is in its way.
func (n *memNode) write(ctx context.Context, method, what string, do func() error) error {
	breaks, err := n.travel(ctx, -1)
	if err != nil {
		return err
	}
	err = n.apply(method, what, do)
	if _, lost := n.travel(ctx, breaks); lost != nil {
		return lost
	}
	return err
}

func (n *memNode) apply(method, what string, do func() error) error {
	n.b.mu.Lock()
	defer n.b.mu.Unlock()
	n.b.calls[method]++
	f := noFault
	if n.fault != nil {
		f = n.fault(method, what)
	}
	if f == noFault && n.lost > 0 {
		n.lost--
		f = answerLost
	}
	if f == requestLost {
		return errUnknown
	}
	err := do()
	if f == answerLost {
		return errUnknown
	}
	return err
}

// travel is the way of a request or an answer over the network. Breaks is how often
// the node had lost its connection when the request went through, -1 for a request:
// an answer does not survive a new connection.
func (n *memNode) travel(ctx context.Context, breaks int) (int, error) {
	n.b.mu.Lock()
	latency := n.b.latency
	n.b.mu.Unlock()
	if err := pause(ctx, latency/2); err != nil {
		return 0, err
	}
	for waited := false; ; waited = true {
		n.b.mu.Lock()
		isCut, isDown, now, turn := n.isCut, n.b.isDown, n.breaks, n.b.turn
		n.b.mu.Unlock()
		switch {
		case isCut:
		case isDown && breaks < 0:
			return 0, errNotReady
		case waited || breaks >= 0 && now != breaks:
			return 0, errUnknown
		default:
			return now, nil
		}
		select {
		case <-turn:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}
