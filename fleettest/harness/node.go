package harness

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder"
	"github.com/intilery/caddy-intilery/forwarder/erasure"
)

// NodeOptions are those of a node.
type NodeOptions struct {
	Name     string
	Endpoint string     // the receiver's URL
	Rate     float64    // requests a second; default 400
	Burst    int        // default 100
	MaxBytes int64      // of the node's log; default 256 MiB
	Fleet    *nodeFleet // nil: a node alone
}

// Node is a forwarder as a process.
type Node struct {
	*process
	Name string
	dir  string
}

// NewNode starts a node, and waits until its log is open.
func NewNode(t *testing.T, o NodeOptions) *Node {
	t.Helper()
	n := &Node{process: newProcess(t, nodeChild, o.Name), Name: o.Name, dir: filepath.Join(t.TempDir(), o.Name)}
	if o.Rate == 0 {
		o.Rate = 400
	}
	if o.Burst == 0 {
		o.Burst = 100
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = forwarder.MinMaxBytes
	}
	n.config = nodeConfig{Dir: n.dir, Endpoint: o.Endpoint, Rate: o.Rate, Burst: o.Burst, MaxBytes: o.MaxBytes, Fleet: o.Fleet}
	n.Start()
	return n
}

// Capture captures events, and returns when they are durable on the node. After an
// error some may be.
func (n *Node) Capture(ctx context.Context, ids ...ID) error {
	wait, err := n.begin(ids, 0)
	if err != nil {
		return err
	}
	return wait(ctx)
}

// begin sends the events to the node: they are captured in the order of such calls.
func (n *Node) begin(ids []ID, bytes int) (wait func(context.Context) error, err error) {
	list := make([]captureEvent, len(ids))
	for i, id := range ids {
		list[i] = captureEvent{ID: id, Bytes: bytes}
	}
	w, err := n.send("capture", list)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return w(ctx, nil) }, nil
}

// Erase removes a visitor's events.
func (n *Node) Erase(ctx context.Context, visitor int) (erasure.Counts, error) {
	var c erasure.Counts
	err := n.call(ctx, "erase", erasure.Subject{AnonymousID: AnonymousID(visitor)}, &c)
	return c, err
}

// DeadLetters lists the events that are dead letters, as the node sees them.
func (n *Node) DeadLetters(ctx context.Context) ([]ID, error) {
	var ids []ID
	err := n.call(ctx, "letters", nil, &ids)
	return ids, err
}

// Replay has the node send all dead letters again, and returns how many.
func (n *Node) Replay(ctx context.Context) (events int, err error) {
	err = n.call(ctx, "replay", nil, &events)
	return events, err
}

// Stats returns the node's own account.
func (n *Node) Stats(ctx context.Context) (NodeStats, error) {
	var s NodeStats
	err := n.call(ctx, "stats", nil, &s)
	return s, err
}

// Pending is how many events the node's log holds that have not ended; -1 when the
// node does not say.
func (n *Node) Pending() int {
	ctx, cancel := context.WithTimeout(n.t.Context(), 2*time.Second)
	defer cancel()
	s, err := n.Stats(ctx)
	if err != nil {
		return -1
	}
	return int(s.Pending)
}

// RemoveDir removes the data of a node that does not run: its disk is lost.
func (n *Node) RemoveDir() {
	n.t.Helper()
	if n.Running() {
		n.t.Fatalf("%s runs: its directory cannot be removed", n.Name)
	}
	if err := os.RemoveAll(n.dir); err != nil {
		n.t.Fatal(err)
	}
}
