package fleet

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/event"
)

// stats returns what a node says of itself and the fleet.
func (n *testNode) stats() Stats { return n.Stats(n.log.Pending()) }

// streamed is the sum over all lanes' streams, if a node knows of all.
func streamed(s Stats) (n int, all bool) {
	for _, events := range s.Streams {
		n += int(events)
	}
	return n, len(s.Streams) == lanes
}

// setDelay has the receiver take so long from now on.
func (d *delivered) setDelay(delay time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.delay = delay
}

// Every node knows how the fleet is doing, and its account comes out even.
func TestStats(t *testing.T) {
	inFleet(t, func(s *site) {
		s.capture(50)
		s.arrived(10 * time.Second)
		for _, n := range s.nodes {
			within(t, 30*time.Second, "the streams are known to be empty at "+n.o.Node, func() bool {
				events, all := streamed(n.stats())
				return all && events == 0
			})
		}
		var handed, kept, owned int
		for _, n := range s.nodes {
			st := n.stats()
			handed += int(st.HandedOver)
			kept += int(st.TotalKept())
			owned += st.Owned
			if !st.Session || st.Reason != "" || !st.Apart.IsZero() || st.TotalBacklog() != 0 || st.Lag(time.Now()) != 0 {
				t.Errorf("%s is not well: %+v", n.o.Node, st)
			}
			if !slices.Equal(st.Nodes, []string{"a", "b", "c"}) || len(st.Lost) != 0 || len(st.Owners) != lanes {
				t.Errorf("%s sees nodes %v, lost %v, owners %v", n.o.Node, st.Nodes, st.Lost, st.Owners)
			}
			if a := st.Destinations["default"]; a != st.Account {
				t.Errorf("of its one destination %+v, of all %+v", a, st.Account)
			}
		}
		if all := total(s.captured); handed != all || kept != all || owned != lanes {
			t.Errorf("handed over %d, kept %d of %d; %d lanes", handed, kept, all, owned)
		}

		s.to.setDelay(time.Hour)
		s.nodes[0].Pause("default", &Pause{Reason: "throttled", Until: time.Now().Add(time.Hour)})
		s.capture(10)
		for _, n := range s.nodes {
			within(t, 30*time.Second, "what waits in the streams is known at "+n.o.Node, func() bool {
				events, _ := streamed(n.stats())
				return events == 10*12
			})
			if p := n.stats().Pauses["default"]; p.Node != "a" || p.Reason != "throttled" {
				t.Errorf("%s sees the pause %+v", n.o.Node, p)
			}
		}
	})
}

// What a node could not hand over is known when it is gone, and until it is back.
func TestStatsLostNode(t *testing.T) {
	inFleet(t, func(s *site) {
		for i := range lanes {
			s.b.full("default/"+strconv.Itoa(i), true)
		}
		s.capture(10)
		st := s.nodes[2].stats()
		if st.TotalBacklog() != 40 || st.Lag(time.Now()) < 100*time.Millisecond || st.Reason == "" || !st.Apart.IsZero() {
			t.Errorf("streams are full: %+v", st)
		}
		within(t, 10*time.Second, "all know it", func() bool {
			return slices.ContainsFunc(s.nodes[0].stats().Members, func(m Member) bool { return m.Node == "c" && m.Backlog == 40 })
		})
		s.nodes[2].crash()
		time.Sleep(DefaultLease)
		if st := s.nodes[0].stats(); len(st.Lost) != 0 {
			t.Errorf("lost at once: %+v", st.Lost)
		}
		within(t, 10*time.Second, "it is lost", func() bool {
			lost := s.nodes[0].stats().Lost
			return len(lost) == 1 && lost[0].Node == "c" && lost[0].Backlog == 40 && time.Since(lost[0].Gone) >= tellAfter
		})
		for i := range lanes {
			s.b.full("default/"+strconv.Itoa(i), false)
		}
		s.rejoin(2)
		within(t, 10*time.Second, "it is back", func() bool {
			return len(s.nodes[0].stats().Lost) == 0 && s.nodes[2].stats().TotalBacklog() == 0
		})
	})
}

// A node that is cut off says so, for how long what it captures has waited, and since
// when; also when it has never reached a broker.
func TestStatsApart(t *testing.T) {
	inFleet(t, func(s *site) {
		c := s.nodes[2]
		c.broker.cut(true)
		began := time.Now()
		time.Sleep(DefaultLease)
		if st := c.stats(); !st.Apart.IsZero() {
			t.Errorf("apart at once, since %v", st.Apart)
		}
		time.Sleep(time.Minute - DefaultLease)
		capture(s.nodes[2:], s.captured, 30, 1, time.Second)
		check := func(captured time.Time) {
			t.Helper()
			st := c.stats()
			if st.Session || st.Reason == "" || st.Apart.Before(began) || st.Apart.After(began.Add(5*time.Second)) {
				t.Errorf("session %v, %q, apart since %v, not %v", st.Session, st.Reason, st.Apart, began)
			}
			if waited := time.Since(captured); st.TotalBacklog() != 30 || st.Lag(time.Now()).Round(time.Second) != waited.Round(time.Second) {
				t.Errorf("%d events, the oldest for %v instead of %v", st.TotalBacklog(), st.Lag(time.Now()), waited)
			}
		}
		captured := began.Add(time.Minute)
		check(captured)
		c.crash()
		c.broker.cut(true)
		began = time.Now()
		s.rejoin(2)
		c = s.nodes[2]
		time.Sleep(time.Minute)
		check(captured)
		c.broker.cut(false)
		within(t, 30*time.Second, "all is well", func() bool {
			st := c.stats()
			return st.Session && st.Apart.IsZero() && st.TotalBacklog() == 0 && st.Lag(time.Now()) == 0
		})
	})
}

// Events that are erased on their way, damaged or handed over twice are in the account,
// and stay there when the lane is not moved any more.
func TestStatsAccount(t *testing.T) {
	inFleet(t, func(s *site) {
		a := s.nodes[0]
		lane := "default/" + strconv.Itoa(event.Lane("visitor-0", "", lanes))
		a.log.append(lane, []byte("no event"))
		s.capture(10)
		within(t, 10*time.Second, "all is handed over", func() bool { return a.stats().TotalBacklog() == 0 })
		before := s.b.snapshot()
		s.capture(10)
		within(t, 10*time.Second, "more is handed over", func() bool { return a.stats().TotalBacklog() == 0 })
		s.b.restore(before)
		s.capture(1)
		within(t, time.Minute, "all is handed over again", func() bool {
			st := a.stats()
			return st.TakenBack == 40 && st.TotalBacklog() == 0
		})
		<-a.Halt(lane)
		st := a.stats()
		if st.Dropped != 1 {
			t.Errorf("%d dropped", st.Dropped)
		}
		captured := uint64(1)
		for v := 0; v < 30; v += 3 {
			captured += uint64(s.captured["visitor-"+strconv.Itoa(v)])
		}
		if out := st.HandedOver + st.Dropped; captured+st.TakenBack != out {
			t.Errorf("%d captured and %d taken back; %d accounted for: %+v", captured, st.TakenBack, out, st.Account)
		}
		a.leave(t)
	})
}
