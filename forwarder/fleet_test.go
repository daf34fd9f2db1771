package forwarder

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/fleet"
	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/forwarder/tracking"
	"github.com/intilery/caddy-intilery/internal/faketime"
)

// fleetEntry is an event of a visitor at a node, captured a number of milliseconds
// after a while.
func fleetEntry(t *testing.T, position uint64, node, visitor string, ms int) entry {
	t.Helper()
	e := event.Event{
		Type: event.Track, Name: "e", AnonymousID: visitor, MessageID: strconv.FormatUint(position, 10),
		Timestamp: time.Unix(1_800_000_000, 0).Add(time.Duration(ms) * time.Millisecond),
	}
	rec, err := e.Store("")
	if err != nil {
		t.Fatal(err)
	}
	return entry{Record: queue.Record{Position: queue.At(1, position), Data: rec, Node: node}}
}

// A batch of several nodes' events is sent in the order of capture; those of one visitor
// at one node stay in their order, whatever their timestamps say.
func TestMerge(t *testing.T) {
	for name, c := range map[string]struct {
		nodes string // a letter each
		times []int
		who   string // the visitors, a letter each; empty: one
		want  []int  // positions, from 1 on
	}{
		"one node":                             {"aaa", []int{3, 2, 1}, "", []int{1, 2, 3}},
		"no node":                              {"   ", []int{3, 2, 1}, "", []int{1, 2, 3}},
		"two nodes":                            {"aabb", []int{1, 3, 2, 4}, "", []int{1, 3, 2, 4}},
		"at the same time":                     {"abab", []int{1, 1, 1, 1}, "", []int{1, 2, 3, 4}},
		"a node's own order":                   {"aab", []int{9, 1, 5}, "", []int{3, 1, 2}},
		"three, one far ahead":                 {"aaabbc", []int{10, 11, 12, 1, 2, 5}, "", []int{4, 5, 6, 1, 2, 3}},
		"another visitor is no reason to wait": {"aab", []int{9, 1, 5}, "xyy", []int{2, 3, 1}},
	} {
		var batch []entry
		for i := range c.times {
			who := "v"
			if c.who != "" {
				who = string(c.who[i])
			}
			batch = append(batch, fleetEntry(t, uint64(i+1), string(c.nodes[i]), who, c.times[i]))
		}
		before := slices.Clone(batch)
		var got []int
		for _, e := range merge(batch) {
			got = append(got, int(e.Position.Offset(1)))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		for i := range batch {
			if batch[i].Position != before[i].Position {
				t.Errorf("%s: the batch itself was changed", name)
			}
		}
	}
}

// fleetOf returns the options of a node whose broker is never there.
func fleetOf(t *testing.T) *fleet.Options {
	t.Helper()
	o, err := fleet.Options{Servers: []string{"nats://127.0.0.1:1"}, Node: "n", MaxAge: time.Hour}.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	return &o
}

// In a fleet each lane that a node sends has an eighth of the rate and the burst, so that
// the sum is the same whoever sends them.
func TestRateOfLanes(t *testing.T) {
	s := &shared{fleet: fleet.New(*fleetOf(t), t.TempDir(), nil, nil)}
	d := newDestination("d", s, slog.New(slog.DiscardHandler))
	d.rate, d.burst, d.nodes = 80, 48, 1
	for n, want := range []float64{10, 10, 20, 30} { // one lane's part at least, for the moment of a change
		for i := range lanes {
			if d.workers[i] = nil; i < n {
				d.workers[i] = &worker{}
			}
		}
		d.limitLocked()
		if got := d.limiter.perSecond(); got != want || d.limiter.bucket.Burst() != int(want*48/80) {
			t.Errorf("%d lanes: %v requests/s and a burst of %d, want %v", n, got, d.limiter.bucket.Burst(), want)
		}
	}
}

// A breaker that follows does not try by itself; one that leads does, and when the pause
// is over all go on.
func TestBreakerFollows(t *testing.T) {
	faketime.Test(t, func(t *testing.T) {
		b, workers := testBreaker()
		tries := func(after time.Duration) bool {
			time.Sleep(after)
			ticket, ok := b.enter(workers[0])
			if ok {
				b.abandon(ticket)
			}
			return ok
		}
		b.hold(Misconfigured, 0, true)
		if tries(4*time.Minute) || !tries(2*time.Minute) {
			t.Error("a follower does not wait for 5 min, or for ever")
		}
		b.hold(Misconfigured, 0, true)
		b.hold(Misconfigured, 30*time.Second, false)
		if !tries(0) {
			t.Error("a new leader does not try")
		}
		b.hold(Misconfigured, 0, true)
		b.lead()
		if !tries(0) {
			t.Error("it does not go on when the pause is over")
		}
		ticket, _ := b.enter(workers[0])
		b.leave(ticket, tracking.Answer{Class: tracking.Accepted})
		if reason, _, _ := b.state(); reason != NotPaused {
			t.Errorf("paused: %v", reason)
		}
		b.hold(Throttled, 10*time.Second, false)
		if tries(9*time.Second) || !tries(2*time.Second) {
			t.Error("a pause of 10 s does not take 10 s")
		}
		b.hold(Misconfigured, 0, true)
		b.nudge() // a new configuration
		if !tries(0) {
			t.Error("a new configuration is not tried")
		}
	})
}

// A node whose broker is away captures and keeps all it is given, and leaves in bounded
// time; what it has is there for the next process.
func TestFleetApart(t *testing.T) {
	dir := t.TempDir()
	faketime.Test(t, func(t *testing.T) {
		log := newMemLog()
		f := newForwarder(dir, log.opener)
		s := Settings{Destinations: []Destination{{Name: "d", ClientID: "c", Token: func() (string, error) { return "t", nil }}}, Fleet: fleetOf(t)}
		if err := f.Start("owner", s); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := f.Capture("d", &event.Event{Type: event.Track, Name: "e", AnonymousID: "v"}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := f.Withdraw(context.Background(), "v"); err == nil {
			t.Error("an erasure succeeds although the other nodes cannot be asked")
		}
		began := time.Now()
		if err := f.Close(); err == nil {
			t.Error("nothing is said of what was not handed over")
		}
		if took := time.Since(began); took > stopLimit+5*time.Second {
			t.Errorf("took %v", took)
		}
		if err := f.Capture("d", &event.Event{Type: event.Track, Name: "e", AnonymousID: "v"}); err == nil {
			t.Error("captured after the end")
		}
		if n := log.backlog(); n != 3 {
			t.Errorf("%d events are left, want 3", n)
		}
	})
}
