package fleet

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// testLog is a node's log in memory. It survives the fleet's node, as a disk does.
type testLog struct {
	incarnation uint64

	mu      sync.Mutex
	lanes   map[string]*logLane
	crowded bool
}

type logLane struct {
	log   *testLog
	recs  []queue.Record
	last  uint64
	acked queue.Position
	call  func()
}

func newTestLog(incarnation uint64) *testLog {
	return &testLog{incarnation: incarnation, lanes: make(map[string]*logLane)}
}

func (l *testLog) lane(name string) *logLane {
	if l.lanes[name] == nil {
		l.lanes[name] = &logLane{log: l, acked: queue.At(l.incarnation, 0)}
	}
	return l.lanes[name]
}

func (l *testLog) Opened() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func (l *testLog) Retire() {}

func (l *testLog) Ends() map[string]queue.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	ends := make(map[string]queue.Position)
	for name, lane := range l.lanes {
		ends[name] = queue.At(l.incarnation, lane.last)
	}
	return ends
}

func (l *testLog) Incarnation() uint64 { return l.incarnation }

func (l *testLog) Crowded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.crowded
}

func (l *testLog) LoadErasures() error { return nil }

func (l *testLog) Erased(string, queue.Position, func() (string, string)) bool { return false }

func (l *testLog) Erase(context.Context, func(string, string) bool) (map[string]queue.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	upto := make(map[string]queue.Position)
	for name, lane := range l.lanes {
		upto[name] = queue.At(l.incarnation, lane.last)
	}
	return upto, nil
}

func (l *testLog) Pending() map[string]uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	pending := make(map[string]uint64)
	for name, lane := range l.lanes {
		pending[name] = uint64(len(lane.recs))
	}
	return pending
}

// append adds an event of a visitor.
func (l *testLog) append(lane string, rec []byte) {
	l.mu.Lock()
	ln := l.lane(lane)
	ln.last += 3
	ln.recs = append(ln.recs, queue.Record{Position: queue.At(l.incarnation, ln.last), Class: event.Track.Class(), Data: rec})
	call := ln.call
	ln.call = nil
	l.mu.Unlock()
	if call != nil {
		call()
	}
}

func (ln *logLane) Read(after queue.Position, maxBytes int) (recs []queue.Record, err error) {
	ln.log.mu.Lock()
	defer ln.log.mu.Unlock()
	for _, r := range ln.recs {
		if r.Position.Compare(after) <= 0 {
			continue
		}
		if maxBytes -= len(r.Data); maxBytes < 0 && len(recs) > 0 {
			break
		}
		recs = append(recs, r)
	}
	return recs, nil
}

func (ln *logLane) Acknowledged() queue.Position {
	ln.log.mu.Lock()
	defer ln.log.mu.Unlock()
	return ln.acked
}

func (ln *logLane) Acknowledge(upto queue.Position) (from queue.Position) {
	ln.log.mu.Lock()
	defer ln.log.mu.Unlock()
	from = ln.acked
	if upto.Compare(from) > 0 {
		ln.acked = upto
		ln.recs = slices.DeleteFunc(ln.recs, func(r queue.Record) bool { return r.Position.Compare(upto) <= 0 })
	}
	return from
}

func (ln *logLane) Await(after queue.Position, _ int, f func()) {
	ln.log.mu.Lock()
	now := ln.last > after.Offset(ln.log.incarnation)
	if !now {
		ln.call = f
	}
	ln.log.mu.Unlock()
	if now {
		f()
	}
}

// delivered is what arrived at the receiver, of all nodes.
type delivered struct {
	mu     sync.Mutex
	events []string // "visitor/number", in the order of arrival
	delay  time.Duration

	rate      float64 // requests a second that all nodes send; 0: any number
	burst     int
	allowed   *rate.Limiter // requests that are taken; nil: any number
	requests  int
	throttled int
}

// takes is how long a request takes.
func (d *delivered) takes() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.delay
}

// request counts a request, and returns for how long there should be no more; 0 when
// it was taken.
func (d *delivered) request() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.requests++
	if d.allowed == nil || d.allowed.Allow() {
		return 0
	}
	d.throttled++
	return 2 * time.Second
}

func (d *delivered) add(recs []queue.Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range recs {
		id, _ := event.Stored(r.Data).IDs()
		d.events = append(d.events, id+"/"+event.Stored(r.Data).MessageID())
	}
}

func (d *delivered) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.events)
}

// summary tells how often visitors' events arrived: of each visitor, numbers from 1 on
// were captured.
func (d *delivered) summary(captured map[string]int) (lost, repeated, disordered int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	seen, last := make(map[string]int), make(map[string]int)
	for _, e := range d.events {
		visitor, number, _ := strings.Cut(e, "/")
		n, _ := strconv.Atoi(number)
		if seen[e]++; seen[e] > 1 {
			repeated++
			continue
		}
		if n < last[visitor] {
			disordered++
		}
		last[visitor] = n
	}
	for visitor, n := range captured {
		for i := 1; i <= n; i++ {
			if seen[visitor+"/"+strconv.Itoa(i)] == 0 {
				lost++
			}
		}
	}
	return lost, repeated, disordered
}

// testDelivery sends a node's lanes to a receiver.
type testDelivery struct {
	to *delivered
	f  *Fleet // for its erasures

	mu    sync.Mutex
	lanes map[string]*testSender
	pause map[string]*Pause
	leads map[string]bool
}

type testSender struct {
	ctx  context.Context
	stop context.CancelFunc
	idle chan struct{}
}

func (d *testDelivery) Own(lane string, src queue.Source) {
	destination, _, _ := strings.Cut(lane, "/")
	limit := rate.NewLimiter(rate.Inf, 1)
	if d.to.rate > 0 {
		limit = rate.NewLimiter(rate.Limit(d.to.rate/lanes), max(1, d.to.burst/lanes)) // as the forwarder does
	}
	s := &testSender{idle: make(chan struct{})}
	s.ctx, s.stop = context.WithCancel(context.Background())
	d.mu.Lock()
	d.lanes[lane] = s
	d.mu.Unlock()
	go func() {
		defer close(s.idle)
		for s.ctx.Err() == nil {
			news := make(chan struct{}, 1)
			at := src.Acknowledged()
			src.Await(at, 1, func() { nudge(news) })
			select {
			case <-news:
			case <-s.ctx.Done():
				return
			}
			recs, err := src.Read(at, 10_000)
			if err != nil || len(recs) == 0 {
				wait(s.ctx, 100*time.Millisecond)
				continue
			}
			if limit.Wait(s.ctx) != nil || !d.unpaused(s.ctx, destination) {
				return
			}
			if !wait(s.ctx, d.to.takes()) {
				return
			}
			if retry := d.to.request(); retry > 0 {
				d.f.Pause(destination, &Pause{Reason: "throttled", Until: time.Now().Add(retry)})
				wait(s.ctx, retry)
				continue
			}
			last := recs[len(recs)-1].Position
			recs = slices.DeleteFunc(recs, func(r queue.Record) bool {
				return d.f.Erasures().Cover(lane, r.Position, event.Stored(r.Data).IDs)
			})
			d.to.add(recs)
			src.Acknowledge(last)
		}
	}()
}

// unpaused waits while another node's pause holds.
func (d *testDelivery) unpaused(ctx context.Context, destination string) bool {
	for {
		d.mu.Lock()
		p := d.pause[destination]
		d.mu.Unlock()
		if p == nil || p.Reason != "throttled" || !time.Now().Before(p.Until) {
			return ctx.Err() == nil
		}
		if !wait(ctx, time.Until(p.Until)) {
			return false
		}
	}
}

func (d *testDelivery) Disown(lane string) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.lanes[lane]
	delete(d.lanes, lane)
	if s == nil { // the node has crashed meanwhile
		idle := make(chan struct{})
		close(idle)
		return idle
	}
	s.stop()
	return s.idle
}

func (d *testDelivery) Paused(destination string, p *Pause, leader bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pause[destination], d.leads[destination] = p, leader
}

func (d *testDelivery) owned() (lanes []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for lane := range d.lanes {
		lanes = append(lanes, lane)
	}
	slices.Sort(lanes)
	return lanes
}

// testNode is a node of a fleet over a broker in memory.
type testNode struct {
	*Fleet
	log      *testLog
	delivery *testDelivery
	broker   *memNode
	dir      string
}

func testOptions(node string) Options {
	o, err := Options{Servers: []string{"nats://127.0.0.1:1"}, Node: node, MaxAge: 72 * time.Hour, Keep: time.Minute}.WithDefaults()
	if err != nil {
		panic(err)
	}
	return o
}

// join starts a node; it stops with the test unless it has before.
func join(t *testing.T, b *memBroker, name string, log *testLog, to *delivered, dir string) *testNode {
	t.Helper()
	return joinBy(t, b.node(name), name, log, to, dir)
}

// joinBy is join over another one's connection.
func joinBy(t *testing.T, broker *memNode, name string, log *testLog, to *delivered, dir string) *testNode {
	t.Helper()
	return joinOver(t, broker, broker, name, log, to, dir)
}

// joinOver is joinBy with something between the node and its connection.
func joinOver(t *testing.T, over broker, broker *memNode, name string, log *testLog, to *delivered, dir string) *testNode {
	t.Helper()
	n := &testNode{log: log, broker: broker, dir: dir}
	n.delivery = &testDelivery{to: to, lanes: make(map[string]*testSender), pause: make(map[string]*Pause), leads: make(map[string]bool)}
	o := testOptions(name)
	o.Logger = slog.New(slog.NewTextHandler(t.Output(), nil)).With("node", name)
	t.Cleanup(n.crash)
	n.Fleet = newFleet(o, over, dir, log, n.delivery)
	n.delivery.f = n.Fleet
	n.Start()
	n.Serve([]string{"default"})
	for i := range lanes {
		lane := "default/" + strconv.Itoa(i)
		log.mu.Lock()
		ln := log.lane(lane)
		log.mu.Unlock()
		n.Move(lane, ln)
	}
	return n
}

// crash ends a node as kill -9 does: nothing is said to anybody.
func (n *testNode) crash() {
	if n.ctx.Err() != nil {
		return
	}
	n.broker.cut(true)
	n.stop()
	n.delivery.mu.Lock()
	senders := n.delivery.lanes
	n.delivery.lanes = make(map[string]*testSender)
	for _, s := range senders {
		s.stop()
	}
	n.delivery.mu.Unlock()
	n.work.Wait()
	for _, s := range senders {
		<-s.idle
	}
	if n.session.timer != nil {
		n.session.timer.Stop()
	}
	for _, m := range n.allMovers() {
		<-m.stop()
	}
	n.log.mu.Lock()
	for _, ln := range n.log.lanes {
		ln.call = nil
	}
	n.log.mu.Unlock()
	n.broker.cut(false)
}

func (n *testNode) leave(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := n.Close(ctx); err != nil {
		t.Errorf("%s: %v", n.o.Node, err)
	}
	for _, m := range n.allMovers() {
		<-m.stop()
	}
}

// testEvent is a stored event of a visitor.
func testEvent(visitor string, number int) []byte {
	e := event.Event{Type: event.Track, Name: "e", AnonymousID: visitor, UserID: strings.Replace(visitor, "visitor", "user", 1), MessageID: strconv.Itoa(number), Timestamp: time.Now()}
	rec, err := e.Store("")
	if err != nil {
		panic(err)
	}
	return rec
}

// capture has nodes capture events of visitors, each visitor at one node, one event a
// step.
func capture(nodes []*testNode, captured map[string]int, visitors, rounds int, step time.Duration) {
	for range rounds {
		for v := range visitors {
			id := fmt.Sprintf("visitor-%d", v)
			captured[id]++
			n := nodes[v%len(nodes)]
			n.log.append("default/"+strconv.Itoa(event.Lane(id, "", lanes)), testEvent(id, captured[id]))
		}
		time.Sleep(step)
	}
}

// within polls a condition.
func within(t *testing.T, limit time.Duration, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

func total(captured map[string]int) (n int) {
	for _, c := range captured {
		n += c
	}
	return n
}

// Three nodes share the lanes, and hand over and deliver what they capture: once, and
// in order.
func TestFleet(t *testing.T) {
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	synctest.Test(t, func(t *testing.T) {
		b := newMemBroker()
		b.setLatency(time.Millisecond)
		to := &delivered{delay: 20 * time.Millisecond}
		var nodes []*testNode
		for i, name := range []string{"a", "b", "c"} {
			nodes = append(nodes, join(t, b, name, newTestLog(uint64(i+1)), to, dirs[i]))
		}
		captured := make(map[string]int)
		capture(nodes, captured, 50, 100, 20*time.Millisecond)
		within(t, 10*time.Second, "all delivered", func() bool { return to.count() >= total(captured) })
		var sizes []int
		for _, n := range nodes {
			sizes = append(sizes, len(n.delivery.owned()))
		}
		slices.Sort(sizes)
		if !slices.Equal(sizes, []int{2, 3, 3}) {
			t.Errorf("lanes of the nodes: %v", sizes)
		}
		if lost, repeated, disordered := to.summary(captured); lost+repeated+disordered > 0 {
			t.Errorf("lost %d, repeated %d, out of order %d", lost, repeated, disordered)
		}
		for _, n := range nodes {
			n.leave(t)
		}
		if n := b.called("Publish"); n < 8 {
			t.Errorf("%d batches", n)
		}
	})
}
