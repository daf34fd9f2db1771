package forwarder

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/event"
)

// TestCloseUnderHangingReceiver: two seconds are promised; nothing is lost.
func TestCloseUnderHangingReceiver(t *testing.T) {
	for name, rt := range map[string]func(*receiver) http.RoundTripper{
		"obeys its context": func(v *receiver) http.RoundTripper { return v },
		"obeys nothing":     func(v *receiver) http.RoundTripper { return deaf{v} },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, always(reply{hang: true}), func(r *rig) {
				r.set.Destinations[0].Transport = rt(r.rec)
				r.start()
				r.crowd(100)
				r.after(time.Second)
				start := time.Now()
				if err := r.Close(); err != nil {
					t.Error(err)
				}
				want := closeGrace
				if name == "obeys nothing" {
					want += closeLimit
				}
				if d := time.Since(start); d != want || d >= 2*time.Second {
					t.Errorf("Close took %v, want %v", d, want)
				}
				if r.log.backlog() != 100 {
					t.Errorf("backlog %d", r.log.backlog())
				}
				if err := r.Close(); err != nil {
					t.Errorf("second Close: %v", err)
				}
				time.Sleep(time.Minute) // the deaf one's requests end
			})
		})
	}
}

// deaf is a transport that does not care about contexts.
type deaf struct{ v *receiver }

func (d deaf) RoundTrip(*http.Request) (*http.Response, error) {
	time.Sleep(time.Minute / 2)
	return nil, errNetwork
}

// TestCloseLetsRequestsComplete: a restart does not send events twice for no reason.
func TestCloseLetsRequestsComplete(t *testing.T) {
	bubble(t, always(late(400*time.Millisecond)), func(r *rig) {
		r.crowd(100)
		r.after(linger)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if r.log.backlog() != 0 {
			t.Errorf("backlog %d", r.log.backlog())
		}
	})
}

func TestCaptureAfterClose(t *testing.T) {
	bubble(t, always(ok), func(r *rig) {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if err := r.Capture("main", &event.Event{Type: event.Page, AnonymousID: "a"}); !errors.Is(err, ErrClosed) {
			t.Errorf("Capture: %v", err)
		}
		if err := r.Capture("other", &event.Event{Type: event.Page, AnonymousID: "a"}); !errors.Is(err, ErrClosed) {
			t.Errorf("Capture: %v", err)
		}
		if err := r.Start("again", r.set); !errors.Is(err, ErrClosed) {
			t.Errorf("Start: %v", err)
		}
		r.Stop("test")
		if s := r.Stats(); s.Destinations["main"].Lost[LostClosed] != 1 || s.Unknown != 1 {
			t.Errorf("stats %+v", s)
		}
		// The log never saw it, so its own account does not either.
	})
}

func TestNeverStarted(t *testing.T) {
	f := New(t.TempDir())
	if err := f.Capture("main", &event.Event{Type: event.Page, AnonymousID: "a"}); err != nil {
		t.Errorf("Capture before Start: %v", err)
	}
	if s := f.Stats(); len(s.Destinations) != 0 {
		t.Errorf("stats %+v", s)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if s := f.Stats(); s.Unknown != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestCaptureRefuses(t *testing.T) {
	bubble(t, always(ok), func(r *rig) {
		r.log.limit = 1
		smallest, err := (&event.Event{Type: event.Track, Name: "n", AnonymousID: "v", Properties: []byte(`{"x":""}`)}).Store("1.0")
		if err != nil {
			t.Fatal(err)
		}
		fits := event.MaxBytes - smallest.SentBytes()
		props := func(n int) []byte { return []byte(`{"x":"` + strings.Repeat("x", n) + `"}`) }
		for _, c := range []struct {
			event event.Event
			want  error
		}{
			{event.Event{Type: event.Track, AnonymousID: "v"}, event.ErrInvalid},
			{event.Event{}, event.ErrInvalid},
			{event.Event{Type: event.Track, Name: "n", AnonymousID: "v", Properties: props(fits + 1)}, event.ErrTooLarge},
			{event.Event{Type: event.Track, Name: "n", AnonymousID: "v", Properties: props(fits)}, nil},
			{event.Event{Type: event.Identify, AnonymousID: "v"}, ErrFull},
		} {
			if err := r.Capture("main", &c.event); !errors.Is(err, c.want) {
				t.Errorf("%v %s: %v, want %v", c.event.Type, c.event.Name, err, c.want)
			}
		}
		s := r.main()
		if s.Captured.Sum() != 5 || s.Lost[LostInvalid] != 2 || s.Lost[LostTooLarge] != 1 || s.Shed.Identify != 1 {
			t.Errorf("stats %+v", s)
		}
		r.after(time.Second)
		for _, q := range r.rec.list() {
			if n := q.bytes - len(batchPrefix) - len(batchSuffix); n != event.MaxBytes {
				t.Errorf("the largest event has %d bytes, want %d", n, event.MaxBytes)
			}
		}
	})
}

// TestCaptureDoesNotChangeTheEvent: it may be captured for several destinations.
func TestCaptureDoesNotChangeTheEvent(t *testing.T) {
	bubble(t, always(ok), func(r *rig) {
		e := &event.Event{Type: event.Track, Name: "n", AnonymousID: "v"}
		if err := errors.Join(r.Capture("main", e), r.Capture("main", e)); err != nil {
			t.Fatal(err)
		}
		if e.MessageID != "" || !e.Timestamp.IsZero() {
			t.Errorf("event %+v", e)
		}
		r.after(time.Second)
		if c := r.rec.list()[0].calls; c[0].MessageID == c[1].MessageID {
			t.Error("two captures share a messageId")
		}
	})
}

// TestCaptureBeforeStart: handlers may serve before the app has started.
func TestCaptureBeforeStart(t *testing.T) {
	bubble(t, always(ok), func(r *rig) {
		for i := range 10 {
			if err := r.Capture("new", &event.Event{Type: event.Track, Name: fmt.Sprint("e", i), AnonymousID: "v"}); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Capture("never", &event.Event{Type: event.Track, Name: "e", AnonymousID: "v"}); err != nil {
			t.Fatal(err)
		}
		r.set.Destinations = append(r.set.Destinations, r.destination("new"))
		r.start()
		r.after(time.Second)
		if got := strings.Join(r.rec.accepted(), " "); got != "e0 e1 e2 e3 e4 e5 e6 e7 e8 e9" {
			t.Errorf("got %s", got)
		}
		// A flood for an unknown destination is bounded.
		var err error
		n := 0
		for ; err == nil; n++ {
			err = r.Capture("never", &event.Event{Type: event.Track, Name: "e", AnonymousID: "v", Properties: []byte(`{"x":"` + strings.Repeat("x", 10_000) + `"}`)})
		}
		if !errors.Is(err, ErrUnknownDestination) || n > unroutedBytes/10_000+1 {
			t.Errorf("%d held, %v", n, err)
		}
		if s := r.Stats(); s.Unknown != 2 {
			t.Errorf("unknown %d, want the one before Start and the last", s.Unknown)
		}
	})
}

func TestStartRefuses(t *testing.T) {
	bubble(t, always(ok), func(r *rig) {
		for want, change := range map[string]func(*Settings, *Destination){
			`destination "": want a name`:                    func(_ *Settings, d *Destination) { d.Name = "" },
			`destination "a/b": want a name`:                 func(_ *Settings, d *Destination) { d.Name = "a/b" },
			`destination "x": no auth token`:                 func(_ *Settings, d *Destination) { d.Token = nil },
			`destination "x": client ID is empty`:            func(_ *Settings, d *Destination) { d.ClientID = "" },
			`destination "x": endpoint "nowhere": want http`: func(_ *Settings, d *Destination) { d.Endpoint = "nowhere" },
			`destination "x": rate -1: want`:                 func(_ *Settings, d *Destination) { d.Rate = -1 },
			`destination "x": burst -1: want`:                func(_ *Settings, d *Destination) { d.Burst = -1 },
			`destination "x": nodes -1: want`:                func(_ *Settings, d *Destination) { d.Nodes = -1 },
			`destination "main": the name is used twice`:     func(_ *Settings, d *Destination) { d.Name = "main" },
			`dead letter size 5 bytes: want at least 1 MiB`:  func(s *Settings, _ *Destination) { s.DeadLetterBytes = 5 },
			`memory for events 5 bytes: want at least 1 MiB`: func(s *Settings, _ *Destination) { s.BufferBytes = 5 },
			`free space floor -5 bytes: want 0 or more`:      func(s *Settings, _ *Destination) { s.FreeSpaceFloor = -5 },
		} {
			set, d := r.set, r.destination("x")
			change(&set, &d)
			set.Destinations = append(slices.Clone(set.Destinations), d)
			if err := r.Start("wrong", set); err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		}
		if !r.main().Sending || len(r.Stats().Destinations) != 1 {
			t.Error("wrong settings changed something")
		}
	})
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	var n atomic.Int64
	bubble(t, func(*request) reply {
		if n.Add(1)%7 == 0 {
			return status(429)
		}
		return ok
	}, func(r *rig) {
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range 200 {
					_ = r.Capture("main", &event.Event{Type: event.Track, Name: "e", AnonymousID: fmt.Sprint(g, i)})
					switch {
					case g == 0 && i%20 == 0:
						r.Stats()
					case g == 1 && i%20 == 0:
						_ = r.Start(fmt.Sprint("o", i), r.set)
					case g == 1 && i%20 == 10:
						r.Stop(fmt.Sprint("o", i-10))
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
		wg.Wait()
		r.after(10 * time.Minute)
		if s := r.main(); s.Acknowledged.Sum() != 800 {
			t.Errorf("stats %+v", s)
		}
	})
}
