package forwarder

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/deadletter"
	"github.com/intilery/caddy-intilery/forwarder/erasure"
	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/internal/faketime"
)

const (
	secretID      = "visitor-to-be-forgotten"
	tombstoneFile = "tombstones.jsonl"
	auditFile     = "audit.jsonl"
)

// TestErase: events in the log and in a batch that is retried are not sent any
// more, dead letters go; other visitors and later events stay; the ID is in no
// file.
func TestErase(t *testing.T) {
	for _, s := range []erasure.Subject{{AnonymousID: secretID}, {UserID: secretID}} {
		bubble(t, refuseBad, func(r *rig) {
			e := event.Event{Type: event.Track, AnonymousID: s.AnonymousID, UserID: s.UserID}
			other := laneMate(&e)
			capture := func(e event.Event, name string) {
				e.Name = name
				r.capture(e)
			}
			capture(e, "bad")
			capture(other, "bad-other")
			r.after(time.Minute)
			r.rec.becomes(always(status(503)))
			for i := range 5 {
				capture(e, fmt.Sprint("gone", i))
				capture(other, fmt.Sprint("kept", i))
			}
			r.after(time.Minute) // a batch with all of them is being retried
			n, err := r.Erase(r.t.Context(), s)
			if err != nil || n != (erasure.Counts{Log: 5, DeadLetters: 1}) {
				t.Fatalf("%+v, %v", n, err)
			}
			capture(e, "new")
			r.rec.becomes(always(ok))
			r.after(5 * time.Minute)
			if got := r.rec.accepted(); !slices.Equal(got, []string{"kept0", "kept1", "kept2", "kept3", "kept4", "new"}) {
				t.Errorf("sent %v", got)
			}
			if s := r.main(); s.Erased.Track != 5 || s.Pending != 0 {
				t.Errorf("stats %+v", s)
			}
			list, err := r.DeadLetters(deadletter.Filter{}, 10)
			if err != nil || list.Matched != 1 || list.Letters[0].Event.Name() != "bad-other" {
				t.Errorf("dead letters %+v, %v", list, err)
			}
			files, err := os.ReadDir(r.dir)
			if err != nil || len(files) != 4 { // audit, key, tombstones, dead letters
				t.Errorf("files %v, %v", files, err)
			}
			for _, f := range files {
				if text, err := os.ReadFile(filepath.Join(r.dir, f.Name())); err != nil || strings.Contains(string(text), secretID) {
					t.Errorf("%s holds the ID (%v)", f.Name(), err)
				}
			}
		})
	}
}

// laneMate returns an event of another visitor in the same lane.
func laneMate(e *event.Event) event.Event {
	for i := 0; ; i++ {
		if o := (event.Event{Type: event.Track, AnonymousID: fmt.Sprint("other", i)}); laneOf(&o) == laneOf(e) {
			return o
		}
	}
}

// TestEraseSurvivesRestart: a tombstone holds in later processes, until nothing
// older is left, and also when a crash sets a cursor back.
func TestEraseSurvivesRestart(t *testing.T) {
	faketime.Test(t, func(t *testing.T) {
		dir, log := t.TempDir(), newMemLog()
		rec := &receiver{answer: always(status(503))}
		set := Settings{Destinations: []Destination{{Name: "main", ClientID: "c", Transport: rec, Token: func() (string, error) { return "t", nil }}}}
		gone := &event.Event{Type: event.Track, Name: "gone", AnonymousID: secretID}
		other := laneMate(gone)
		other.Name = "kept"
		start := func() *Forwarder {
			log.reopen()
			f := newForwarder(dir, log.opener)
			if err := f.Start("a", set); err != nil {
				t.Fatal(err)
			}
			return f
		}
		capture := func(f *Forwarder, e *event.Event) {
			if err := f.Capture("main", e); err != nil {
				t.Error(err)
			}
		}
		stop := func(f *Forwarder) {
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		tombstones := func() int {
			text, err := os.ReadFile(filepath.Join(dir, tombstoneFile))
			if err != nil {
				t.Error(err)
			}
			return bytes.Count(text, []byte{'\n'})
		}
		f := start()
		capture(f, gone)
		capture(f, &other)
		time.Sleep(time.Minute)
		if n, err := f.Erase(t.Context(), erasure.Subject{AnonymousID: secretID}); n.Log != 1 || err != nil {
			t.Errorf("%+v, %v", n, err)
		}
		stop(f)

		rec.becomes(always(ok))
		f = start()
		time.Sleep(5 * time.Minute)
		if got := rec.accepted(); !slices.Equal(got, []string{"kept"}) {
			t.Errorf("sent %v", got)
		}
		if tombstones() != 1 {
			t.Error("the tombstone went before the cursor can be on disk")
		}
		stop(f)

		log.mu.Lock()
		log.lanes[mainLane(secretID)].acked = queue.Position{} // the cursor was not on disk yet
		log.mu.Unlock()
		f = start()
		time.Sleep(5 * time.Minute)
		if got := rec.accepted(); !slices.Equal(got, []string{"kept", "kept"}) {
			t.Errorf("sent %v", got)
		}
		for range 3 {
			capture(f, &other)
			time.Sleep(2 * time.Minute)
		}
		if tombstones() != 0 {
			t.Error("the tombstone stays for ever")
		}
		stop(f)
	})
}

// TestEraseFails: an erasure that is not on disk is an error, and a second one
// makes up for it.
func TestEraseFails(t *testing.T) {
	bubble(t, always(status(503)), func(r *rig) {
		r.track(secretID, "gone")
		r.after(time.Minute)
		s := erasure.Subject{AnonymousID: secretID}
		r.log.flushErr = errNetwork
		if _, err := r.Erase(r.t.Context(), s); !errors.Is(err, errNetwork) {
			t.Errorf("%v", err)
		}
		r.log.flushErr = nil
		path := filepath.Join(r.dir, tombstoneFile)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Erase(r.t.Context(), s); err == nil {
			t.Error("no error")
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(r.dir, auditFile)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the audit tells of an erasure that failed: %v", err)
		}
		if n, err := r.Erase(r.t.Context(), s); n.Log != 1 || err != nil {
			t.Errorf("%+v, %v", n, err)
		}
		r.rec.becomes(always(ok))
		r.after(5 * time.Minute)
		if got := r.rec.accepted(); len(got) != 0 {
			t.Errorf("sent %v", got)
		}
	})
}

// TestEraseBeforeTheDeadLetter: an event that is refused while its visitor is
// erased does not become a dead letter.
func TestEraseBeforeTheDeadLetter(t *testing.T) {
	bubble(t, always(reply{status: 400, delay: time.Second}), func(r *rig) {
		r.track(secretID, "gone")
		r.after(linger + time.Second/2) // on its way
		if _, err := r.Erase(r.t.Context(), erasure.Subject{AnonymousID: secretID}); err != nil {
			t.Fatal(err)
		}
		r.after(time.Minute)
		if s := r.Stats(); s.DeadLetters.Kept != 0 || s.Destinations["main"].Erased.Track != 1 {
			t.Errorf("stats %+v", s)
		}
		if n := len(r.rec.list()); n != 1 {
			t.Errorf("sent %d times", n)
		}
	})
}

// Nothing is sent before it is known who was erased.
func TestErasuresUnreadable(t *testing.T) {
	faketime.Test(t, func(t *testing.T) {
		dir, log := t.TempDir(), newMemLog()
		path := filepath.Join(dir, tombstoneFile)
		if err := os.Mkdir(path, 0o700); err != nil { // cannot be read
			t.Fatal(err)
		}
		r := &rig{t: t, Forwarder: newForwarder(dir, log.opener), log: log, rec: &receiver{answer: always(ok)}}
		r.set = Settings{Destinations: []Destination{r.destination("main")}}
		r.start()
		r.track("v", "e")
		r.after(time.Hour)
		if len(r.rec.list()) != 0 {
			t.Error("sent without knowing who was erased")
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		r.after(2 * time.Minute)
		if got := r.rec.accepted(); len(got) != 1 {
			t.Errorf("sent %v", got)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestEraseUnrouted: events whose destination is not configured yet go too,
// and so does what a crash would bring back although it was acknowledged.
func TestEraseUnrouted(t *testing.T) {
	bubble(t, always(ok), func(r *rig) {
		r.track(secretID, "delivered")
		r.after(time.Minute)
		for _, id := range []string{secretID, "other"} {
			if err := r.Capture("later", &event.Event{Type: event.Track, Name: id, AnonymousID: id}); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := r.Erase(r.t.Context(), erasure.Subject{AnonymousID: secretID}); n.Memory != 1 || n.Log != 0 || err != nil {
			t.Errorf("%+v, %v", n, err)
		}
		r.set.Destinations = append(r.set.Destinations, r.destination("later"))
		r.start()
		r.after(time.Minute)
		if got := r.rec.accepted(); !slices.Equal(got, []string{"delivered", "other"}) {
			t.Errorf("sent %v", got)
		}
	})
}
