package forwarder

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestMeter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m meter
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
		time.Sleep(2 * meterWindow)
		want(0, 50)
		time.Sleep(meterWindow)
		want(0, 0)
	})
}

func TestDurations(t *testing.T) {
	var h durations
	for _, d := range []time.Duration{0, 5 * time.Millisecond, 6 * time.Millisecond, time.Hour} {
		h.observe(d)
	}
	got := h.read()
	if got.Count != 4 || got.Sum != time.Hour+11*time.Millisecond || got.Buckets[0] != 2 || got.Buckets[1] != 3 || got.Buckets[len(got.Buckets)-1] != 3 {
		t.Errorf("%+v", got)
	}
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
		if s.DrainETA >= 0 || s.Lanes[laneOf(&Event{AnonymousID: "v"})] != 3 || s.RequestDurations.Count == 0 {
			t.Errorf("stats %+v", s)
		}
		r.rec.becomes(always(ok))
		r.after(2 * time.Minute)
		r.rec.becomes(func(q *request) reply { return reply{status: 200, delay: 5 * time.Second} })
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
