package fleet

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/erasure"
	"github.com/intilery/caddy-intilery/forwarder/event"
)

// site is a fleet of three nodes in a bubble.
type site struct {
	t        *testing.T
	b        *memBroker
	to       *delivered
	nodes    []*testNode
	captured map[string]int
}

// inFleet runs a test with three nodes that have shared the lanes.
func inFleet(t *testing.T, test func(s *site)) {
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	synctest.Test(t, func(t *testing.T) {
		s := &site{t: t, b: newMemBroker(), to: &delivered{delay: 20 * time.Millisecond}, captured: make(map[string]int)}
		s.b.setLatency(time.Millisecond)
		for i, name := range []string{"a", "b", "c"} {
			s.nodes = append(s.nodes, join(t, s.b, name, newTestLog(uint64(i+1)), s.to, dirs[i]))
		}
		s.balanced()
		test(s)
	})
}

// balanced waits until all lanes are owned, each by one node.
func (s *site) balanced() {
	s.t.Helper()
	within(s.t, 30*time.Second, "each lane has one owner", func() bool {
		var all []string
		for _, n := range s.nodes {
			all = append(all, n.delivery.owned()...)
		}
		slices.Sort(all)
		return len(all) == lanes && len(slices.Compact(all)) == lanes
	})
}

func (s *site) capture(rounds int) { capture(s.nodes, s.captured, 12, rounds, 20*time.Millisecond) }

// arrived waits until all that was captured has arrived, and returns how often it did.
func (s *site) arrived(limit time.Duration) (repeated, disordered int) {
	s.t.Helper()
	lost := 0
	within(s.t, limit, "all events arrived", func() bool {
		time.Sleep(250 * time.Millisecond)
		lost, repeated, disordered = s.to.summary(s.captured)
		return lost == 0
	})
	return repeated, disordered
}

// owner returns the node that delivers a lane.
func (s *site) owner(lane string) *testNode {
	for _, n := range s.nodes {
		if slices.Contains(n.delivery.owned(), lane) {
			return n
		}
	}
	return nil
}

// rejoin starts a node again that has crashed, on its disk.
func (s *site) rejoin(i int) {
	old := s.nodes[i]
	s.nodes[i] = join(s.t, s.b, old.o.Node, old.log, s.to, old.dir)
}

// A node that is killed loses nothing, and its lanes go to others within its lease.
func TestCrash(t *testing.T) {
	inFleet(t, func(s *site) {
		s.capture(50)
		lane := s.nodes[0].delivery.owned()[0]
		s.nodes[0].crash()
		began := time.Now()
		within(t, time.Minute, "its lane is taken over", func() bool { return s.owner(lane) != nil })
		if took := time.Since(began); took > DefaultLease+500*time.Millisecond {
			t.Errorf("took %v", took)
		}
		for v := range 30 { // what it captures is on its disk until it is back
			if v%3 == 0 && v < 12 {
				id := fmt.Sprintf("visitor-%d", v)
				s.captured[id]++
				s.nodes[0].log.append("default/"+strconv.Itoa(event.Lane(id, "", lanes)), testEvent(id, s.captured[id]))
			}
		}
		s.rejoin(0)
		s.balanced()
		s.capture(50)
		if _, disordered := s.arrived(10 * time.Second); disordered > 0 {
			t.Errorf("%d out of order", disordered)
		}
	})
}

// A node that leaves in order hands over all it has, and gives its lanes back at once.
func TestLeave(t *testing.T) {
	inFleet(t, func(s *site) {
		s.capture(50)
		gone := s.nodes[0]
		lane := gone.delivery.owned()[0]
		began := time.Now()
		gone.leave(t)
		within(t, time.Minute, "its lane is taken over", func() bool { return s.owner(lane) != nil })
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("took %v", took)
		}
		s.nodes = s.nodes[1:]
		s.balanced()
		if repeated, disordered := s.arrived(10 * time.Second); repeated+disordered > 0 {
			t.Errorf("repeated %d, out of order %d", repeated, disordered)
		}
		if st := s.nodes[0].Stats(nil); len(st.Nodes) != 2 || len(st.Lost) != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// An answer, or a request, that is lost at any step costs neither an event nor order,
// and nothing is handed over twice.
func TestAnswerLost(t *testing.T) {
	for _, what := range []fault{answerLost, requestLost} {
		for _, method := range []string{"Publish", "Put", "Delete", "Trim", "TrimPositions"} {
			t.Run(fmt.Sprint(method, what), func(t *testing.T) {
				inFleet(t, func(s *site) {
					met := 0
					for _, n := range s.nodes {
						calls := 0
						n.broker.setFault(func(m, _ string) fault {
							if m == method {
								if calls++; calls%3 == 0 {
									met++
									return what
								}
							}
							return noFault
						})
					}
					s.capture(300)
					repeated, disordered := s.arrived(time.Minute)
					if repeated+disordered > 0 {
						t.Errorf("repeated %d, out of order %d", repeated, disordered)
					}
					if method == "Delete" {
						s.nodes[0].leave(t)
						s.nodes[1].leave(t)
						s.nodes = s.nodes[2:]
						s.balanced()
					} else if method == "TrimPositions" {
						time.Sleep(2 * time.Minute)
					}
					s.b.mu.Lock()
					defer s.b.mu.Unlock()
					if met == 0 && method != "Delete" {
						t.Error("no fault was met")
					}
				})
			})
		}
	}
}

// A cluster that comes back from an older copy gets again what nodes have kept, and
// delivers what was handed over meanwhile.
func TestOlderCopy(t *testing.T) {
	inFleet(t, func(s *site) {
		s.capture(100)
		copied := s.b.snapshot()
		s.capture(100)
		s.arrived(10 * time.Second)
		time.Sleep(time.Second) // cursors are written
		s.b.restore(copied)
		s.capture(100)
		repeated, _ := s.arrived(time.Minute)
		if repeated == 0 {
			t.Error("nothing was handed over again")
		}
		s.balanced()
	})
}

// The same when the node that had handed over the lost part is not there any more:
// the events of others that take its sequences must not be taken for delivered.
func TestOlderCopyOfAnother(t *testing.T) {
	inFleet(t, func(s *site) {
		s.capture(20)
		s.arrived(10 * time.Second)
		time.Sleep(time.Second)
		copied := s.b.snapshot()
		before := s.nodes
		s.nodes = s.nodes[:1]
		s.capture(100) // by one node only
		s.nodes = before
		s.arrived(10 * time.Second)
		time.Sleep(time.Second)
		s.nodes[0].crash()
		s.b.restore(copied)
		s.nodes = s.nodes[1:]
		s.balanced()
		from := maps.Clone(s.captured)
		s.capture(50)
		for id := range s.captured { // what the one has lost may be lost; what came since may not
			if s.captured[id] == from[id] {
				t.Errorf("%s has nothing new", id)
			}
		}
		within(t, time.Minute, "all that came since arrived", func() bool {
			lost, _, _ := s.to.summary(s.captured)
			return lost == 0
		})
	})
}

// While the broker is away, full, or one node is cut off, nodes keep what they have,
// and nothing is lost or out of order.
func TestOutages(t *testing.T) {
	for name, outage := range map[string]struct{ begin, end func(s *site) }{
		"down": {func(s *site) { s.b.down(true) }, func(s *site) { s.b.down(false) }},
		"full": {func(s *site) {
			for n := range lanes {
				s.b.full("default/"+strconv.Itoa(n), true)
			}
		}, func(s *site) {
			for n := range lanes {
				s.b.full("default/"+strconv.Itoa(n), false)
			}
		}},
		"partition": {func(s *site) { s.nodes[1].broker.cut(true) }, func(s *site) { s.nodes[1].broker.cut(false) }},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(s *site) {
				s.capture(20)
				outage.begin(s)
				s.capture(500)
				time.Sleep(time.Minute)
				if name == "partition" {
					if n := s.nodes[1].delivery.owned(); len(n) > 0 {
						t.Errorf("the node that is cut off still has %v", n)
					}
				}
				outage.end(s)
				s.capture(20)
				if _, disordered := s.arrived(time.Minute); disordered > 0 {
					t.Errorf("%d out of order", disordered)
				}
				s.balanced()
			})
		})
	}
}

// What was handed over stays in the node's log for a while, and no longer; a log that
// is crowded lets it go at once.
func TestKeep(t *testing.T) {
	inFleet(t, func(s *site) {
		s.capture(10)
		s.arrived(10 * time.Second)
		pending := func() (n uint64) {
			for _, c := range s.nodes[0].log.Pending() {
				n += c
			}
			return n
		}
		if n := pending(); n != 40 {
			t.Errorf("%d events are kept, want 40", n)
		}
		time.Sleep(s.nodes[0].o.Keep + 3*time.Second)
		if n := pending(); n != 0 {
			t.Errorf("%d events are kept after that", n)
		}
		s.nodes[0].log.mu.Lock()
		s.nodes[0].log.crowded = true
		s.nodes[0].log.mu.Unlock()
		s.capture(10)
		time.Sleep(3 * time.Second)
		if n := pending(); n != 0 {
			t.Errorf("%d events are kept in a crowded log", n)
		}
	})
}

// Streams are cut off behind the cursor, and positions do not pile up.
func TestFleetTrim(t *testing.T) {
	inFleet(t, func(s *site) {
		s.capture(500)
		s.arrived(10 * time.Second)
		time.Sleep(2 * time.Minute)
		s.capture(1) // each lane moves on once more
		time.Sleep(2 * time.Minute)
		s.b.mu.Lock()
		defer s.b.mu.Unlock()
		for lane, st := range s.b.streams {
			if st.events > 10 || len(st.messages) > 20 {
				t.Errorf("%s has %d events and %d messages", lane, st.events, len(st.messages))
			}
		}
	})
}

// A visitor who was erased is not delivered any more by anybody: not what is in streams,
// nor what owners have read, nor what a node has that was away. What is captured
// afterwards is.
func TestFleetErase(t *testing.T) {
	for name, who := range map[string]erasure.Subject{"anonymousId": {AnonymousID: "visitor-1"}, "userId": {UserID: "user-1"}} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(s *site) {
				lane := "default/" + strconv.Itoa(event.Lane("visitor-1", "", lanes))
				s.to.mu.Lock()
				s.to.delay = time.Hour // the receiver does not answer
				s.to.mu.Unlock()
				s.capture(10) // of visitor-1: at node b
				s.nodes[1].crash()
				s.captured["visitor-1"]++
				upto := s.captured["visitor-1"]
				s.nodes[1].log.append(lane, testEvent("visitor-1", upto)) // on its disk
				time.Sleep(2 * DefaultLease)
				if _, err := s.nodes[0].Erase(context.Background(), who, []string{"default"}); err != nil {
					t.Fatal(err)
				}
				s.to.mu.Lock()
				s.to.delay, s.to.events = 0, nil
				s.to.mu.Unlock()
				s.rejoin(1)
				within(t, time.Minute, "the node is back", s.nodes[1].mayMove)
				s.nodes[1].log.append(lane, testEvent("visitor-1", upto+1)) // is new
				arrived := func(n int) bool {
					s.to.mu.Lock()
					defer s.to.mu.Unlock()
					return slices.Contains(s.to.events, fmt.Sprintf("visitor-1/%d", n))
				}
				within(t, 2*time.Hour, "the new one arrived", func() bool { return arrived(upto + 1) })
				for n := 1; n <= upto; n++ {
					if arrived(n) {
						t.Errorf("event %d was delivered", n)
					}
				}
				// A restart does not apply it again to what came since.
				s.nodes[1].crash()
				s.nodes[1].log.append(lane, testEvent("visitor-1", upto+2))
				s.rejoin(1)
				within(t, time.Minute, "that one too", func() bool { return arrived(upto + 2) })
			})
		})
	}
}

// A pause that one node has found holds for all; the one with the lowest lane leads;
// and it ends for all.
func TestFleetPause(t *testing.T) {
	inFleet(t, func(s *site) {
		s.nodes[0].Pause("default", &Pause{Reason: "misconfigured"})
		paused := func() (n, leaders int) {
			for _, node := range s.nodes {
				node.delivery.mu.Lock()
				if p := node.delivery.pause["default"]; p != nil && p.Reason == "misconfigured" && p.Node == "a" {
					n++
					if node.delivery.leads["default"] {
						leaders++
					}
				}
				node.delivery.mu.Unlock()
			}
			return n, leaders
		}
		within(t, time.Second, "all are paused, and one leads", func() bool {
			n, leaders := paused()
			return n == 3 && leaders == 1
		})
		if leader := s.owner("default/0"); !leader.delivery.leads["default"] {
			t.Error("the leader has not the lowest lane")
		}
		i := slices.Index(s.nodes, s.owner("default/0"))
		s.nodes[i].crash()
		s.nodes = slices.Delete(s.nodes, i, i+1)
		s.balanced()
		within(t, time.Second, "another one leads", func() bool {
			n, leaders := paused()
			return n == 2 && leaders == 1
		})
		s.nodes[0].Pause("default", nil)
		within(t, time.Second, "it is over", func() bool {
			n, _ := paused()
			return n == 0
		})
	})
}

// Any faults at any time: nothing is lost, and first deliveries of a visitor are in
// order.
func TestAnyFaults(t *testing.T) {
	for seed := range seeds() {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inFleet(t, func(s *site) {
				r := rand.New(rand.NewPCG(seed, 1))
				chance := rand.New(rand.NewPCG(seed, 2)) // used under the broker's lock
				for _, n := range s.nodes {
					n.broker.setFault(func(string, string) fault {
						switch chance.IntN(50) {
						case 0:
							return answerLost
						case 1:
							return requestLost
						}
						return noFault
					})
				}
				for range 12 {
					s.capture(20)
					switch i := r.IntN(len(s.nodes)); r.IntN(5) {
					case 0:
						s.nodes[i].crash()
						s.capture(r.IntN(200))
						s.rejoin(i)
					case 1:
						s.nodes[i].broker.cut(true)
						s.capture(r.IntN(600))
						s.nodes[i].broker.cut(false)
					case 2:
						s.b.down(true)
						s.capture(r.IntN(400))
						s.b.down(false)
					case 3:
						s.b.full("default/"+strconv.Itoa(i), true)
						s.capture(r.IntN(100))
						s.b.full("default/"+strconv.Itoa(i), false)
					}
				}
				repeated, disordered := s.arrived(2 * time.Minute)
				if disordered > 0 {
					t.Errorf("%d out of order", disordered)
				}
				t.Logf("%d of %d repeated", repeated, total(s.captured))
				s.balanced()
			})
		})
	}
}

// seeds is how many runs TestAnyFaults makes: INTILERY_FLEET_SEEDS, by default a few.
func seeds() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("INTILERY_FLEET_SEEDS"), 10, 64); err == nil {
		return n
	}
	return 4
}
