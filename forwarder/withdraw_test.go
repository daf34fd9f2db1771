package forwarder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/deadletter"
	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// withdraw withdraws a visitor and checks whether there was anything to erase.
func (r *rig) withdraw(visitor string, want bool) {
	r.t.Helper()
	if erased, err := r.Withdraw(r.t.Context(), visitor); erased != want || err != nil {
		r.t.Errorf("erased %v, want %v; %v", erased, want, err)
	}
}

// TestWithdraw: events in the log, in a batch that is retried, without their
// destination and among the dead letters are not sent any more; other visitors
// and later events stay; the ID is in no file, and the audit tells nothing.
func TestWithdraw(t *testing.T) {
	bubble(t, refuseBad, func(r *rig) {
		other := laneMate(&event.Event{AnonymousID: secretID}).AnonymousID
		r.track(secretID, "bad")
		r.track(other, "bad-other")
		r.after(time.Minute)
		r.rec.becomes(always(status(503)))
		r.track(secretID, "gone")
		r.track(other, "kept")
		r.after(time.Minute) // being retried
		r.track(secretID, "gone too")
		for _, id := range []string{secretID, other} {
			if err := r.Capture("later", &event.Event{Type: event.Track, Name: "later " + id, AnonymousID: id}); err != nil {
				t.Fatal(err)
			}
		}
		r.withdraw(secretID, true)
		r.withdraw(secretID, false)
		r.track(secretID, "new")
		r.set.Destinations = append(r.set.Destinations, r.destination("later"))
		r.start()
		r.rec.becomes(always(ok))
		r.after(5 * time.Minute)
		got := r.rec.accepted()
		slices.Sort(got)
		if want := []string{"kept", "later " + other, "new"}; !slices.Equal(got, want) {
			t.Errorf("sent %v, want %v", got, want)
		}
		if s := r.main(); s.Erased.Track != 2 || s.Pending != 0 {
			t.Errorf("stats %+v", s)
		}
		list, err := r.DeadLetters(deadletter.Filter{}, 10)
		if err != nil || list.Matched != 1 || list.Letters[0].Event.Name() != "bad-other" {
			t.Errorf("dead letters %+v, %v", list, err)
		}
		files, err := os.ReadDir(r.dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if f.Name() == auditFile {
				t.Error("it is in the operators' audit")
			}
			if text, err := os.ReadFile(filepath.Join(r.dir, f.Name())); err != nil || strings.Contains(string(text), secretID) {
				t.Errorf("%s holds the ID (%v)", f.Name(), err)
			}
		}
	})
}

// TestWithdrawAgain: a visitor is erased again exactly when something was
// captured since, or when the erasure before has failed.
func TestWithdrawAgain(t *testing.T) {
	for name, c := range map[string]struct {
		between func(r *rig)
		want    bool
	}{
		"nothing":       {func(*rig) {}, false},
		"captured":      {func(r *rig) { r.track(secretID, "gone") }, true},
		"somebody else": {func(r *rig) { r.track("other", "kept") }, false},
		"user's own":    {func(r *rig) { r.capture(event.Event{Type: event.Track, Name: "kept", UserID: secretID}) }, false},
		"with a user": {func(r *rig) {
			r.capture(event.Event{Type: event.Track, Name: "gone", AnonymousID: secretID, UserID: "u"})
		}, true},
		"no destination": {func(r *rig) { _ = r.Capture("x", &event.Event{Type: event.Track, Name: "gone", AnonymousID: secretID}) }, true},
		"refused": {func(r *rig) { // invalid: it is nowhere
			if r.Capture("main", &event.Event{Type: event.Track, AnonymousID: secretID}) == nil {
				r.t.Error("no error")
			}
		}, false},
		"the queue failed": {func(r *rig) {
			r.track(secretID, "gone")
			r.log.flushErr = errNetwork
			if erased, err := r.Withdraw(r.t.Context(), secretID); erased || !errors.Is(err, errNetwork) {
				r.t.Errorf("erased %v, %v", erased, err)
			}
			if r.log.drops != 1 {
				r.t.Errorf("memory was searched %d times", r.log.drops)
			}
			r.log.flushErr = nil
		}, true},
		"the dead letters failed": {func(r *rig) {
			letter := deadletter.Letter{Destination: "main", Event: event.Stored(strings.ReplaceAll(string(stored(r.t)), `"v"`, `"`+secretID+`"`))}
			if _, err := r.shared.letters.Add(&letter, nil); err != nil {
				r.t.Fatal(err)
			}
			r.track(secretID, "gone")
			path := filepath.Join(r.dir, deadLetterFile)
			if err := errors.Join(os.Rename(path, path+".away"), os.Mkdir(path, 0o700)); err != nil {
				r.t.Fatal(err)
			}
			if erased, err := r.Withdraw(r.t.Context(), secretID); erased || err == nil {
				r.t.Errorf("erased %v, %v", erased, err)
			}
			if err := errors.Join(os.Remove(path), os.Rename(path+".away", path)); err != nil {
				r.t.Fatal(err)
			}
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, always(status(503)), func(r *rig) {
				r.noBalance = name == "no destination"
				r.withdraw(secretID, true)
				c.between(r)
				r.withdraw(secretID, c.want)
				r.rec.becomes(always(ok))
				r.after(5 * time.Minute)
				if got := r.rec.accepted(); slices.Contains(got, "gone") {
					t.Errorf("sent %v", got)
				}
				if got := r.letters(deadletter.Filter{}); len(got) != 0 {
					t.Errorf("dead letters %v", got)
				}
			})
		})
	}
}

// TestWithdrawAgainstCapture: an event that comes while its visitor is erased, and
// may be behind the place up to which that goes, is found by the next withdrawal.
func TestWithdrawAgainstCapture(t *testing.T) {
	for name, c := range map[string]struct {
		visitor string
		known   string // was erased before
		want    bool
	}{
		"the first one":         {secretID, "", true},
		"with others":           {secretID, "v", true},
		"the same one again":    {secretID, secretID, true},
		"somebody else's event": {"other", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, always(status(503)), func(r *rig) {
				if c.known != "" {
					r.withdraw(c.known, true)
				}
				r.track(secretID, "gone")
				r.log.onFlush = func() { r.track(c.visitor, "gone") }
				r.withdraw(secretID, true)
				r.log.onFlush = nil
				r.withdraw(secretID, c.want)
				r.withdraw(secretID, false)
			})
		})
	}
	t.Run("not in the queue yet", func(t *testing.T) {
		bubble(t, always(status(503)), func(r *rig) {
			r.track("other", "makes the lanes")
			r.after(time.Second) // the start has ended
			hold, captured := make(chan struct{}), make(chan struct{})
			r.log.mu.Lock()
			r.log.hold = hold
			r.log.mu.Unlock()
			go func() {
				defer close(captured)
				r.track(secretID, "gone")
			}()
			r.after(time.Second)
			r.withdraw(secretID, true)
			r.log.mu.Lock()
			r.log.hold = nil
			r.log.mu.Unlock()
			close(hold)
			<-captured
			r.withdraw(secretID, true)
		})
	})
}

// TestWithdrawTwice: of two withdrawals at once one waits for the other, and has
// nothing left to do.
func TestWithdrawTwice(t *testing.T) {
	bubble(t, always(status(503)), func(r *rig) {
		r.track(secretID, "gone")
		r.log.onFlush = func() { time.Sleep(time.Second) }
		erased := make(chan bool, 2)
		for range 2 {
			go func() {
				done, err := r.Withdraw(r.t.Context(), secretID)
				if err != nil {
					t.Error(err)
				}
				erased <- done
			}()
		}
		if first, second := <-erased, <-erased; first == second {
			t.Error("not exactly one has erased")
		}
	})
}

// TestWithdrawRate: withdrawals wait for their turn, and say so when they cannot;
// those with nothing to erase do not count.
func TestWithdrawRate(t *testing.T) {
	bubble(t, always(ok), func(r *rig) {
		start := time.Now()
		for i := range withdrawBurst {
			r.withdraw(fmt.Sprint("v", i), true)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("the burst took %v", d)
		}
		for range 10_000 {
			r.withdraw("v0", false)
		}
		for i := range 5 * withdrawRate {
			r.withdraw(fmt.Sprint("w", i), true)
		}
		if d := time.Since(start).Round(time.Millisecond); d != 5*time.Second {
			t.Errorf("%d more took %v", 5*withdrawRate, d)
		}
		ctx, cancel := context.WithTimeout(r.t.Context(), time.Second/withdrawRate/2)
		defer cancel()
		if erased, err := r.Withdraw(ctx, "late"); erased || !errors.Is(err, ErrTooManyWithdrawals) {
			t.Errorf("erased %v, %v", erased, err)
		}
		cancel()
		if erased, err := r.Withdraw(ctx, "later"); erased || !errors.Is(err, context.Canceled) {
			t.Errorf("erased %v, %v", erased, err)
		}
		r.withdraw("late", true)
	})
}

// TestWithdrawRefuses: what cannot be erased is told.
func TestWithdrawRefuses(t *testing.T) {
	bubble(t, always(status(503)), func(r *rig) {
		for _, id := range []string{"", "\xff"} {
			if erased, err := r.Withdraw(r.t.Context(), id); erased || err == nil || strings.Contains(err.Error(), "\xff") {
				t.Errorf("%q: erased %v, %v", id, erased, err)
			}
		}
		r.track("v", "e")
		r.after(time.Minute)
		r.log.mu.Lock()
		r.log.notHeld = true
		r.log.mu.Unlock()
		if erased, err := r.Withdraw(r.t.Context(), "v"); erased || !errors.Is(err, ErrNotHeld) {
			t.Errorf("another process has the queue: erased %v, %v", erased, err)
		}
		r.log.mu.Lock()
		r.log.notHeld = false
		for i := range maxErasedPlaces {
			l := r.log.lane(fmt.Sprintf("d%d/%d", i, event.Lane("v", "", lanes)))
			l.last = queue.At(r.log.incarnation, 1)
			l.acked = l.last
		}
		r.log.mu.Unlock()
		if erased, err := r.Withdraw(r.t.Context(), "v"); erased || !errors.Is(err, ErrTooManyWithdrawals) {
			t.Errorf("too many places: erased %v, %v", erased, err)
		}
	})
}

// What is remembered of visitors is bounded, and Capture allocates nothing for it.
func TestWithdrawnIsBounded(t *testing.T) {
	w := newWithdrawn()
	for i := range maxWithdrawn + 1000 {
		w.begin(fmt.Sprint(i))
		w.end(true)
	}
	if n := len(w.erased); n != maxWithdrawn {
		t.Errorf("%d visitors, want %d", n, maxWithdrawn)
	}
	if last := fmt.Sprint(maxWithdrawn + 999); !w.has(last, false) {
		t.Error("the last one is forgotten")
	}
	if n := testing.AllocsPerRun(1000, func() { w.capture("other") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
