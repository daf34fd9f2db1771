package fleet

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/intilery/caddy-intilery/internal/freeport"
)

// startCluster starts three servers.
func startCluster(t *testing.T) []*server {
	t.Helper()
	var routes []string
	for range 3 {
		port, err := freeport.Next()
		if err != nil {
			t.Fatal(err)
		}
		routes = append(routes, "nats://127.0.0.1:"+port)
	}
	var servers []*server
	for i, r := range routes {
		_, port, _ := strings.Cut(strings.TrimPrefix(r, "nats://"), ":")
		servers = append(servers, startServer(t, fmt.Sprintf("server_name: s%d", i),
			fmt.Sprintf(`cluster { name: c, host: 127.0.0.1, port: %s, routes: ["%s"] }`, port, strings.Join(routes, `", "`))))
	}
	return servers
}

// Nodes that start at once make the streams together. On three replicas a repeated
// batch is refused as on one, and what was published outlives the stream's leader.
func TestCluster(t *testing.T) {
	servers := startCluster(t)
	o := servers[0].options()
	o.Replicas = 3
	o.Servers = nil
	for _, s := range servers {
		o.Servers = append(o.Servers, s.url())
	}
	var nodes []*jetStream
	for i := range 4 {
		o.Node = fmt.Sprintf("node.%d", i)
		nodes = append(nodes, begin(t, o, "default"))
	}
	for _, j := range nodes {
		eventually(t, "ready", j.Ready, func() bool { return j.Ready() == nil })
	}
	j := nodes[0]
	last := publishTo(t, j, messages(0, 300), "300", 0)
	if _, err := j.Publish(deadline(t), anyLane, messages(0, 300), []byte("x"), 0); !errors.Is(err, errConflict) {
		t.Errorf("repeated: %v, want errConflict", err)
	}
	stream, err := servers[0].admin().Stream(deadline(t), "T-1_default_3")
	if err != nil {
		t.Fatal(err)
	}
	leader := stream.CachedInfo().Cluster.Leader
	for i, s := range servers {
		if fmt.Sprint("s", i) == leader {
			s.kill()
		}
	}
	// The caller's part: read the position back until a write has an answer.
	eventually(t, "a new leader", j.Ready, func() bool {
		_, err := j.Publish(briefly(t), anyLane, messages(300, 10), []byte("310"), last)
		if err == nil {
			return true
		}
		at, _, err := j.Position(briefly(t), anyLane)
		return err == nil && string(at) == "310"
	})
	wantLane(t, j, 310, "310")
	eventually(t, "a reader", j.Ready, func() bool {
		r := j.Read(anyLane, 0)
		defer r.Close()
		_, err := r.Next(briefly(t), 1000)
		return err == nil
	})
	if diff := cmp.Diff(numbered(0, 310), readAll(t, j, 0, 310, 5000)); diff != "" {
		t.Error(diff)
	}
}
