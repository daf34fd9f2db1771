//go:build linux

package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/intilery/caddy-intilery/fleettest/harness"
	"github.com/intilery/caddy-intilery/forwarder"
	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/fleet"
	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// answers is Intilery as far as a node is concerned: it answers all requests alike.
type answers int

func (status answers) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return nil, err
	}
	body := `{"success":true}`
	if status != http.StatusOK {
		body = `{"success":false}`
	}
	return &http.Response{StatusCode: int(status), Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// open returns a node in this process: one of a fleet, or alone when there is no cluster.
func open(t *testing.T, dir string, c *harness.Cluster, intilery answers) *forwarder.Forwarder {
	t.Helper()
	s := forwarder.Settings{Version: "1.0.0", Destinations: []forwarder.Destination{{
		Name: harness.Destination, ClientID: "c", Transport: intilery, Token: func() (string, error) { return "t", nil },
	}}}
	if c != nil {
		s.Fleet = &fleet.Options{Node: "node", MaxBytes: 2 << 30, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
		for _, addr := range c.Addrs() {
			s.Fleet.Servers = append(s.Fleet.Servers, "nats://"+addr)
		}
	}
	f := forwarder.New(dir)
	if err := f.Start("bench", s); err != nil {
		t.Fatal(err)
	}
	select {
	case <-f.Opened():
	case <-time.After(20 * time.Second):
		t.Fatal("the log does not open")
	}
	return f
}

// capture captures events, and returns when all are durable.
func capture(t *testing.T, f *forwarder.Forwarder, events []event.Event) {
	t.Helper()
	receipts := queue.NewReceipts(1)
	for i := range events {
		if err := f.CaptureWith(receipts.At(0), harness.Destination, &events[i]); err != nil {
			t.Fatal(err)
		}
	}
	receipts.Seal()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := receipts.Wait(ctx); err != nil {
		t.Fatal(err)
	}
}

// views returns n events of a thousand visitors, which have so many bytes when they
// are stored. Their message IDs are their numbers.
func views(t *testing.T, n, bytes int) []event.Event {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	list := make([]event.Event, n)
	for i := range list {
		e := event.Event{
			Type: event.Track, Name: "Product Viewed", AnonymousID: fmt.Sprint("visitor-", r.IntN(1000)), MessageID: fmt.Sprintf("%09d", i),
			Context: event.Context{
				IP: fmt.Sprintf("203.0.%d.%d", r.IntN(256), r.IntN(256)), Locale: "en-GB",
				Page: event.PageContext{Path: "/shop/outerwear", URL: "https://shop.example.com/shop/outerwear"},
			},
		}
		ref := func(n int) json.RawMessage {
			b := make([]byte, n)
			for j := range b {
				b[j] = "0123456789abcdefghijklmnopqrstuvwxyz"[r.IntN(36)]
			}
			return fmt.Appendf(nil, `{"ref":"%s"}`, b)
		}
		e.Properties = ref(0)
		stored, err := e.Store("1.0.0")
		if err != nil || len(stored) > bytes {
			t.Fatalf("an event of %d bytes: %v", len(stored), err)
		}
		e.Properties = ref(bytes - len(stored))
		list[i] = e
	}
	return list
}

// cpu is what this process has used.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
