package forwarder

import (
	"errors"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/deadletter"
	"github.com/intilery/caddy-intilery/forwarder/erasure"
)

// A process that does not have the queue changes nothing on disk: another one, of
// a rolling update, may be writing there.
func TestUpkeepNeedsTheQueue(t *testing.T) {
	bubble(t, refuseBad, func(r *rig) {
		r.dead(2)
		r.log.mu.Lock()
		r.log.notHeld = true
		r.log.mu.Unlock()
		ctx := r.t.Context()
		if n, err := r.PurgeDeadLetters(ctx, deadletter.Filter{}); n != 0 || !errors.Is(err, ErrNotHeld) {
			t.Errorf("purge: %d, %v", n, err)
		}
		if n, err := r.ReplayDeadLetters(ctx, deadletter.Filter{}); n.Events != 0 || !errors.Is(err, ErrNotHeld) {
			t.Errorf("replay: %+v, %v", n, err)
		}
		if n, err := r.Erase(ctx, erasure.Subject{AnonymousID: "v0"}); n.DeadLetters != 0 || !errors.Is(err, ErrNotHeld) {
			t.Errorf("erase: %+v, %v", n, err)
		}
		if got := r.letters(deadletter.Filter{}); len(got) != 2 {
			t.Errorf("left %v", got)
		}
	})
}

// An erasure and a replay do not run side by side: else the replay brings an
// event back that the erasure has just looked for.
func TestEraseAgainstReplay(t *testing.T) {
	bubble(t, refuseBad, func(r *rig) {
		r.dead(1)
		r.rec.becomes(always(status(503)))
		hold := make(chan struct{})
		r.log.mu.Lock()
		r.log.hold = hold
		r.log.mu.Unlock()
		done := make(chan error, 2)
		go func() {
			_, err := r.ReplayDeadLetters(r.t.Context(), deadletter.Filter{})
			done <- err
		}()
		r.after(time.Second) // the letter was read, and is not in the queue yet
		go func() {
			_, err := r.Erase(r.t.Context(), erasure.Subject{AnonymousID: "v0"})
			done <- err
		}()
		r.after(time.Second)
		r.log.mu.Lock()
		r.log.hold = nil
		r.log.mu.Unlock()
		close(hold)
		if err := errors.Join(<-done, <-done); err != nil {
			t.Error(err)
		}
		r.rec.becomes(always(ok))
		r.after(5 * time.Minute)
		if got := r.rec.accepted(); len(got) != 0 {
			t.Errorf("sent %v", got)
		}
		if got := r.letters(deadletter.Filter{}); len(got) != 0 {
			t.Errorf("dead letters %v", got)
		}
	})
}

// Letters of a destination that no configuration names any more stay where they
// are, also while it still has something pending.
func TestReplayOfRemovedDestination(t *testing.T) {
	bubble(t, refuseBad, func(r *rig) {
		r.dead(1)
		if err := r.Start("without", Settings{}); err != nil {
			t.Fatal(err)
		}
		r.track("v", "pending")
		r.after(time.Hour)
		if n, err := r.ReplayDeadLetters(r.t.Context(), deadletter.Filter{}); err != nil || n.Events != 0 || n.Kept != 1 {
			t.Errorf("%+v, %v", n, err)
		}
	})
}
