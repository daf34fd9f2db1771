//go:build linux

package fleet

import (
	"net/http"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/intilery/caddy-intilery/bench/internal/measure"
	"github.com/intilery/caddy-intilery/fleettest/harness"
	"github.com/intilery/caddy-intilery/forwarder/event"
)

// TestHandOver measures how fast a node hands a backlog over that is in its log,
// while Intilery takes nothing.
func TestHandOver(t *testing.T) {
	const events, rounds = 200_000, 3
	for _, c := range []struct {
		name       string
		bytes      int
		syncAlways bool
	}{
		{"700 B, default sync", 700, false},
		{"1 KB, default sync", 1024, false},
		{"700 B, sync_interval always", 700, true},
		{"1 KB, sync_interval always", 1024, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			begin(t)
			list := views(t, events, c.bytes)
			var rates, used []float64
			for range rounds {
				rate, cpu := handOver(t, list, c.syncAlways)
				rates, used = append(rates, rate), append(used, cpu)
				t.Logf("%.0f events/s, %.1f CPU µs/event of the node", rate, cpu)
			}
			t.Logf("median %.0f events/s, %.1f CPU µs/event", measure.Median(rates), measure.Median(used))
		})
	}
}

func handOver(t *testing.T, list []event.Event, syncAlways bool) (perSecond, cpuPerEvent float64) {
	t.Helper()
	dir := t.TempDir()
	f := open(t, dir, nil, http.StatusServiceUnavailable) // alone: it only fills its log
	for i := 0; i < len(list); i += 5000 {
		capture(t, f, list[i:min(i+5000, len(list))])
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	c := harness.NewCluster(t, harness.ClusterOptions{MaxStore: 8 << 30, SyncAlways: syncAlways})
	defer func() {
		for _, b := range c.Brokers {
			b.Kill()
		}
	}()
	js := jetStream(t, c)
	f = open(t, t.TempDir(), c, http.StatusServiceUnavailable) // makes the streams
	made(t, js)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	before := cpu(t)
	f = open(t, dir, c, http.StatusServiceUnavailable)
	// Positions are messages as well; what counts is when the last message has come.
	type sample struct {
		at       time.Time
		messages uint64
	}
	var first, last sample
	for begun := time.Now(); last.messages < uint64(len(list)) || time.Since(last.at) < 500*time.Millisecond; time.Sleep(50 * time.Millisecond) {
		now := sample{time.Now(), stored(t, js)}
		if first.messages == 0 {
			first = now
		}
		if now.messages > last.messages {
			last = now
		}
		if time.Since(begun) > 2*time.Minute {
			t.Fatalf("%d of %d events are handed over", last.messages, len(list))
		}
	}
	cpuPerEvent = float64((cpu(t) - before).Microseconds()) / float64(len(list))
	share := float64(last.messages-first.messages) / float64(last.messages)
	if share < .5 {
		t.Fatalf("the hand-over was seen too late: %d of %d messages", first.messages, last.messages)
	}
	perSecond = share * float64(len(list)) / last.at.Sub(first.at).Seconds()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return perSecond, cpuPerEvent
}

// stored is how many messages the streams of lanes hold.
func stored(t *testing.T, js jetstream.JetStream) (n uint64) {
	t.Helper()
	for lane := range lanes {
		s, err := js.Stream(t.Context(), harness.Stream(lane))
		if err != nil {
			return 0 // it says nothing now
		}
		n += s.CachedInfo().State.Msgs
	}
	return n
}
