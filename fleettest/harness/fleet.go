package harness

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// FleetOptions are those of a fleet.
type FleetOptions struct {
	Nodes    int // default 3
	Cluster  ClusterOptions
	Lease    time.Duration // default 2 s
	Keep     time.Duration // default 5 min
	MaxBytes int64         // of the destination in the streams; default 64 MiB, which is the least
	Rate     float64       // of the whole fleet, in requests a second; default 400
}

// Fleet is a cluster, a receiver, and nodes with a proxy before each broker.
type Fleet struct {
	Cluster  *Cluster
	Receiver *Receiver
	Nodes    []*Node
	proxies  map[*Node][]*Proxy
}

// NewFleet starts a fleet.
func NewFleet(t *testing.T, o FleetOptions) *Fleet {
	t.Helper()
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.Lease == 0 {
		o.Lease = 2 * time.Second
	}
	if o.Keep == 0 {
		o.Keep = 5 * time.Minute
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 64 << 20
	}
	f := &Fleet{Cluster: NewCluster(t, o.Cluster), Receiver: NewReceiver(t), proxies: map[*Node][]*Proxy{}}
	for i := range o.Nodes {
		options := &nodeFleet{
			Name: "IQ", Node: fmt.Sprint("node-", i), Replicas: len(f.Cluster.Brokers),
			Lease: o.Lease, Keep: o.Keep, MaxBytes: o.MaxBytes,
		}
		var proxies []*Proxy
		for _, addr := range f.Cluster.Addrs() {
			p := NewProxy(t, addr)
			proxies = append(proxies, p)
			options.Servers = append(options.Servers, "nats://"+p.Addr)
		}
		n := NewNode(t, NodeOptions{Name: options.Node, Endpoint: f.Receiver.URL, Rate: o.Rate, Fleet: options})
		f.Nodes = append(f.Nodes, n)
		f.proxies[n] = proxies
	}
	return f
}

// Network does something to the network between a node and all brokers.
func (f *Fleet) Network(n *Node, do func(*Proxy)) {
	for _, p := range f.proxies[n] {
		do(p)
	}
}

// Stream is the name of a lane's stream.
func Stream(lane int) string { return fmt.Sprintf("IQ_%s_%d", Destination, lane) }

// Streamed is how many events the streams hold; -1 when the brokers do not say.
func (f *Fleet) Streamed(t *testing.T) (n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	nc, err := nats.Connect("nats://" + strings.Join(f.Cluster.Addrs(), ",nats://"))
	if err != nil {
		return -1
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for lane := range 8 {
		s, err := js.Stream(ctx, Stream(lane))
		if err != nil {
			return -1
		}
		info, err := s.Info(ctx, jetstream.WithSubjectFilter(fmt.Sprintf("IQ.%s.%d.ev.>", Destination, lane)))
		if err != nil {
			return -1
		}
		for _, events := range info.State.Subjects {
			n += int(events)
		}
	}
	return n
}

// Deliver waits until all of the events were taken, reports what became of them,
// and fails the test when some are lost.
func (f *Fleet) Deliver(t *testing.T, committed []ID, limit time.Duration) Report {
	t.Helper()
	Within(limit, func() bool { return f.Receiver.Missing(committed) == 0 })
	r := f.Receiver.Report(committed)
	t.Log(r)
	if r.Committed == 0 {
		t.Error("no event was committed: the test says nothing")
	}
	if r.Lost > 0 {
		t.Errorf("%d events are lost, or do not come within %v", r.Lost, limit)
	}
	return r
}
