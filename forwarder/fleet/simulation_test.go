package fleet

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/intilery/caddy-intilery/forwarder/event"
)

// Fifty nodes send to one account that takes 100 requests a second, while nodes crash
// and are cut off and the cluster stops and loses answers: nothing is lost, visitors
// stay in order, and the account is never asked for more than it allows.
func TestFiftyNodes(t *testing.T) {
	const nodes, visitors, seconds = 50, 400, 120
	dirs := make([]string, nodes)
	for i := range dirs {
		dirs[i] = t.TempDir()
	}
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(50, 1))
		b := newMemBroker()
		b.setLatency(2 * time.Millisecond)
		to := &delivered{delay: 50 * time.Millisecond, rate: 80, burst: 50, allowed: rate.NewLimiter(100, 100)}
		s := &site{t: t, b: b, to: to, captured: make(map[string]int)}
		chance := rand.New(rand.NewPCG(50, 2)) // used under the broker's lock
		start := func(i int, log *testLog) *testNode {
			n := join(t, b, fmt.Sprintf("node-%d", i), log, to, dirs[i])
			n.broker.setFault(func(string, string) fault {
				if chance.IntN(200) == 0 {
					return answerLost
				}
				return noFault
			})
			return n
		}
		for i := range nodes {
			s.nodes = append(s.nodes, start(i, newTestLog(uint64(i+1))))
		}
		s.balanced()
		back := make(map[int]time.Time) // nodes that are dead, until when
		cut := make(map[int]time.Time)
		for range seconds * 10 {
			for range 20 { // 200 events a second
				v := r.IntN(visitors)
				id := fmt.Sprintf("visitor-%d", v)
				s.captured[id]++
				s.nodes[v%nodes].log.append("default/"+strconv.Itoa(event.Lane(id, "", lanes)), testEvent(id, s.captured[id]))
			}
			time.Sleep(100 * time.Millisecond)
			switch i := r.IntN(nodes); r.IntN(40) {
			case 0:
				if back[i].IsZero() && cut[i].IsZero() {
					s.nodes[i].crash()
					back[i] = time.Now().Add(time.Duration(r.IntN(10_000)) * time.Millisecond)
				}
			case 1:
				if back[i].IsZero() && cut[i].IsZero() {
					s.nodes[i].broker.cut(true)
					cut[i] = time.Now().Add(time.Duration(r.IntN(10_000)) * time.Millisecond)
				}
			case 2:
				if r.IntN(5) == 0 {
					b.down(true)
					time.Sleep(time.Duration(r.IntN(3000)) * time.Millisecond)
					b.down(false)
				}
			}
			for i, at := range back {
				if time.Now().After(at) {
					s.nodes[i] = start(i, s.nodes[i].log)
					delete(back, i)
				}
			}
			for i, at := range cut {
				if time.Now().After(at) {
					s.nodes[i].broker.cut(false)
					delete(cut, i)
				}
			}
		}
		for i := range back {
			s.nodes[i] = start(i, s.nodes[i].log)
		}
		for i := range cut {
			s.nodes[i].broker.cut(false)
		}
		repeated, disordered := s.arrived(time.Minute)
		s.balanced()
		if disordered > 0 {
			t.Errorf("%d out of order", disordered)
		}
		if to.throttled > 0 {
			t.Errorf("%d of %d requests were throttled", to.throttled, to.requests)
		}
		t.Logf("%d events, %d repeated, %d requests", total(s.captured), repeated, to.requests)
	})
}
