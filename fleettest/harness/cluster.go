package harness

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/internal/freeport"
)

// ClusterOptions are those of a cluster of brokers.
type ClusterOptions struct {
	Brokers    int   // 1 or 3; default 3
	MaxStore   int64 // of a broker, in bytes; default 1 GiB
	SyncAlways bool
}

// Cluster is a cluster of brokers with JetStream on files.
type Cluster struct {
	Brokers []*Broker
	t       *testing.T
}

// Broker is a broker as a process.
type Broker struct {
	*process
	Name string
	Addr string // where it takes connections
	dir  string
}

// NewCluster starts brokers, and waits until they are one cluster.
func NewCluster(t *testing.T, o ClusterOptions) *Cluster {
	t.Helper()
	if o.Brokers == 0 {
		o.Brokers = 3
	}
	if o.MaxStore == 0 {
		o.MaxStore = 1 << 30
	}
	c := &Cluster{t: t}
	ports := freePorts(t, 2*o.Brokers)
	dir := t.TempDir()
	for i := range o.Brokers {
		config := brokerConfig{
			Name: fmt.Sprint("broker-", i), Dir: filepath.Join(dir, fmt.Sprint("broker-", i)), Port: ports[i],
			MaxStore: o.MaxStore, SyncAlways: o.SyncAlways,
		}
		if o.Brokers > 1 {
			config.ClusterPort, config.Routes = ports[o.Brokers+i], ports[o.Brokers:]
		}
		b := &Broker{process: newProcess(t, brokerChild, config.Name), Name: config.Name, Addr: fmt.Sprintf("127.0.0.1:%d", config.Port), dir: config.Dir}
		b.config = config
		c.Brokers = append(c.Brokers, b)
	}
	c.Start()
	return c
}

// Start starts those brokers that do not run, and waits until all are one cluster.
func (c *Cluster) Start() {
	c.t.Helper()
	done := make(chan error)
	var n int
	for _, b := range c.Brokers {
		if b.Running() {
			continue
		}
		n++
		go func() {
			err := b.start(30 * time.Second)
			if err != nil {
				err = fmt.Errorf("start %s: %w\n%s", b.Name, err, tail(b.log, 2000))
			}
			done <- err
		}()
	}
	var failed error
	for range n {
		if err := <-done; err != nil {
			failed = err
		}
	}
	if failed != nil {
		c.t.Fatal(failed)
	}
	Await(c.t, 30*time.Second, "the brokers are one cluster", c.whole)
}

// whole reports whether all brokers run and one leads them all.
func (c *Cluster) whole() bool {
	leads := false
	for _, b := range c.Brokers {
		var st brokerStatus
		if b.ask("status", nil, &st) != nil || !st.Current {
			return false
		}
		leads = leads || st.Leader && st.Peers == len(c.Brokers)
	}
	return leads
}

// Leader returns the broker that leads a stream, and waits until there is one.
func (c *Cluster) Leader(stream string) *Broker {
	c.t.Helper()
	var leader *Broker
	Await(c.t, 20*time.Second, "a leader of stream "+stream, func() bool {
		for _, b := range c.Brokers {
			var yes bool
			if b.Running() && b.ask("leads", stream, &yes) == nil && yes {
				leader = b
				return true
			}
		}
		return false
	})
	return leader
}

// Addrs are where the brokers take connections.
func (c *Cluster) Addrs() []string {
	var list []string
	for _, b := range c.Brokers {
		list = append(list, b.Addr)
	}
	return list
}

// ask asks a broker that may be frozen.
func (b *Broker) ask(op string, args, result any) error {
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Second)
	defer cancel()
	return b.call(ctx, op, args, result)
}

// Copy copies the directory of a broker that does not run.
func (b *Broker) Copy() (path string) {
	b.t.Helper()
	if b.Running() {
		b.t.Fatalf("%s runs: its directory cannot be copied", b.Name)
	}
	path = filepath.Join(b.t.TempDir(), "copy")
	if err := os.CopyFS(path, os.DirFS(b.dir)); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// Restore puts a copy in the place of the directory of a broker that does not run.
func (b *Broker) Restore(from string) {
	b.t.Helper()
	if b.Running() {
		b.t.Fatalf("%s runs: its directory cannot be replaced", b.Name)
	}
	if err := os.RemoveAll(b.dir); err != nil {
		b.t.Fatal(err)
	}
	if err := os.CopyFS(b.dir, os.DirFS(from)); err != nil {
		b.t.Fatal(err)
	}
}

// freePorts returns ports that nobody listens on.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		port, err := freeport.Next()
		if err == nil {
			ports[i], err = strconv.Atoi(port)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return ports
}
