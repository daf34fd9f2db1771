//go:build linux

package fleet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/intilery/caddy-intilery/fleettest/harness"
)

const lanes = 8

// jetStream is a connection to a cluster, beside those of nodes.
func jetStream(t *testing.T, c *harness.Cluster) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect("nats://"+strings.Join(c.Addrs(), ",nats://"), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// made waits until the streams are there.
func made(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	for lane := range lanes {
		harness.Await(t, 30*time.Second, "the stream of a lane is there", func() bool {
			_, err := js.Stream(t.Context(), harness.Stream(lane))
			return err == nil
		})
	}
}

// read calls f with each event that comes into the streams, as soon as it can be
// read, until the test ends.
func read(t *testing.T, js jetstream.JetStream, f func(lane int, m jetstream.Msg)) (stop func()) {
	t.Helper()
	var readers []jetstream.ConsumeContext
	for lane := range lanes {
		filter := fmt.Sprintf("IQ.%s.%d.ev.>", harness.Destination, lane)
		c, err := js.OrderedConsumer(t.Context(), harness.Stream(lane), jetstream.OrderedConsumerConfig{
			FilterSubjects: []string{filter}, DeliverPolicy: jetstream.DeliverNewPolicy,
		})
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.Consume(func(m jetstream.Msg) { f(lane, m) })
		if err != nil {
			t.Fatal(err)
		}
		readers = append(readers, r)
	}
	stop = sync.OnceFunc(func() {
		for _, r := range readers {
			r.Stop()
			<-r.Closed()
		}
	})
	t.Cleanup(stop)
	return stop
}

// member returns what follows a member's name in an event, up to a quotation mark.
func member(ev []byte, name string) string {
	_, rest, _ := bytes.Cut(ev, []byte(`"`+name+`":"`))
	value, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(value)
}

// lanesOf learns from the streams in which lanes visitors are.
func lanesOf(t *testing.T, f *harness.Fleet, visitors int) []int {
	t.Helper()
	var mu sync.Mutex
	known := make(map[int]int, visitors)
	stop := read(t, jetStream(t, f.Cluster), func(lane int, m jetstream.Msg) {
		visitor, err := strconv.Atoi(strings.TrimPrefix(member(m.Data(), "anonymousId"), "visitor-"))
		if err != nil {
			t.Error(err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		known[visitor] = lane
	})
	harness.Await(t, 20*time.Second, "each visitor has been seen", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(known) == visitors
	})
	stop()
	of := make([]int, visitors)
	for v, lane := range known {
		of[v] = lane
	}
	return of
}

// change is one of a lane's lease.
type change struct {
	at   time.Time
	node string // empty: it was given back
}

// leases follows who has which lane.
type leases struct {
	mu      sync.Mutex
	changes [lanes][]change
}

func watchLeases(t *testing.T, c *harness.Cluster) *leases {
	t.Helper()
	kv, err := jetStream(t, c).KeyValue(t.Context(), "IQ_FLEET")
	if err != nil {
		t.Fatal(err)
	}
	w, err := kv.Watch(t.Context(), "lease."+harness.Destination+".*")
	if err != nil {
		t.Fatal(err)
	}
	l := new(leases)
	go func() {
		for e := range w.Updates() {
			if e == nil {
				continue // all that was there has been told
			}
			lane, err := strconv.Atoi(e.Key()[strings.LastIndex(e.Key(), ".")+1:])
			if err != nil || lane >= lanes {
				continue
			}
			var v struct{ Node string }
			if e.Operation() == jetstream.KeyValuePut && json.Unmarshal(e.Value(), &v) != nil {
				continue
			}
			l.mu.Lock()
			l.changes[lane] = append(l.changes[lane], change{time.Now(), v.Node})
			l.mu.Unlock()
		}
	}()
	t.Cleanup(func() { _ = w.Stop() })
	return l
}

// of returns the lanes that a node has.
func (l *leases) of(node string) (list []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for lane, c := range l.changes {
		if len(c) > 0 && c[len(c)-1].node == node {
			list = append(list, lane)
		}
	}
	return list
}

// after returns when a lane was given back, if it was, and taken by another node
// than that, after a moment.
func (l *leases) after(lane int, node string, at time.Time) (back, taken time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.changes[lane] {
		switch {
		case c.at.Before(at):
		case c.node == "" && back.IsZero():
			back = c.at
		case c.node != "" && c.node != node:
			return back, c.at
		}
	}
	return back, time.Time{}
}

// balanced waits until each node has its share of the lanes for a while.
func (l *leases) balanced(t *testing.T, f *harness.Fleet, load *harness.Load) {
	t.Helper()
	fair := func() bool {
		for _, n := range f.Nodes {
			if has := len(l.of(n.Name)); has < lanes/len(f.Nodes) {
				return false
			}
		}
		return true
	}
	harness.Await(t, 30*time.Second, "each node has its share", fair)
	passed(t, load, 1500*time.Millisecond)
	harness.Await(t, 30*time.Second, "each node has its share", fair)
}
