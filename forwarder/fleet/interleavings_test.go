package fleet

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/erasure"
	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// alone runs a test with one node that has all lanes.
func alone(t *testing.T, test func(t *testing.T, b *memBroker, n *testNode, to *delivered)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newMemBroker()
		b.setLatency(time.Millisecond)
		to := &delivered{}
		n := join(t, b, "a", newTestLog(1), to, dir)
		within(t, 10*time.Second, "it has all lanes", func() bool { return len(n.delivery.owned()) == lanes })
		test(t, b, n, to)
	})
}

// some has a node capture events of visitor-0.
func some(n *testNode, captured map[string]int, events int) {
	capture([]*testNode{n}, captured, 1, events, 0)
}

var laneOfOne = "default/" + strconv.Itoa(event.Lane("visitor-0", "", lanes))

func (n *testNode) eraseOne(t *testing.T) {
	t.Helper()
	if _, err := n.Erase(context.Background(), erasure.Subject{AnonymousID: "visitor-0"}, []string{"default"}); err != nil {
		t.Fatal(err)
	}
}

// A batch whose answer was lost counts as handed over, and leaves the log, also when
// nothing follows it.
func TestAnswerLostThenQuiet(t *testing.T) {
	for name, before := range map[string]int{"the first batch": 0, "a later one": 3} {
		t.Run(name, func(t *testing.T) {
			alone(t, func(t *testing.T, _ *memBroker, n *testNode, to *delivered) {
				captured := make(map[string]int)
				some(n, captured, before)
				time.Sleep(5 * time.Second)
				once := false
				n.broker.setFault(func(method, _ string) fault {
					if method == "Publish" && !once {
						once = true
						return answerLost
					}
					return noFault
				})
				some(n, captured, 3)
				time.Sleep(10 * time.Minute)
				s := n.Stats(n.log.Pending())
				if all := before + 3; to.count() != all || int(s.HandedOver) != all || s.TotalBacklog() != 0 || s.TotalKept() != 0 {
					t.Errorf("of %d: delivered %d, handed over %d, backlog %d, kept %d", all, to.count(), s.HandedOver, s.TotalBacklog(), s.TotalKept())
				}
				n.leave(t)
			})
		})
	}
}

// A disk that was set back to an older copy, of a process that had stopped in order,
// gives positions out again. What is captured at them is handed over.
func TestOlderDisk(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newMemBroker()
		to := &delivered{}
		captured := make(map[string]int)
		n := join(t, b, "a", newTestLog(1), to, dir)
		time.Sleep(5 * time.Second)
		some(n, captured, 10)
		time.Sleep(5 * time.Second)
		n.leave(t)
		older := newTestLog(1)
		older.append(laneOfOne, testEvent("visitor-0", 1))
		n = join(t, b, "a", older, to, dir)
		time.Sleep(5 * time.Second)
		some(n, captured, 5)
		time.Sleep(5 * time.Minute)
		if lost, _, _ := to.summary(captured); lost > 0 {
			t.Errorf("%d lost", lost)
		}
	})
}

// deadlines fails a test when a mover asks without one: a leader that dies does not
// answer.
type deadlines struct {
	broker
	t *testing.T
}

func (d deadlines) Position(ctx context.Context, lane string) ([]byte, uint64, error) {
	if _, ok := ctx.Deadline(); !ok {
		d.t.Error("Position without a deadline")
	}
	return d.broker.Position(ctx, lane)
}

func (d deadlines) TrimPositions(ctx context.Context, lane string, before uint64) error {
	if _, ok := ctx.Deadline(); !ok {
		d.t.Error("TrimPositions without a deadline")
	}
	return d.broker.TrimPositions(ctx, lane, before)
}

func TestMoversDoNotWaitForEver(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newMemBroker()
		n := joinOver(t, deadlines{b.node("a"), t}, b.node("a"), "a", newTestLog(1), new(delivered), dir)
		time.Sleep(5 * time.Second)
		some(n, make(map[string]int), 1)
		time.Sleep(2 * time.Minute)
		if b.called("TrimPositions") == 0 {
			t.Error("nothing was confirmed")
		}
	})
}

// Erasures that are told anew at a new connection do not forget what was applied: not
// those that come late, nor those that a bucket which was set back has lost.
func TestErasuresToldAnew(t *testing.T) {
	t.Run("late", func(t *testing.T) {
		alone(t, func(t *testing.T, b *memBroker, n *testNode, to *delivered) {
			b.full(laneOfOne, true) // the event waits in the node's log
			some(n, make(map[string]int), 1)
			time.Sleep(3 * time.Second)
			n.eraseOne(t)
			n.erased.begin()
			n.applyErasures() // one that has waited for its turn until then
			n.broker.cut(true)
			time.Sleep(time.Second)
			n.broker.cut(false)
			time.Sleep(20 * time.Second)
			b.full(laneOfOne, false)
			time.Sleep(10 * time.Second)
			if to.count() > 0 {
				t.Errorf("%d events of an erased visitor were delivered", to.count())
			}
		})
	})
	t.Run("bucket set back", func(t *testing.T) {
		alone(t, func(t *testing.T, b *memBroker, n *testNode, to *delivered) {
			to.mu.Lock()
			to.delay = time.Hour // nothing is delivered yet
			to.mu.Unlock()
			copied := b.snapshot()
			some(n, make(map[string]int), 2)
			time.Sleep(2 * time.Second)
			n.eraseOne(t)
			b.restore(copied)
			to.mu.Lock()
			to.delay = 0
			to.mu.Unlock()
			time.Sleep(2 * time.Hour)
			if to.count() > 0 {
				t.Errorf("%d events of an erased visitor were delivered", to.count())
			}
			b.mu.Lock()
			next := b.revision + 1
			b.mu.Unlock()
			if n.view.applied(next) {
				t.Error("an erasure that nobody has heard of counts as applied")
			}
		})
	})
}

// An erased event that cannot be handed over for a while is counted once.
func TestErasedIsCountedOnce(t *testing.T) {
	alone(t, func(t *testing.T, b *memBroker, n *testNode, _ *delivered) {
		b.full(laneOfOne, true)
		some(n, make(map[string]int), 1)
		time.Sleep(3 * time.Second)
		n.eraseOne(t)
		time.Sleep(time.Minute)
		b.full(laneOfOne, false)
		time.Sleep(time.Minute)
		if s := n.Stats(n.log.Pending()); s.Erased[event.Track.Class()] != 1 {
			t.Errorf("erased by class %v", s.Erased)
		}
	})
}

// flaky is a broker that does not tell positions.
type flaky struct {
	broker
	is *atomic.Bool
}

func (d flaky) Position(ctx context.Context, lane string) ([]byte, uint64, error) {
	if d.is.Load() {
		return nil, 0, errUnknown
	}
	return d.broker.Position(ctx, lane)
}

// A lane that could not be located, and then has nothing to hand over, is well again.
func TestIdleLaneIsWell(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		is := new(atomic.Bool)
		is.Store(true)
		n := &testNode{log: newTestLog(1), broker: newMemBroker().node("a"), dir: dir}
		n.delivery = &testDelivery{to: new(delivered), lanes: make(map[string]*testSender), pause: make(map[string]*Pause), leads: make(map[string]bool)}
		n.Fleet = newFleet(testOptions("a"), flaky{n.broker, is}, dir, n.log, n.delivery)
		n.delivery.f = n.Fleet
		t.Cleanup(n.crash)
		lane := n.log.lane("default/0")
		n.Start()
		n.Serve([]string{"default"})
		n.Move("default/0", lane)
		time.Sleep(10 * time.Second)
		if s := n.Stats(nil); s.Reason == "" {
			t.Error("nothing is told")
		}
		is.Store(false)
		time.Sleep(time.Minute)
		if s := n.Stats(nil); s.Reason != "" {
			t.Errorf("still: %s", s.Reason)
		}
	})
}

// late is a broker to which one batch comes late, after its sender has given it up.
type late struct {
	broker
	after time.Duration
	once  *atomic.Bool
}

func (l late) Publish(ctx context.Context, lane string, events []message, position []byte, last uint64) (uint64, error) {
	if len(events) > 0 && l.once.CompareAndSwap(false, true) {
		time.AfterFunc(l.after, func() { _, _ = l.broker.Publish(context.Background(), lane, events, position, last) })
		<-ctx.Done()
		return 0, errUnknown
	}
	return l.broker.Publish(ctx, lane, events, position, last)
}

// Position is slow from then on.
func (l late) Position(ctx context.Context, lane string) ([]byte, uint64, error) {
	if l.once.Load() && !wait(ctx, time.Second) {
		return nil, 0, errUnknown
	}
	return l.broker.Position(ctx, lane)
}

// A batch that is on its way while its visitor is erased does not arrive after the
// erasure has returned.
func TestBatchOnItsWay(t *testing.T) {
	for _, after := range []time.Duration{time.Second, requestWait + time.Second/2, 2 * requestWait, time.Minute} {
		t.Run(after.String(), func(t *testing.T) {
			dirs := []string{t.TempDir(), t.TempDir()}
			synctest.Test(t, func(t *testing.T) {
				b := newMemBroker()
				to := new(delivered)
				a := joinOver(t, late{b.node("a"), after, new(atomic.Bool)}, b.node("a"), "a", newTestLog(1), to, dirs[0])
				m := join(t, b, "m", newTestLog(2), to, dirs[1])
				time.Sleep(10 * time.Second)
				some(a, make(map[string]int), 2)
				time.Sleep(100 * time.Millisecond)
				m.eraseOne(t)
				before := to.count()
				time.Sleep(5 * time.Minute)
				if n := to.count() - before; n > 0 {
					t.Errorf("%d events were delivered after the erasure", n)
				}
			})
		})
	}
}

// Interface guard
var _ queue.Source = (*logLane)(nil)
