package forwarder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/deadletter"
	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/internal/seal/sealtest"
)

// dead fills a rig with dead letters: events "bad0" to "bad<n-1>" of visitors
// v0, v1, v2 in turn, with messageIds m0, m1, ...
func (r *rig) dead(n int) {
	r.t.Helper()
	for i := range n {
		r.capture(event.Event{Type: event.Track, Name: fmt.Sprint("bad", i), AnonymousID: fmt.Sprint("v", i%3), MessageID: fmt.Sprint("m", i)})
		r.after(time.Minute)
	}
	if s := r.main(); s.DeadLettered.Sum() != uint64(n) {
		r.t.Fatalf("stats %+v", s)
	}
}

func refuseBad(r *request) reply {
	for _, c := range r.calls {
		if strings.HasPrefix(c.Event, "bad") {
			return reply{status: 400, body: `{"success":false,"message":"no"}`}
		}
	}
	return ok
}

func (r *rig) letters(f deadletter.Filter) []string {
	r.t.Helper()
	list, err := r.DeadLetters(f, 100)
	if err != nil {
		r.t.Fatal(err)
	}
	ids := []string{}
	for _, l := range list.Letters {
		ids = append(ids, l.Event.MessageID())
	}
	return ids
}

func TestDeadLettersList(t *testing.T) {
	bubble(t, refuseBad, func(r *rig) {
		r.dead(6)
		list, err := r.DeadLetters(deadletter.Filter{}, 2)
		if err != nil || list.Matched != 6 || len(list.Letters) != 2 || list.Letters[1].Event.MessageID() != "m5" {
			t.Errorf("%+v, %v", list, err)
		}
		for _, c := range []struct {
			f    deadletter.Filter
			want []string
		}{
			{deadletter.Filter{Destination: "main"}, []string{"m0", "m1", "m2", "m3", "m4", "m5"}},
			{deadletter.Filter{Destination: "other"}, []string{}},
			{deadletter.Filter{MessageIDs: []string{"m4", "m1", "x"}}, []string{"m1", "m4"}},
		} {
			if got := r.letters(c.f); !slices.Equal(got, c.want) {
				t.Errorf("%+v: %v, want %v", c.f, got, c.want)
			}
		}
	})
}

// TestDeadLettersReplay: a replayed letter is sent with its messageId and
// timestamp, and is no dead letter any more. One that is refused again is one again.
func TestDeadLettersReplay(t *testing.T) {
	bubble(t, refuseBad, func(r *rig) {
		r.dead(6)
		before := r.rec.list()
		r.rec.becomes(poison(400, "bad2"))
		n, err := r.ReplayDeadLetters(r.t.Context(), deadletter.Filter{Destination: "main"})
		if err != nil || n.Events != 6 || n.Kept != 0 {
			t.Fatalf("%+v, %v", n, err)
		}
		r.after(time.Minute)
		if got := r.letters(deadletter.Filter{}); !slices.Equal(got, []string{"m2"}) {
			t.Errorf("left %v", got)
		}
		var ids []string
		for _, q := range r.rec.list()[len(before):] {
			for _, c := range q.calls {
				if q.status == 200 {
					ids = append(ids, c.MessageID)
				}
				for _, old := range before {
					if o := old.calls[0]; o.MessageID == c.MessageID && (!o.Timestamp.Equal(c.Timestamp) || o.AnonymousID != c.AnonymousID) {
						t.Errorf("%+v came back as %+v", o, c)
					}
				}
			}
		}
		if slices.Sort(ids); !slices.Equal(ids, []string{"m0", "m1", "m3", "m4", "m5"}) {
			t.Errorf("sent %v", ids)
		}
		if s := r.Stats(); s.DeadLetters.Kept != 1 {
			t.Errorf("stats %+v", s.DeadLetters)
		}
	})
}

// TestReplayNeverLosesOne: whatever the log does, a letter is in it, or still a
// dead letter.
func TestReplayNeverLosesOne(t *testing.T) {
	bubble(t, refuseBad, func(r *rig) {
		r.dead(4)
		r.rec.becomes(always(status(503)))
		all := []string{"m0", "m1", "m2", "m3"}

		r.log.flushErr = context.DeadlineExceeded // the disk hangs
		soon, cancel := context.WithTimeout(r.t.Context(), time.Minute)
		defer cancel()
		if n, err := r.ReplayDeadLetters(soon, deadletter.Filter{}); n.Events != 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%+v, %v", n, err)
		}
		if got := r.letters(deadletter.Filter{}); !slices.Equal(got, all) {
			t.Errorf("left %v", got)
		}
		r.log.flushErr = nil
		r.log.limit = 1 // the log has no room
		if n, err := r.ReplayDeadLetters(r.t.Context(), deadletter.Filter{}); n.Events != 0 || !errors.Is(err, ErrFull) {
			t.Errorf("%+v, %v", n, err)
		}
		if got := r.letters(deadletter.Filter{}); !slices.Equal(got, all) {
			t.Errorf("left %v", got)
		}
		r.log.limit = 0
		r.log.evict = true // the log takes them, and throws them out for others
		if n, err := r.ReplayDeadLetters(r.t.Context(), deadletter.Filter{}); n.Events != 0 || !errors.Is(err, ErrFull) {
			t.Errorf("%+v, %v", n, err)
		}
		if got := r.letters(deadletter.Filter{}); !slices.Equal(got, all) {
			t.Errorf("left %v", got)
		}
		r.log.evict = false
		r.rec.becomes(always(ok))
		r.after(10 * time.Minute)
	})
}

// TestReplayOfUnknownDestination keeps the letter.
func TestReplayOfUnknownDestination(t *testing.T) {
	bubble(t, refuseBad, func(r *rig) {
		if _, err := r.shared.letters.Add(&deadletter.Letter{Destination: "gone", Event: stored(t)}, nil); err != nil {
			t.Fatal(err)
		}
		if n, err := r.ReplayDeadLetters(r.t.Context(), deadletter.Filter{}); err != nil || n.Events != 0 || n.Kept != 1 {
			t.Errorf("%+v, %v", n, err)
		}
		if got := r.letters(deadletter.Filter{}); len(got) != 1 {
			t.Errorf("left %v", got)
		}
	})
}

func TestDeadLettersPurge(t *testing.T) {
	bubble(t, refuseBad, func(r *rig) {
		r.dead(5)
		if n, err := r.PurgeDeadLetters(r.t.Context(), deadletter.Filter{MessageIDs: []string{"m1", "m3"}}); n != 2 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		r.dead2(5)
		if got := r.letters(deadletter.Filter{}); !slices.Equal(got, []string{"m0", "m2", "m4", "again"}) {
			t.Errorf("left %v", got)
		}
		if n, err := r.PurgeDeadLetters(r.t.Context(), deadletter.Filter{}); n != 4 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if s := r.Stats().DeadLetters; s.Kept != 0 || s.Bytes != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// dead2 adds one more dead letter after n others.
func (r *rig) dead2(n uint64) {
	r.t.Helper()
	r.capture(event.Event{Type: event.Track, Name: "bad", AnonymousID: "v", MessageID: "again"})
	r.after(time.Minute)
	if s := r.main(); s.DeadLettered.Sum() != n+1 {
		r.t.Fatalf("stats %+v", s)
	}
}

// TestReplayWithAWrongKey replays nothing, not even the letters that it can read.
func TestReplayWithAWrongKey(t *testing.T) {
	bubble(t, refuseBad, func(r *rig) {
		r.dead(1)
		other := deadletter.New(r.dir, 1<<20, sealtest.Keyring(t, 1))
		if _, err := other.Add(&deadletter.Letter{Destination: "main", Event: stored(t)}, nil); err != nil {
			t.Fatal(err)
		}
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
		before := r.main().Captured
		if n, err := r.ReplayDeadLetters(r.t.Context(), deadletter.Filter{}); n.Events != 0 || !errors.Is(err, deadletter.ErrEncrypted) {
			t.Errorf("%+v, %v", n, err)
		}
		if r.main().Captured != before {
			t.Error("letters went to the log")
		}
	})
}
