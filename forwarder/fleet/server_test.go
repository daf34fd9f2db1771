package fleet

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/intilery/caddy-intilery/internal/freeport"
)

// natsServer is the path of the program that tests of the broker run. The module
// fleettest builds it and sets it.
const natsServer = "INTILERY_TEST_NATS_SERVER"

// server is a nats-server of a test.
type server struct {
	t    *testing.T
	port string
	dir  string
	cmd  *exec.Cmd
}

// startServer starts a server with JetStream, and with more lines of configuration.
func startServer(t *testing.T, more ...string) *server {
	t.Helper()
	if os.Getenv(natsServer) == "" {
		t.Skipf("%s is not set: cd fleettest && go test ./...", natsServer)
	}
	port, err := freeport.Next()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, port: port, dir: t.TempDir()}
	s.configure(more...)
	t.Cleanup(s.kill)
	s.start()
	return s
}

func (s *server) configure(more ...string) {
	s.t.Helper()
	lines := append([]string{
		"host: 127.0.0.1", "port: " + s.port,
		fmt.Sprintf("jetstream { store_dir: %q, max_file: 8GB, max_mem: 64MB }", filepath.Join(s.dir, "data")),
	}, more...)
	if err := os.WriteFile(filepath.Join(s.dir, "conf"), []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) start() {
	s.t.Helper()
	s.cmd = exec.Command(os.Getenv(natsServer), "-c", filepath.Join(s.dir, "conf"), "-l", filepath.Join(s.dir, "log"))
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
}

// kill is a kill -9.
func (s *server) kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended
	_ = s.cmd.Wait()
	s.cmd = nil
	if s.t.Failed() {
		log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		s.t.Logf("the server's log:\n%s", log[max(0, len(log)-4000):])
	}
}

func (s *server) restart() {
	s.t.Helper()
	s.kill()
	s.start()
}

func (s *server) url() string { return "nats://127.0.0.1:" + s.port }

// admin is another connection, for what the fleet itself does not do.
func (s *server) admin(options ...nats.Option) jetstream.JetStream {
	s.t.Helper()
	conn, err := nats.Connect(s.url(), append(options, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(conn.Close)
	eventually(s.t, "a connection", func() error {
		if !conn.IsConnected() {
			return conn.LastError()
		}
		return nil
	}, func() bool { return conn.IsConnected() })
	js, err := jetstream.New(conn)
	if err != nil {
		s.t.Fatal(err)
	}
	return js
}

// eventually polls until ok, or fails with what why returns.
func eventually(t *testing.T, what string, why func() error, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never came: %s: %v", what, why())
		}
	}
}

// options are those of a node of the tests.
func (s *server) options() Options {
	return Options{
		Servers: []string{s.url()}, Name: "T-1", Node: "node.1", Replicas: 1, MaxBytes: 64 << 20, MaxAge: time.Hour,
	}
}

// open starts a broker for the destination "default" and waits until it is ready.
func open(t *testing.T, o Options) *jetStream {
	t.Helper()
	j := begin(t, o, "default")
	eventually(t, "ready", j.Ready, func() bool { return j.Ready() == nil })
	return j
}

func begin(t *testing.T, o Options, destinations ...string) *jetStream {
	t.Helper()
	j := newJetStream(o)
	t.Cleanup(j.close)
	if err := j.start(); err != nil {
		t.Fatal(err)
	}
	j.serve(destinations)
	return j
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// briefly is for what is not answered.
func briefly(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}
