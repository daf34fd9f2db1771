package forwarder

import (
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/intilery/caddy-intilery/forwarder/deadletter"
	"github.com/intilery/caddy-intilery/forwarder/erasure"
	"github.com/intilery/caddy-intilery/forwarder/event"
)

// seen keeps the names of the events that it sees, with those of whom it is told.
type seen struct {
	captured []string
	erased   []bool // whether it was secretID
}

func (s *seen) Captured(destination string, e *event.Event, stored event.Stored) {
	s.captured = append(s.captured, destination+" "+e.Name+" "+stored.Name())
}

func (s *seen) Erased(is func(anonymousID, userID string) bool) {
	s.erased = append(s.erased, is(secretID, ""))
}

// An observer sees what is valid, before the queue has it, and hears of each erasure,
// also of one that the queue cannot carry out.
func TestObserver(t *testing.T) {
	bubble(t, always(ok), func(r *rig) {
		s := new(seen)
		r.Observe(s)
		r.track(secretID, "a")
		if err := r.Capture("main", &event.Event{Type: event.Track}); !errors.Is(err, event.ErrInvalid) {
			t.Fatal(err)
		}
		synctest.Wait()
		if !slices.Equal(s.captured, []string{"main a a"}) {
			t.Errorf("seen %q", s.captured)
		}
		if _, err := r.Erase(r.t.Context(), erasure.Subject{AnonymousID: secretID}); err != nil {
			t.Fatal(err)
		}
		r.withdraw(secretID, true)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Withdraw(r.t.Context(), "other"); !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
		if !slices.Equal(s.erased, []bool{true, true, false}) {
			t.Errorf("told of %v", s.erased)
		}
	})
}

// A node forgets whom another one of its fleet has erased.
func TestObserverInFleet(t *testing.T) {
	bubble(t, always(ok), func(r *rig) {
		s := new(seen)
		l := nodeLog{
			&shared{queue: r.shared.queue, files: deadletter.New(t.TempDir(), 1<<20, nil), observer: s}, slog.New(slog.DiscardHandler),
		}
		if _, err := l.Erase(r.t.Context(), func(a, _ string) bool { return a == secretID }); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(s.erased, []bool{true}) {
			t.Errorf("told of %v", s.erased)
		}
	})
}
