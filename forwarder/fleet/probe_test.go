package fleet

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A probe sees what a node would make, and makes nothing.
func TestProbe(t *testing.T) {
	s := startServer(t)
	o := s.options()
	destinations := []string{"default"}
	js := s.admin()
	streams := func() (n int) {
		for range js.StreamNames(deadline(t)).Name() {
			n++
		}
		return n
	}
	seen, err := Probe(t.Context(), o, destinations)
	if err != nil || seen.Streams != 10 || len(seen.Missing) != 10 || seen.Wrong != nil || seen.Version == "" || seen.RoundTrip == 0 {
		t.Errorf("empty broker: %+v, %v", seen, err)
	}
	if n := streams(); n != 0 {
		t.Errorf("the probe has made %d streams", n)
	}
	open(t, o).close()
	if seen, err = Probe(t.Context(), o, destinations); err != nil || seen.Missing != nil || seen.Wrong != nil {
		t.Errorf("after a node: %+v, %v", seen, err)
	}
	stream, err := js.Stream(deadline(t), "T-1_default_3")
	if err != nil {
		t.Fatal(err)
	}
	c := stream.CachedInfo().Config
	c.MaxBytes = 12345
	if _, err := js.UpdateStream(deadline(t), c); err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(deadline(t), "T-1_default_4"); err != nil {
		t.Fatal(err)
	}
	seen, err = Probe(t.Context(), o, destinations)
	if err != nil || !slices.Equal(seen.Missing, []string{"T-1_default_4"}) || !strings.Contains(errors.Join(seen.Wrong...).Error(), "max_bytes is 12345") {
		t.Errorf("after changes: %+v, %v", seen, err)
	}
	if _, err := js.Stream(deadline(t), "T-1_default_4"); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("the missing stream is there: %v", err)
	}
}

// What may be asked is a permission too, and a wrong password is told without it.
func TestProbeIsRefused(t *testing.T) {
	s := startServer(t, `authorization { users: [ { user: node, password: hush, permissions: { publish: "nothing" } } ] }`)
	s.admin(nats.UserInfo("node", "hush"))
	o := s.options()
	o.User = "node"
	o.Password = func() (string, error) { return "hush", nil }
	if seen, err := Probe(t.Context(), o, []string{"default"}); err == nil || !strings.Contains(err.Error(), "may lack a permission") || seen.Version == "" {
		t.Errorf("no permissions: %+v, %v", seen, err)
	}
	o.Password = func() (string, error) { return "wrong-secret", nil }
	if _, err := Probe(t.Context(), o, []string{"default"}); err == nil || !strings.Contains(err.Error(), "Authorization") || strings.Contains(err.Error(), "wrong-secret") {
		t.Errorf("wrong password: %v", err)
	}
}

// No broker, and one that says nothing, are errors at once or in time.
func TestProbeWithoutABroker(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	for _, address := range []string{"127.0.0.1:1", silent.Addr().String()} {
		o := Options{Servers: []string{"nats://" + address}, Node: "n"}
		if seen, err := Probe(ctx, o, []string{"default"}); err == nil || seen.Version != "" {
			t.Errorf("%s: %+v, %v", address, seen, err)
		}
	}
}
