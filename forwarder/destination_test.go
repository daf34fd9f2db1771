package forwarder

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/event"
)

// many returns settings with so many destinations, each with another name.
func (r *rig) many(prefix string, n int) (s Settings) {
	s = r.set
	s.Destinations = nil
	for i := range n {
		s.Destinations = append(s.Destinations, r.destination(fmt.Sprint(prefix, i)))
	}
	return s
}

// Destinations that are removed are given back when they have nothing left: their
// accounts, their lanes and their names. One with a backlog is kept.
func TestRemovedDestinations(t *testing.T) {
	bubble(t, always(ok), func(r *rig) {
		for reload := range 6 {
			prefix := fmt.Sprintf("reload%d-", reload)
			if err := r.Start(prefix, r.many(prefix, 100)); err != nil {
				t.Fatal(err)
			}
			for i := range 100 {
				if err := r.Capture(fmt.Sprint(prefix, i), &event.Event{Type: event.Page, AnonymousID: "v"}); err != nil {
					t.Fatal(err)
				}
			}
			r.after(2 * time.Second)
		}
		if n := len(r.rec.accepted()); n != 600 {
			t.Errorf("%d of 600 events were delivered", n)
		}
		_ = r.Capture("reload0-0", &event.Event{Type: event.Page, AnonymousID: "v"}) // a handler of old still serves
		r.after(retireAfter)
		s := r.Stats()
		if n := len(s.Destinations); n != 101 {
			t.Errorf("%d destinations are told of, want the 100 in force and one with a backlog", n)
		}
		if d := s.Destinations["reload0-0"]; d.Pending != 1 || d.Sending {
			t.Errorf("the one with a backlog: %+v", d)
		}
		if n := len(r.Stats().Log.Pending); n > 101 {
			t.Errorf("%d lanes are kept", n)
		}
		if err := r.Capture("reload1-0", &event.Event{Type: event.Page, AnonymousID: "v"}); err != nil {
			t.Errorf("an event of a forgotten destination: %v", err)
		}
		// One that comes back begins anew; its backlog is sent.
		if err := r.Start("again", r.many("reload0-", 1)); err != nil {
			t.Fatal(err)
		}
		r.after(time.Second)
		if d := r.Stats().Destinations["reload0-0"]; d.Pending != 0 || d.Acknowledged.Page != 2 {
			t.Errorf("the one that came back: %+v", d)
		}
		// Those forgotten took their accounts along, and one event was for nobody.
		if n := r.Stats().Unknown; n != 1 {
			t.Errorf("%d events of unknown destinations, want 1", n)
		}
		r.noBalance = true
	})
}

// With thousands of destinations each delivers, and none holds memory or a
// goroutine while it has nothing to send, or cannot.
func TestManyDestinations(t *testing.T) {
	const n = 5000
	f := New(t.TempDir())
	defer f.Close()
	var s Settings
	for i := range n {
		s.Destinations = append(s.Destinations, Destination{
			Name: fmt.Sprint("customer", i), ClientID: fmt.Sprint("c", i), Transport: accepting{}, Token: func() (string, error) { return "t", nil },
		})
	}
	before, goroutines := heap(), runtime.NumGoroutine()
	if err := f.Start("a", s); err != nil {
		t.Fatal(err)
	}
	if used := heap() - before; used > 40<<20 {
		t.Errorf("%d bytes for %d destinations that had no event yet", used, n)
	}
	for i := range n {
		if err := f.Capture(s.Destinations[i].Name, &event.Event{Type: event.Track, Name: "e", AnonymousID: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	delivered := func() (sum uint64) {
		for _, d := range f.Stats().Destinations {
			sum += d.Acknowledged.Sum()
		}
		return sum
	}
	for end := time.Now().Add(time.Minute); delivered() < n && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
	}
	if got := delivered(); got != n {
		t.Fatalf("%d of %d events were delivered: %+v", got, n, f.Stats().Log)
	}
	for end := time.Now().Add(time.Minute); runtime.NumGoroutine() > goroutines+20 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
	}
	if got := runtime.NumGoroutine(); got > goroutines+20 {
		t.Errorf("%d goroutines while idle, %d before", got, goroutines)
	}
	if used := heap() - before; used > 60<<20 {
		t.Errorf("%d bytes for %d idle destinations", used, n)
	}
}

// While a destination is paused its lanes hold no events in memory and no
// goroutines.
func TestPausedHoldsNothing(t *testing.T) {
	bubble(t, always(status(403)), func(r *rig) {
		goroutines := runtime.NumGoroutine()
		r.crowd(500)
		r.after(time.Hour)
		if got := runtime.NumGoroutine(); got >= goroutines+lanes { // other tests' may come and go
			t.Errorf("%d goroutines, %d before", got, goroutines)
		}
		for _, w := range (*r.destinations.Load())["main"].workers {
			if n := len(w.in.out); n > 0 {
				t.Errorf("%s has %d events in memory", w.in.name, n)
			}
		}
		r.ordered()
	})
}
