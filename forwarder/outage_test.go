package forwarder

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/event"
)

// crowd captures n events of as many visitors, so that all lanes have some.
func (r *rig) crowd(n int) {
	r.t.Helper()
	for i := range n {
		r.track(fmt.Sprint("visitor", i), "e")
	}
}

// TestOutage: one lane probes while the others wait, and they come back by and by.
func TestOutage(t *testing.T) {
	bubble(t, always(status(503)), func(r *rig) {
		r.crowd(200)
		r.after(time.Hour)
		// Up to all lanes at the start, then probes: 30 s apart on the average.
		if n := len(r.rec.list()); n < 60 || n > 250 {
			t.Errorf("%d requests in an hour without an answer", n)
		}
		if r.out.count("delivery is interrupted") != 1 || r.main().Paused != Unavailable || r.main().NextTry.IsZero() {
			t.Errorf("told %d times, stats %+v", r.out.count("delivery is interrupted"), r.main())
		}
		before := len(r.rec.list())
		r.rec.becomes(always(late(100 * time.Millisecond)))
		r.after(90 * time.Second)
		if s := r.main(); s.Acknowledged.Sum() != 200 || s.Paused != NotPaused {
			t.Fatalf("stats %+v", s)
		}
		reqs := r.rec.list()[before:]
		if len(reqs) != lanes {
			t.Fatalf("%d requests, want one for each lane", len(reqs))
		}
		// Slow start: one probe, one more, two, four.
		for i, wave := range []int{0, 1, 2, 2, 3, 3, 3, 3} {
			if d, want := reqs[i].at.Sub(reqs[0].at), time.Duration(wave)*100*time.Millisecond; d != want {
				t.Errorf("request %d went %v after the probe, want %v", i, d, want)
			}
		}
		if r.out.count("delivery has recovered", "was=unavailable") != 1 {
			t.Error("the recovery was not told once")
		}
	})
}

// TestPoisonedLaneDoesNotHoldTheRest: a batch that the receiver fails on each
// time is tried on, while other lanes deliver.
func TestPoisonedLaneDoesNotHoldTheRest(t *testing.T) {
	bubble(t, poison(500, "poison"), func(r *rig) {
		r.track("v", "poison")
		for range 60 {
			r.crowd(50)
			r.after(time.Second)
		}
		r.after(2 * time.Minute)
		// About an eighth of the visitors shares the poisoned lane.
		if s := r.main(); s.Acknowledged.Sum() < 60*50*3/4 || s.DeadLettered.Sum() != 0 {
			t.Errorf("stats %+v", s)
		}
		if n := r.main().Requests[500]; n > 120 {
			t.Errorf("%d attempts of the poisoned batch", n)
		}
	})
}

// TestTokenChange: a paused destination goes on as soon as the token is right.
func TestTokenChange(t *testing.T) {
	bubble(t, func(r *request) reply {
		if r.token != "right" {
			return status(403)
		}
		return ok
	}, func(r *rig) {
		var token atomic.Value
		token.Store("wrong\n")
		r.set.Destinations[0].Token = func() (string, error) { return token.Load().(string), nil }
		r.start()
		r.crowd(50)
		r.after(20 * time.Minute)
		if s := r.main(); s.Paused != Misconfigured || s.Pending != 50 {
			t.Fatalf("stats %+v", s)
		}
		if n := r.out.count("token not accepted for this account and brand: correct auth_token"); n != 1 {
			t.Errorf("told %d times", n)
		}
		if r.out.count("wrong")+r.out.count("t0k3n") > 0 {
			t.Error("the token was logged")
		}
		// Probes: 30 s, 1, 2, 4, 5, 5 min, after at most one request per lane.
		if n := len(r.rec.list()); n < 6 || n > 6+lanes {
			t.Errorf("%d requests in 20 minutes", n)
		}
		token.Store("right\n")
		r.after(tokenRecheck + time.Second)
		if s := r.main(); s.Paused != NotPaused || s.Acknowledged.Sum() != 50 {
			t.Errorf("stats %+v", s)
		}
	})
}

// TestTokenRotation: a rotated token costs one refused request per lane, no pause.
func TestTokenRotation(t *testing.T) {
	var want atomic.Value
	want.Store("one")
	bubble(t, func(r *request) reply {
		if r.token != want.Load() {
			return status(401)
		}
		return ok
	}, func(r *rig) {
		r.set.Destinations[0].Token = func() (string, error) { return want.Load().(string), nil }
		r.start()
		r.track("v", "e")
		r.after(time.Second)
		want.Store("two")
		r.track("v", "f")
		r.after(time.Second)
		if s := r.main(); s.Acknowledged.Sum() != 2 || s.Requests[401] != 1 || s.Paused != NotPaused {
			t.Errorf("stats %+v", s)
		}
	})
}

// TestProbeReadsToken: a token that changed during an outage is known after it.
func TestProbeReadsToken(t *testing.T) {
	bubble(t, always(status(503)), func(r *rig) {
		var token atomic.Value
		token.Store("old")
		r.set.Destinations[0].Token = func() (string, error) { return token.Load().(string), nil }
		r.start()
		r.track("v", "e")
		r.after(time.Hour)
		token.Store("new")
		r.after(2 * time.Minute)
		reqs := r.rec.list()
		if got := reqs[len(reqs)-1].token; got != "new" {
			t.Errorf("token %q", got)
		}
	})
}

// TestNoMoreRequestsOncePaused: lanes that wait for the rate see that the breaker
// has opened meanwhile.
func TestNoMoreRequestsOncePaused(t *testing.T) {
	bubble(t, always(status(404)), func(r *rig) {
		r.set.Destinations[0].Rate, r.set.Destinations[0].Burst = 1, 1
		r.start()
		r.crowd(100)
		r.after(30*time.Second - time.Second)
		if n := len(r.rec.list()); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
}

func TestTokenUnreadable(t *testing.T) {
	bubble(t, always(ok), func(r *rig) {
		var mended atomic.Bool
		r.set.Destinations[0].Token = func() (string, error) {
			if !mended.Load() {
				return "", fmt.Errorf("open token file: no such file")
			}
			return "t", nil
		}
		r.start()
		r.track("v", "e")
		r.after(time.Hour)
		if s := r.main(); s.Paused != Misconfigured || len(r.rec.list()) != 0 || r.out.count("no usable auth token", "no such file") != 1 {
			t.Errorf("stats %+v", s)
		}
		mended.Store(true)
		r.after(tokenRecheck + time.Second)
		if s := r.main(); s.Acknowledged.Sum() != 1 {
			t.Errorf("stats %+v", s)
		}
	})
}

// TestThrottle: a 429 holds all lanes, halves the rate, and a second without
// one gives a request per second back.
func TestThrottle(t *testing.T) {
	bubble(t, first(reply{status: 429, header: http.Header{"Retry-After": {"10"}}}), func(r *rig) {
		r.track("v", "e")
		r.after(linger)
		if s := r.main(); s.Rate != 40 || s.Paused != Throttled || time.Until(s.NextTry) != 10*time.Second {
			t.Fatalf("stats %+v", s)
		}
		r.crowd(100)
		r.after(10*time.Second - time.Millisecond)
		if n := len(r.rec.list()); n != 1 {
			t.Fatalf("%d requests during the pause", n-1)
		}
		r.after(time.Second)
		if n := r.main().Acknowledged.Sum(); n != 101 {
			t.Errorf("%d acknowledged", n)
		}
		for _, c := range []struct {
			after time.Duration
			rate  float64
		}{{14 * time.Second, 55}, {time.Hour, 80}} {
			r.after(c.after)
			r.track("v", "e")
			r.after(linger)
			if s := r.main(); s.Rate != c.rate {
				t.Errorf("rate %v, want %v", s.Rate, c.rate)
			}
		}
	})
}

// TestRate: the configured rate, divided by nodes, is kept.
func TestRate(t *testing.T) {
	bubble(t, always(ok), func(r *rig) {
		r.set.Destinations[0].Rate, r.set.Destinations[0].Burst, r.set.Destinations[0].Nodes = 20, 10, 2
		r.start()
		for range 60 { // each second, one small batch per lane
			r.crowd(100)
			r.after(time.Second)
		}
		if n := len(r.rec.list()); n < 360 || n > 8*60 {
			t.Fatalf("%d requests in a minute", n)
		}
		// Retrying lanes are bound by it too.
		r.set.Destinations[0].Rate, r.set.Destinations[0].Burst, r.set.Destinations[0].Nodes = 2, 1, 1
		r.start()
		before := len(r.rec.list())
		for range 60 {
			r.crowd(100)
			r.after(time.Second)
		}
		if n := len(r.rec.list()) - before; n < 115 || n > 122 {
			t.Errorf("%d requests in a minute at 2 per second", n)
		}
		r.after(time.Minute)
	})
}

// TestSlowDestinationDoesNotHoldAnother has one that never answers.
func TestSlowDestinationDoesNotHoldAnother(t *testing.T) {
	bubble(t, always(reply{hang: true}), func(r *rig) {
		quick := &receiver{answer: always(ok)}
		other := r.destination("other")
		other.Transport = quick
		r.set.Destinations = append(r.set.Destinations, other)
		r.start()
		r.crowd(50)
		for range 10 {
			if err := r.Capture("other", &event.Event{Type: event.Identify, UserID: "u"}); err != nil {
				t.Fatal(err)
			}
			r.after(time.Second)
		}
		s := r.Stats()
		if s.Destinations["other"].Acknowledged.Identify != 10 || s.Destinations["main"].Acknowledged.Sum() != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}
