package fleet

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/internal/seal"
)

// setBack takes messages off the end of a stream, and tells nobody: not even a
// connection is lost.
func (b *memBroker) setBack(lane string, last uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stream(lane)
	s.remove(func(m memMessage) bool { return m.sequence > last })
	s.last = last
	for _, m := range s.messages {
		if m.node != "" {
			s.positions[m.node] = m.sequence
		}
	}
}

// add publishes events of nobody's and returns the stream's last sequence.
func (b *memBroker) add(t *testing.T, lane string, n int) uint64 {
	t.Helper()
	node := b.node("adder")
	ctx := context.Background()
	for range n {
		_, last, err := node.Position(ctx, lane)
		if err == nil {
			_, err = node.Publish(ctx, lane, []message{{visitor: digest(nil, "", ""), payload: []byte("p")}}, []byte("{}"), last)
		}
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	s, err := node.State(ctx, lane)
	if err != nil {
		t.Fatal(err)
	}
	return s.last
}

// A cursor finds that its stream has lost the event that it points to, whatever the
// stream has got since; and does not take trimming or an erasure for that.
func TestRolledBack(t *testing.T) {
	const lane = "default/0"
	for name, c := range map[string]struct {
		harm func(t *testing.T, b *memBroker, at uint64)
		want bool
	}{
		"nothing": {func(*testing.T, *memBroker, uint64) {}, false},
		"more":    {func(t *testing.T, b *memBroker, _ uint64) { b.add(t, lane, 5) }, false},
		"trimmed": {func(t *testing.T, b *memBroker, at uint64) { _ = b.node("a").Trim(t.Context(), lane, at) }, false},
		"erased": {func(t *testing.T, b *memBroker, _ uint64) {
			_ = b.node("a").Erase(t.Context(), lane, digest(nil, "", ""))
		}, false},
		"set back":             {func(_ *testing.T, b *memBroker, at uint64) { b.setBack(lane, at-3) }, true},
		"set back, grown less": {func(t *testing.T, b *memBroker, at uint64) { b.setBack(lane, at-9); b.add(t, lane, 2) }, true},
		"set back, grown more": {func(t *testing.T, b *memBroker, at uint64) { b.setBack(lane, at-3); b.add(t, lane, 9) }, true},
		"made anew":            {func(t *testing.T, b *memBroker, _ uint64) { b.setBack(lane, 0); b.add(t, lane, 30) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newMemBroker()
				last := b.add(t, lane, 10) - 1 // an event: a position is behind it
				at, err := b.node("a").Stored(t.Context(), lane, last)
				if err != nil {
					t.Fatal(err)
				}
				cur := cursor{b: b.node("a"), lane: lane, owner: "s"}
				if err := errors.Join(cur.take(t.Context()), cur.move(t.Context(), last, at)); err != nil {
					t.Fatal(err)
				}
				c.harm(t, b, last)
				if got, err := cur.rolledBack(t.Context()); got != c.want || err != nil {
					t.Errorf("%v, %v", got, err)
				}
				next := cursor{b: b.node("b"), lane: lane, owner: "t"}
				if err := next.take(t.Context()); err != nil {
					t.Fatal(err)
				}
				if again := next.value.Sequence == 0; again != c.want {
					t.Errorf("the next owner begins behind %d", next.value.Sequence)
				}
			})
		})
	}
}

// A cursor has one owner, also when two take it at once and no answer comes.
func TestCursorOfTwo(t *testing.T) {
	b := newMemBroker()
	ctx := t.Context()
	one, two := cursor{b: b.node("a"), lane: "default/0", owner: "s"}, cursor{b: b.node("b"), lane: "default/0", owner: "t"}
	if err := errors.Join(one.load(ctx), two.load(ctx)); err != nil {
		t.Fatal(err)
	}
	v, w := one.value, two.value
	v.Epoch, v.Owner = 1, one.owner
	w.Epoch, w.Owner = 1, two.owner
	b.node("a").loseAnswers(1)
	if err := one.write(ctx, v); err != nil {
		t.Errorf("the first one: %v", err)
	}
	if err := two.write(ctx, w); !errors.Is(err, errTakenOver) {
		t.Errorf("the second one: %v", err)
	}
	b.node("a").loseAnswers(1)
	if err := errors.Join(one.move(ctx, 5, time.Now()), one.move(ctx, 6, time.Now())); err != nil || one.value.Sequence != 6 {
		t.Errorf("at %d: %v", one.value.Sequence, err)
	}
	if err := two.take(ctx); err != nil || two.value.Epoch != 2 || two.value.Owner != "t" {
		t.Errorf("%+v: %v", two.value, err)
	}
	if err := one.move(ctx, 7, time.Now()); !errors.Is(err, errTakenOver) {
		t.Errorf("the owner before: %v", err)
	}
}

// own is a lane that the node delivers.
func (n *testNode) own(lane string) *owned {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.lanes[lane]
}

// What ends at an owner that has lost its lane counts for nobody: it is delivered, and
// counted, by the next owner.
func TestFenced(t *testing.T) {
	inFleet(t, func(s *site) {
		lane := "default/0"
		owner := s.owner(lane)
		o := owner.own(lane)
		before := o.Acknowledged()
		o.fence()
		if from := o.Acknowledge(at(99)); from.Compare(at(99)) != 0 {
			t.Errorf("counted from %v on", from)
		}
		if now := o.Acknowledged(); now != before {
			t.Errorf("moved from %v to %v", before, now)
		}
	})
}

// An owner that stood still and did not hear that its lane was taken hears it from the
// lease, also when it has nothing to acknowledge.
func TestLeaseTaken(t *testing.T) {
	inFleet(t, func(s *site) {
		lane := "default/0"
		owner := s.owner(lane)
		o := owner.own(lane)
		e, err := s.b.node("x").Get(context.Background(), laneKey(leasePrefix, lane))
		if err == nil {
			_, err = s.b.node("x").Put(context.Background(), e.key, []byte(`{"node":"x","session":"y"}`), e.revision, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		within(t, time.Second, "the lane is given up", func() bool { return o.ctx.Err() != nil })
		s.balanced() // x is no node: its lease does not count
	})
}

// Two processes with one name are not one node: the later one waits, and says why.
func TestTwoOfOneName(t *testing.T) {
	dir := t.TempDir()
	inFleet(t, func(s *site) {
		second := joinBy(s.t, s.b.node("second"), "a", newTestLog(99), s.to, dir)
		id := "visitor-0"
		s.captured[id]++
		second.log.append("default/"+strconv.Itoa(event.Lane(id, "", lanes)), testEvent(id, s.captured[id]))
		time.Sleep(time.Minute)
		if second.session.current() != "" || len(second.delivery.owned()) > 0 || s.to.count() > 0 {
			t.Error("it takes part")
		}
		if st := second.Stats(second.log.Pending()); st.Reason == "" || len(st.Nodes) != 3 {
			t.Errorf("%+v", st)
		}
		s.nodes[0].crash()
		s.nodes[0] = second
		s.arrived(time.Minute)
		s.balanced()
	})
}

// A stream that was set back without anybody being told is found out by its owner: new
// events may be where nobody reads.
func TestSetBackSilently(t *testing.T) {
	for _, who := range []string{"events of the node that has lost some", "events of others", "many events of others"} {
		t.Run(who, func(t *testing.T) {
			inFleet(t, func(s *site) {
				s.capture(20)
				s.arrived(10 * time.Second)
				time.Sleep(time.Second)
				last := make(map[string]uint64)
				s.b.mu.Lock()
				for lane, st := range s.b.streams {
					last[lane] = st.last
				}
				s.b.mu.Unlock()
				all := s.nodes
				s.nodes = all[:1]
				s.capture(20)
				s.arrived(10 * time.Second)
				time.Sleep(5 * time.Second)
				for lane, n := range last {
					s.b.setBack(lane, n)
				}
				if who != "events of the node that has lost some" {
					s.nodes = all[1:] // what the first one lost stays lost to the streams
				}
				s.capture(1)
				if who == "many events of others" {
					s.capture(100)
				}
				s.arrived(2 * checkIdle)
			})
		})
	}
}

// A stream's new leader that knows less for a moment is no broker that has lost
// anything.
func TestBehindForAMoment(t *testing.T) {
	inFleet(t, func(s *site) {
		s.capture(5)
		s.arrived(10 * time.Second)
		n := s.nodes[0]
		m := n.allMovers()[0]
		n.crash() // the mover is the test's
		m.sent = mark{at: queue.At(1, 1<<40), total: 9}
		for _, c := range []struct {
			after time.Duration
			p     position
			want  error
		}{{0, position{}, errBehind}, {2 * time.Second, position{}, errBehind}, {0, position{At: m.sent.at}, nil}, {2 * time.Second, position{}, errBehind}} {
			time.Sleep(c.after)
			if err := m.compare(c.p); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("%v, want %v", err, c.want)
			}
		}
		time.Sleep(believeAfter)
		if err := m.compare(position{}); err != nil {
			t.Errorf("after that: %v", err)
		}
	})
}

// What the broker loses after a node has let it go is lost, and counted.
func TestLostByBroker(t *testing.T) {
	inFleet(t, func(s *site) {
		s.to.mu.Lock()
		s.to.delay = time.Hour // nothing is delivered
		s.to.mu.Unlock()
		copied := s.b.snapshot()
		s.capture(10)
		time.Sleep(s.nodes[0].o.Keep + 10*time.Second)
		s.capture(1) // is kept still
		time.Sleep(time.Second)
		s.b.restore(copied)
		s.capture(1)
		n := 0
		within(t, 2*time.Minute, "the loss is counted", func() bool {
			n = 0
			for _, node := range s.nodes {
				n += int(node.Stats(node.log.Pending()).LostBroker)
			}
			return n >= 120
		})
		if n != 120 {
			t.Errorf("%d counted, want 120", n)
		}
	})
}

// A node that cannot read the fleet's key has no part of the lanes: they are for those
// that can deliver them.
func TestUnreadableKey(t *testing.T) {
	dir := t.TempDir()
	inFleet(t, func(s *site) {
		n := &testNode{log: newTestLog(9), broker: s.b.node("d"), dir: dir}
		n.delivery = &testDelivery{to: s.to, lanes: make(map[string]*testSender), pause: make(map[string]*Pause), leads: make(map[string]bool)}
		n.Fleet = newFleet(testOptions("d"), n.broker, dir, n.log, n.delivery)
		n.delivery.f = n.Fleet
		s.t.Cleanup(n.crash)
		e, err := n.broker.Get(context.Background(), secretKey)
		if err == nil {
			_, err = n.broker.Put(context.Background(), secretKey, []byte{payloadSealed, 1, 2, 3, 4, 5}, e.revision, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		n.Start()
		n.Serve([]string{"default"})
		time.Sleep(time.Minute)
		if st := n.Stats(nil); st.Session || st.Reason == "" {
			t.Errorf("%+v", st)
		}
		s.balanced()
		s.capture(20)
		s.arrived(10 * time.Second)
	})
}

// The fleet's key is sealed again when the encryption key is another one.
func TestKeySealedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
		b := newMemBroker()
		var keys [][]byte
		for _, ring := range [][][]byte{nil, {one}, {two, one}, {two}} {
			f := newFleet(testOptions("a"), b.node("a"), "", nil, nil)
			var err error
			if f.codec.keys, err = seal.New(ring); err == nil {
				err = f.meet()
			}
			if err != nil {
				t.Fatalf("with %d keys: %v", len(ring), err)
			}
			keys = append(keys, f.secret())
		}
		for _, k := range keys {
			if !bytes.Equal(k, keys[0]) {
				t.Error("it is another key")
			}
		}
		f := newFleet(testOptions("a"), b.node("a"), "", nil, nil)
		f.codec.keys, _ = seal.New([][]byte{one})
		if err := f.meet(); !errors.Is(err, seal.ErrKey) {
			t.Errorf("with the old key only: %v", err)
		}
	})
}

// Lanes of a destination are shared by the nodes that serve it.
func TestUnequalDestinations(t *testing.T) {
	inFleet(t, func(s *site) {
		s.nodes[0].Serve([]string{"default", "more"})
		within(t, 20*time.Second, "the node has all lanes of what it serves alone", func() bool {
			n := 0
			for _, lane := range s.nodes[0].delivery.owned() {
				if strings.HasPrefix(lane, "more/") {
					n++
				}
			}
			return n == lanes
		})
		s.nodes[1].Serve([]string{"default", "more"})
		within(t, 20*time.Second, "two share them", func() bool {
			n := 0
			for _, lane := range s.nodes[1].delivery.owned() {
				if strings.HasPrefix(lane, "more/") {
					n++
				}
			}
			return n == lanes/2
		})
		for _, n := range s.nodes[:2] {
			n.Serve([]string{"default"})
		}
		within(t, 20*time.Second, "nobody has them", func() bool {
			for _, n := range s.nodes {
				for _, lane := range n.delivery.owned() {
					if strings.HasPrefix(lane, "more/") {
						return false
					}
				}
			}
			return true
		})
		s.balanced()
	})
}

// unfit is a broker that is not ready while it answers: one stream has no leader.
type unfit struct {
	*memNode
	is *atomic.Bool
}

func (u unfit) Ready() error {
	if u.is.Load() {
		return errNotReady
	}
	return u.memNode.Ready()
}

// A node keeps its session, and its lanes, while some stream is not well.
func TestUnfitStream(t *testing.T) {
	inFleet(t, func(s *site) {
		is := new(atomic.Bool)
		owner := s.owner("default/0")
		owner.crash()
		owner.Fleet = newFleet(testOptions(owner.o.Node), unfit{owner.broker, is}, owner.dir, owner.log, owner.delivery)
		owner.delivery.f = owner.Fleet
		owner.Start()
		owner.Serve([]string{"default"})
		s.balanced()
		session := owner.session.current()
		is.Store(true)
		time.Sleep(time.Minute)
		if now := owner.session.current(); now != session || len(owner.delivery.owned()) == 0 {
			t.Errorf("session %q, then %q; lanes %v", session, now, owner.delivery.owned())
		}
		owner.crash()
	})
}
