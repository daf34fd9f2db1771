package faults

import (
	"context"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/fleettest/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// deliverLimit is how long a fleet may take to deliver what is left after a test.
const deliverLimit = 30 * time.Second

// start starts a load, and waits until it is delivered as it comes: the streams are
// made, and what had to wait for them is gone.
func start(t *testing.T, f *harness.Fleet, l *harness.Load) {
	t.Helper()
	if l.Nodes == nil {
		l.Nodes = f.Nodes
	}
	l.Start(t)
	harness.Await(t, 30*time.Second, "the fleet delivers what comes", func() bool {
		delivered := len(f.Receiver.Deliveries())
		return delivered >= l.Rate && l.Begun()-delivered < l.Rate
	})
	passed(t, l, time.Second)
}

// flows waits until so many events more are delivered.
func flows(t *testing.T, f *harness.Fleet, events int) {
	t.Helper()
	at := len(f.Receiver.Deliveries())
	harness.Await(t, 30*time.Second, "events are delivered", func() bool { return len(f.Receiver.Deliveries()) >= at+events })
}

// passed waits until the load has made the events of a time, however slow the machine is.
func passed(t *testing.T, l *harness.Load, d time.Duration) {
	t.Helper()
	at := l.Begun()
	harness.Await(t, d+20*time.Second, "the load goes on", func() bool { return l.Begun() >= at+int(d.Seconds()*float64(l.Rate)) })
}

// inOrder fails the test when a visitor's events came out of order.
func inOrder(t *testing.T, r harness.Report) {
	t.Helper()
	if r.OutOfOrder > 0 {
		t.Errorf("%d events came out of their visitor's order", r.OutOfOrder)
	}
}

// repeats fails the test when more events than that were sent twice.
func repeats(t *testing.T, r harness.Report, most int) {
	t.Helper()
	if r.Repeats > most {
		t.Errorf("%d events were sent twice, want no more than %d", r.Repeats, most)
	}
}

// soon bounds a call to a node.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// numbered returns the first n events of a visitor.
func numbered(visitor, n int) []harness.ID {
	ids := make([]harness.ID, n)
	for i := range ids {
		ids[i] = harness.ID{Visitor: visitor, N: i + 1}
	}
	return ids
}
