// Package brokers runs a cluster of three brokers in this process, on loopback.
package brokers

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/intilery/caddy-intilery/internal/freeport"
)

const count = 3

// Start starts brokers that keep their data in dir, and returns where they take
// connections, as soon as they are one cluster.
func Start(dir string) (urls []string, stop func(), err error) {
	var ports [2 * count]int // for clients, and for each other
	for i := range ports {
		port, err := freeport.Next()
		if err == nil {
			ports[i], err = strconv.Atoi(port)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	var routes []*url.URL
	for _, port := range ports[count:] {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", port)})
	}
	var all []*server.Server
	stop = func() {
		for _, s := range all {
			s.Shutdown()
			s.WaitForShutdown()
		}
	}
	for i := range count {
		name := fmt.Sprint("broker-", i)
		s, err := server.NewServer(&server.Options{
			ServerName: name, Host: "127.0.0.1", Port: ports[i], NoLog: true, NoSigs: true, Routes: routes,
			Cluster:   server.ClusterOpts{Name: "bench", Host: "127.0.0.1", Port: ports[count+i]},
			JetStream: true, StoreDir: filepath.Join(dir, name), JetStreamMaxStore: 16 << 30, JetStreamMaxMemory: 256 << 20,
		})
		if err != nil {
			stop()
			return nil, nil, err
		}
		s.Start()
		all, urls = append(all, s), append(urls, fmt.Sprintf("nats://127.0.0.1:%d", ports[i]))
	}
	for end := time.Now().Add(30 * time.Second); !whole(all); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			stop()
			return nil, nil, errors.New("the brokers do not become one cluster")
		}
	}
	return urls, stop, nil
}

func whole(all []*server.Server) bool {
	leads := false
	for _, s := range all {
		if !s.JetStreamIsCurrent() {
			return false
		}
		leads = leads || s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) == count
	}
	return leads
}
