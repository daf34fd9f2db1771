package harness

import (
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const brokerChild = "broker"

// brokerConfig is what a broker is started with. Ports and directory stay.
type brokerConfig struct {
	Name        string
	Dir         string
	Port        int
	ClusterPort int   // 0: it is alone
	Routes      []int // cluster ports of all
	MaxStore    int64
	SyncAlways  bool
}

// brokerStatus is what a broker says of itself.
type brokerStatus struct {
	Current bool // its knowledge of the cluster
	Leader  bool // of the cluster
	Peers   int  // that are online, as the leader knows
}

func runBroker() error {
	var c brokerConfig
	if err := childConfig(&c); err != nil {
		return err
	}
	o := &server.Options{
		ServerName: c.Name, Host: "127.0.0.1", Port: c.Port, NoSigs: true,
		JetStream: true, StoreDir: c.Dir, JetStreamMaxStore: c.MaxStore, JetStreamMaxMemory: 64 << 20, SyncAlways: c.SyncAlways,
		PingInterval: 2 * time.Second, MaxPingsOut: 2,
	}
	if c.ClusterPort != 0 {
		// Not advertised: clients are to stay behind their proxies.
		o.Cluster = server.ClusterOpts{Name: "fleettest", Host: "127.0.0.1", Port: c.ClusterPort, NoAdvertise: true}
		for _, port := range c.Routes {
			o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", port)})
		}
	}
	s, err := server.NewServer(o)
	if err != nil {
		return err
	}
	s.ConfigureLogger()
	s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		return fmt.Errorf("broker %s takes no connections", c.Name)
	}
	return serve(map[string]operation{
		"status": func(json.RawMessage) func() (any, error) {
			return func() (any, error) {
				if c.ClusterPort == 0 {
					return brokerStatus{Current: s.JetStreamEnabled(), Leader: true, Peers: 1}, nil
				}
				return brokerStatus{Current: s.JetStreamIsCurrent(), Leader: s.JetStreamIsLeader(), Peers: len(s.JetStreamClusterPeers())}, nil
			}
		},
		"leads": func(args json.RawMessage) func() (any, error) {
			return func() (any, error) {
				var stream string
				if err := json.Unmarshal(args, &stream); err != nil {
					return nil, err
				}
				if c.ClusterPort == 0 {
					return s.GlobalAccount().JetStreamEnabled(), nil
				}
				return s.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, stream), nil
			}
		},
	}, func() error {
		s.Shutdown()
		s.WaitForShutdown()
		return nil
	})
}
