package forwarder

import (
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/internal/faketime"
)

func TestThroughput(t *testing.T) {
	faketime.Test(t, func(t *testing.T) {
		var m throughput
		want := func(low, high float64) {
			t.Helper()
			if r := m.rate(); r < low || r > high {
				t.Errorf("rate %v, want %v to %v", r, low, high)
			}
		}
		want(0, 0)
		m.add(50)
		want(50, 50)
		for range 60 {
			time.Sleep(time.Second)
			m.add(100)
		}
		want(90, 110)
		time.Sleep(2 * throughputSpan)
		want(0, 50)
		time.Sleep(throughputSpan)
		want(0, 0)
	})
}

// TestDrainETA: it follows from what is pending and how fast it goes, and is
// not known while nothing goes.
func TestDrainETA(t *testing.T) {
	answer := status(503)
	bubble(t, func(*request) reply { return answer }, func(r *rig) {
		if s := r.main(); s.DrainETA != 0 {
			t.Errorf("idle: %v", s.DrainETA)
		}
		for range 3 {
			r.track("v", "e")
		}
		r.after(time.Minute)
		s := r.main()
		if s.DrainETA >= 0 || s.Lanes[laneOf(&event.Event{AnonymousID: "v"})] != 3 || s.RequestDurations.Count == 0 {
			t.Errorf("stats %+v", s)
		}
		r.rec.becomes(always(ok))
		r.after(2 * time.Minute)
		r.rec.becomes(func(q *request) reply { return late(5 * time.Second) })
		for i := range 10 {
			r.track("v", "e")
			r.after(time.Duration(i%2) * 4 * time.Second)
		}
		if s := r.main(); s.DrainETA <= 0 || s.DrainETA > time.Minute {
			t.Errorf("drain in %v, %d pending", s.DrainETA, s.Pending)
		}
		r.after(time.Minute)
	})
}
