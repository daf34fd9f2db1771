//go:build linux

package fleet

import (
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/fleettest/harness"
)

// TestLeaderStops measures how long nothing is delivered, and how long nothing of a
// lane, when a broker ends that leads a lane's stream. It comes back after 6 s.
func TestLeaderStops(t *testing.T) {
	const times, away = 8, 6 * time.Second
	for _, c := range []struct {
		name string
		stop func(b *harness.Broker)
	}{
		{"stopped", func(b *harness.Broker) { b.Stop() }},
		{"killed", func(b *harness.Broker) { b.Kill() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			begin(t)
			f := harness.NewFleet(t, harness.FleetOptions{Lease: lease})
			load := &harness.Load{Rate: 2000, Visitors: visible}
			start(t, f, load)
			lane, held := lanesOf(t, f, visible), watchLeases(t, f.Cluster)
			var stops []time.Time
			for i := range times {
				held.balanced(t, f, load)
				flowing(t, f, lane)
				b := f.Cluster.Leader(harness.Stream(i % lanes))
				stops = append(stops, time.Now())
				c.stop(b)
				passed(t, load, away)
				f.Cluster.Start()
				passed(t, load, 3*time.Second)
				flowing(t, f, lane)
			}
			stops = append(stops, time.Now())
			t.Log(f.Deliver(t, load.Stop(), time.Minute))
			var all, one []time.Duration
			deliveries := f.Receiver.Deliveries()
			for i, at := range stops[:times] {
				a, o := gaps(deliveries, lane, at, stops[i+1])
				t.Logf("at %s: %v without any delivery, %v without one of a lane", at.Format("15:04:05.000"), a, o)
				all, one = append(all, a), append(one, o)
			}
			t.Log("longest time without any delivery:", summary(all))
			t.Log("longest time without one of a lane:", summary(one))
		})
	}
}

// flowing waits until events of all lanes are delivered.
func flowing(t *testing.T, f *harness.Fleet, lane []int) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		list := f.Receiver.Deliveries()
		var seen [lanes]bool
		n := 0
		for i := len(list) - 1; i >= 0 && time.Since(list[i].At) < time.Second; i-- {
			if l := lane[list[i].ID.Visitor]; !seen[l] {
				seen[l] = true
				n++
			}
		}
		switch {
		case n == lanes:
			return
		case time.Since(begun) > time.Minute:
			t.Fatalf("events of %d lanes only are delivered", n)
		}
	}
}

// gaps returns the longest time without any delivery, and without one of a lane,
// that ends between two moments.
func gaps(list []harness.Delivery, lane []int, from, to time.Time) (all, one time.Duration) {
	var last time.Time
	var lastOf [lanes]time.Time
	for _, d := range list {
		n := lane[d.ID.Visitor]
		if d.At.After(to) {
			break
		}
		if d.At.After(from) {
			all, one = max(all, d.At.Sub(last)), max(one, d.At.Sub(lastOf[n]))
		}
		last, lastOf[n] = d.At, d.At
	}
	return all.Round(time.Millisecond), one.Round(time.Millisecond)
}
