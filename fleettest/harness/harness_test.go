package harness

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestMain(m *testing.M) { Main(m) }

// connect returns a stream with a subject "t" on a cluster.
func connect(t *testing.T, url string, replicas int) (jetstream.JetStream, *nats.Conn) {
	t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "T", Subjects: []string{"t"}, Replicas: replicas}); err != nil {
		t.Fatal(err)
	}
	return js, nc
}

// lastSequence publishes until that works, and returns the sequence.
func lastSequence(t *testing.T, js jetstream.JetStream) (seq uint64) {
	t.Helper()
	Await(t, 20*time.Second, "a message is published", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		ack, err := js.Publish(ctx, "t", []byte("x"))
		if err == nil {
			seq = ack.Sequence
		}
		return err == nil
	})
	return seq
}

func TestClusterSurvivesItsLeader(t *testing.T) {
	begin := time.Now()
	c := NewCluster(t, ClusterOptions{})
	t.Log("ready after", time.Since(begin))
	js, _ := connect(t, "nats://"+strings.Join(c.Addrs(), ",nats://"), 3)
	if seq := lastSequence(t, js); seq != 1 {
		t.Errorf("first sequence %d, want 1", seq)
	}
	leader := c.Leader("T")
	leader.Kill()
	if next := c.Leader("T"); next == leader {
		t.Error("a broker that was killed leads")
	}
	if seq := lastSequence(t, js); seq < 2 {
		t.Errorf("sequence %d after the leader was killed, want 2 or more", seq)
	}
	begin = time.Now()
	c.Start()
	t.Log("whole again after", time.Since(begin))
	c.Leader("T").Stop()
	c.Start()
	if seq := lastSequence(t, js); seq < 3 {
		t.Errorf("sequence %d after the leader was stopped, want 3 or more", seq)
	}
}

func TestBrokerGoesBackToACopy(t *testing.T) {
	c := NewCluster(t, ClusterOptions{Brokers: 1})
	b := c.Brokers[0]
	js, _ := connect(t, "nats://"+b.Addr, 1)
	lastSequence(t, js)
	b.Stop()
	older := b.Copy()
	c.Start()
	if seq := lastSequence(t, js); seq != 2 {
		t.Errorf("sequence %d after a restart, want 2", seq)
	}
	b.Kill()
	b.Restore(older)
	c.Start()
	if seq := lastSequence(t, js); seq != 2 {
		t.Errorf("sequence %d on the copy, want 2 again", seq)
	}
}

func TestBrokerIsFull(t *testing.T) {
	c := NewCluster(t, ClusterOptions{Brokers: 1, MaxStore: 1 << 20})
	js, _ := connect(t, "nats://"+c.Brokers[0].Addr, 1)
	for range 30 {
		if _, err := js.Publish(t.Context(), "t", make([]byte, 100_000)); err != nil {
			t.Log(err)
			return
		}
	}
	t.Error("a broker of 1 MiB has taken 3 MB")
}

// echo answers each byte with itself.
func echo(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

func TestProxy(t *testing.T) {
	p := NewProxy(t, echo(t))
	c, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ping := func(limit time.Duration) error {
		if _, err := c.Write([]byte("x")); err != nil {
			return err
		}
		_ = c.SetReadDeadline(time.Now().Add(limit))
		_, err := io.ReadFull(c, make([]byte, 1))
		return err
	}
	if err := ping(5 * time.Second); err != nil {
		t.Error("healthy:", err)
	}
	p.Delay(50 * time.Millisecond)
	begin := time.Now()
	if err := ping(5 * time.Second); err != nil || time.Since(begin) < 100*time.Millisecond {
		t.Errorf("with a delay of 50 ms: %v after %v", err, time.Since(begin))
	}
	p.Delay(0)
	p.Partition(true)
	if err := ping(50 * time.Millisecond); err == nil {
		t.Error("an answer through a partition")
	}
	p.Partition(false)
	if err := ping(5 * time.Second); err != nil { // the byte of before
		t.Error("after a partition:", err)
	}
	p.HoldAnswers(true)
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	p.Reset()
	if _, err := io.ReadAll(c); err == nil {
		t.Error("no error after a reset")
	}
	p.HoldAnswers(false)
	p.Refuse(true)
	if d, err := net.Dial("tcp", p.Addr); err == nil {
		_ = d.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.ReadFull(d, make([]byte, 1)); err == nil {
			t.Error("a connection that is refused has answered")
		}
		_ = d.Close()
	}
}

func TestReport(t *testing.T) {
	v := NewReceiver(t)
	post := func(status int, ids ...ID) {
		t.Helper()
		var calls []string
		for _, id := range ids {
			calls = append(calls, `{"messageId":"`+id.String()+`","anonymousId":"`+AnonymousID(id.Visitor)+`"}`)
		}
		res, err := http.Post(v.URL, "application/json", strings.NewReader(`{"batch":[`+strings.Join(calls, ",")+`]}`))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != status {
			t.Errorf("status %d, want %d", res.StatusCode, status)
		}
	}
	post(200, ID{1, 1}, ID{2, 1}, ID{1, 3})
	v.AnswerAll(Reply{Status: 503})
	post(503, ID{1, 4})
	v.Answer(nil)
	post(200, ID{1, 2}, ID{1, 3}, ID{1, 2}, ID{2, 2})
	r := v.Report([]ID{{1, 1}, {1, 2}, {1, 4}})
	r.Examples = nil
	if got, want := r.String(), "committed 3, delivered 5, lost 1, repeats 2, out of order 1"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestNodeAlone(t *testing.T) {
	v := NewReceiver(t)
	n := NewNode(t, NodeOptions{Name: "n", Endpoint: v.URL})
	load := &Load{Nodes: []*Node{n}, Rate: 1000, Visitors: 50}
	load.Start(t)
	Await(t, 10*time.Second, "300 events are durable", func() bool { return len(load.Committed()) > 300 })
	n.Kill()
	at := len(load.Committed())
	n.Start()
	Await(t, 10*time.Second, "300 more are durable", func() bool { return len(load.Committed()) > at+300 })
	n.Freeze()
	frozen := len(load.Committed())
	n.Thaw()
	Await(t, 10*time.Second, "more are durable after a freeze", func() bool { return len(load.Committed()) > frozen+100 })
	n.Stop()
	n.Start()
	v.AnswerAll(Reply{Status: 503})
	committed := load.Stop()
	if err := n.Capture(t.Context(), ID{77, 1}); err != nil {
		t.Fatal(err)
	}
	if c, err := n.Erase(t.Context(), 77); err != nil || c.Log+c.Memory == 0 {
		t.Errorf("erase: %+v, %v", c, err)
	}
	v.Answer(nil)
	Await(t, 20*time.Second, "all committed events are delivered", func() bool { return v.Missing(committed) == 0 })
	Await(t, 20*time.Second, "nothing is pending", func() bool { return n.Pending() == 0 })
	r := v.Report(committed)
	t.Log(r)
	if r.OutOfOrder > 0 {
		t.Error("a node alone has sent out of order")
	}
	if v.Has(ID{77, 1}) {
		t.Error("an erased event was sent")
	}
	n.Stop()
	n.RemoveDir()
	n.Start()
	if n.Pending() != 0 {
		t.Error("events are pending on a new disk")
	}
}
