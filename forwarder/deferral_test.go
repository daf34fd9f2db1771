package forwarder

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/event"
)

// command captures a command for a visitor.
func (r *rig) command(e event.Event) {
	r.t.Helper()
	e.Type, e.Extra = event.Track, []byte(`{"assetId":7}`)
	if e.Name == "" {
		e.Name = "send_email"
	}
	r.capture(e)
}

// laneMates returns anonymousIds that share a lane.
func laneMates(n int) []string {
	var ids []string
	want := laneOf(&event.Event{AnonymousID: "v0"})
	for i := 0; len(ids) < n; i++ {
		if id := fmt.Sprint("v", i); laneOf(&event.Event{AnonymousID: id}) == want {
			ids = append(ids, id)
		}
	}
	return ids
}

// TestCommandWaitsForIdentify: a command goes out 500 ms after the identify of
// its user was acknowledged, and no sooner; what the same visitor did after it
// follows it; other visitors of the lane do not wait.
func TestCommandWaitsForIdentify(t *testing.T) {
	const slow = 2 * time.Second
	answer := func(r *request) reply {
		if r.n == 0 {
			return late(slow)
		}
		return ok
	}
	for _, name := range []string{"send_email", "send_sms", "send_print", "send_push", "start_journey"} {
		bubble(t, answer, func(r *rig) {
			r.after(time.Second) // see TestCommandAfterRestart
			v := laneMates(2)
			start := time.Now()
			r.capture(event.Event{Type: event.Identify, AnonymousID: v[0], UserID: "42"})
			r.command(event.Event{Name: name, AnonymousID: v[0], UserID: "42"})
			r.track(v[0], "later")
			r.track(v[1], "other")
			r.after(10 * time.Second)
			reqs := r.rec.list()
			if len(reqs) != 2 {
				t.Fatalf("%s: %d requests, want 2", name, len(reqs))
			}
			acknowledged := linger + slow
			if d := reqs[1].at.Sub(start); d < acknowledged+traitDelay || d > acknowledged+traitDelay+linger {
				t.Errorf("%s: sent %v after the identify was acknowledged", name, d-acknowledged)
			}
			want := []string{"identify", "other", name, "later"}
			if got := r.rec.accepted(); !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			if s := r.main(); s.Acknowledged.Track != 3 || r.log.backlog() != 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// TestCommandWithoutIdentify goes out like any other event; so does one of
// another user, and a track that only sounds like a command.
func TestCommandWithoutIdentify(t *testing.T) {
	bubble(t, always(ok), func(r *rig) {
		r.after(time.Second)
		v := laneMates(2)
		r.command(event.Event{AnonymousID: v[1], UserID: "43"})
		r.capture(event.Event{Type: event.Identify, AnonymousID: v[0], UserID: "42"})
		r.command(event.Event{AnonymousID: v[1], UserID: "43"})
		r.capture(event.Event{Type: event.Track, Name: "send_email_opened", AnonymousID: v[0], UserID: "42"})
		r.after(linger)
		if n := len(r.rec.accepted()); n != 4 {
			t.Errorf("%d events after the linger, want 4", n)
		}
	})
}

// TestCommandOfTheSameUserElsewhere: the user's browser and the command of a
// server that knows no anonymousId share the userId only, and not the lane.
func TestCommandOfTheSameUserElsewhere(t *testing.T) {
	bubble(t, always(ok), func(r *rig) {
		r.after(time.Second)
		r.capture(event.Event{Type: event.Identify, AnonymousID: "browser", UserID: "42"})
		r.after(linger) // acknowledged now
		at := time.Now()
		r.command(event.Event{UserID: "42"})
		r.command(event.Event{AnonymousID: "browser"})
		r.after(5 * time.Second)
		for _, q := range r.rec.list()[1:] {
			if d := q.at.Sub(at); d < traitDelay {
				t.Errorf("sent %v after the identify", d)
			}
		}
		if n := len(r.rec.accepted()); n != 3 {
			t.Errorf("%d events", n)
		}
	})
}

// TestCommandAfterEach: each command waits for the identify before it only.
func TestCommandAfterEach(t *testing.T) {
	bubble(t, always(ok), func(r *rig) {
		r.after(time.Second)
		for i := range 3 {
			r.capture(event.Event{Type: event.Identify, AnonymousID: "v"})
			r.command(event.Event{Name: "send_sms", AnonymousID: "v"})
			r.track("v", fmt.Sprint("t", i))
		}
		r.after(10 * time.Second)
		want := []string{"identify", "send_sms", "t0", "identify", "send_sms", "t1", "identify", "send_sms", "t2"}
		if got := r.rec.accepted(); !slices.Equal(got, want) {
			t.Errorf("got %v", got)
		}
		if n := len(r.rec.list()); n != 4 {
			t.Errorf("%d requests, want 4", n)
		}
	})
}

// TestCommandAfterDeadIdentify: an identify that was refused for good is not
// waited for.
func TestCommandAfterDeadIdentify(t *testing.T) {
	bubble(t, poison(400, "identify"), func(r *rig) {
		r.after(time.Second)
		r.capture(event.Event{Type: event.Identify, AnonymousID: "v"})
		r.command(event.Event{AnonymousID: "v"})
		r.after(3 * linger)
		if s := r.main(); s.DeadLettered.Identify != 1 || s.Acknowledged.Track != 1 {
			t.Errorf("stats %+v", s)
		}
	})
}

// TestCommandAfterRestart: a process does not know what the one before it had
// acknowledged last.
func TestCommandAfterRestart(t *testing.T) {
	bubble(t, always(ok), func(r *rig) {
		at := time.Now()
		r.command(event.Event{AnonymousID: "v"})
		r.after(5 * time.Second)
		if reqs := r.rec.list(); len(reqs) != 1 || reqs[0].at.Sub(at) < traitDelay {
			t.Errorf("%d requests, the first at %v", len(reqs), reqs[0].at.Sub(at))
		}
	})
}

// TestReloadWhileOvertaken: what overtook a deferred command is not sent again by a
// reload, and the cursor does not pass the command.
func TestReloadWhileOvertaken(t *testing.T) {
	bubble(t, always(ok), func(r *rig) {
		r.after(time.Second)
		v := laneMates(2)
		r.capture(event.Event{Type: event.Identify, AnonymousID: v[0]})
		r.command(event.Event{AnonymousID: v[0]})
		r.track(v[1], "other")
		r.after(linger)
		if got := r.rec.accepted(); !slices.Equal(got, []string{"identify", "other"}) {
			t.Fatalf("got %v", got)
		}
		if s := r.main(); s.Pending != 2 || s.Acknowledged.Sum() != 1 {
			t.Errorf("stats %+v", s)
		}
		r.Stop("test")
		r.start()
		r.after(5 * time.Second)
		if got := r.rec.accepted(); !slices.Equal(got, []string{"identify", "other", "send_email"}) {
			t.Errorf("got %v", got)
		}
	})
}

// A pause gives the memory of events back. What overtook a deferred command is not
// sent again when they are read anew.
func TestPauseWhileOvertaken(t *testing.T) {
	answer := func(r *request) reply {
		if r.n == 1 {
			return reply{status: 503, header: http.Header{"Retry-After": {"20"}}}
		}
		return ok
	}
	bubble(t, answer, func(r *rig) {
		r.after(time.Second)
		v := laneMates(2)
		r.capture(event.Event{Type: event.Identify, AnonymousID: v[0]})
		r.command(event.Event{AnonymousID: v[0]})
		r.track(v[1], "other")
		r.after(linger)
		r.track(v[1], "third")
		r.after(time.Minute)
		if got := r.rec.accepted(); !slices.Equal(got, []string{"identify", "other", "send_email", "third"}) {
			t.Errorf("got %v", got)
		}
	})
}

// TestDeferredEventsAreBounded: a visitor who floods behind a command does not make
// the lane read without end, and is delivered in order.
func TestDeferredEventsAreBounded(t *testing.T) {
	bubble(t, always(ok), func(r *rig) {
		r.after(time.Second)
		r.capture(event.Event{Type: event.Identify, AnonymousID: "v"})
		r.command(event.Event{AnonymousID: "v"})
		props := []byte(`{"x":"` + fmt.Sprintf("%030000d", 1) + `"}`)
		want := []string{"identify", "send_email"}
		for i := range 100 { // 3 MB
			r.capture(event.Event{Type: event.Track, Name: fmt.Sprint("t", i), AnonymousID: "v", Properties: props})
			want = append(want, fmt.Sprint("t", i))
		}
		r.after(linger)
		r.log.mu.Lock()
		l := r.log.lanes[mainLane("v")]
		deferred := 0
		for _, rec := range l.recs {
			if rec.Position.Compare(l.read) <= 0 {
				deferred += len(rec.Data)
			}
		}
		r.log.mu.Unlock()
		if deferred < maxDeferredBytes || deferred > maxDeferredBytes+maxBody {
			t.Errorf("%d bytes deferred", deferred)
		}
		r.after(10 * time.Second)
		if got := r.rec.accepted(); !slices.Equal(got, want) {
			t.Errorf("got %v", got)
		}
	})
}

// A command goes out although identifies of the same user keep coming elsewhere.
func TestCommandIsNotStarved(t *testing.T) {
	bubble(t, always(ok), func(r *rig) {
		r.after(time.Second)
		r.capture(event.Event{Type: event.Identify, AnonymousID: "browser", UserID: "shared"})
		r.command(event.Event{AnonymousID: "browser", UserID: "shared"})
		sent := func() bool { return slices.Contains(r.rec.accepted(), "send_email") }
		for i := 0; !sent(); i++ {
			r.capture(event.Event{Type: event.Identify, AnonymousID: fmt.Sprint("elsewhere", i), UserID: "shared"})
			r.after(100 * time.Millisecond)
			if i > 20 {
				t.Fatal("it is still deferred after 2 s")
			}
		}
	})
}

// What overtakes a deferred command is bounded: the cursor stands meanwhile.
func TestCompletedIsBounded(t *testing.T) {
	bubble(t, always(ok), func(r *rig) {
		r.after(time.Second)
		v := laneMates(2)
		r.capture(event.Event{Type: event.Identify, AnonymousID: v[0]})
		r.command(event.Event{AnonymousID: v[0]})
		d := (*r.destinations.Load())["main"]
		far := time.Now().Add(time.Hour)
		r.after(2 * linger)
		w := d.workers[event.Lane(v[0], "", lanes)]
		for at := range w.deferrals.deadlines {
			w.deferrals.deadlines[at] = far // as if its time had not come
		}
		r.ordered()
		for range 3 * maxCompleted {
			r.track(v[1], "other")
		}
		r.after(time.Minute)
		if n := len(w.in.completed); n < maxCompleted || n > maxCompleted+maxBody/100 {
			t.Errorf("%d events overtook it", n)
		}
		r.ordered()
		r.after(2 * time.Hour)
		if r.log.backlog() != 0 {
			t.Errorf("%d events are left", r.log.backlog())
		}
	})
}

// TestLogGivesUp: what the log has given up for its age is not sent, also when
// it is read ahead or under way.
func TestLogGivesUp(t *testing.T) {
	bubble(t, always(status(503)), func(r *rig) {
		for _, n := range names(10) {
			r.track("v", n)
		}
		r.after(time.Minute)
		name := mainLane("v")
		r.log.giveUp(name, 4)
		r.rec.becomes(always(ok))
		r.after(5 * time.Minute)
		if got := r.rec.accepted(); !slices.Equal(got, names(10)[4:]) {
			t.Errorf("got %v", got)
		}
	})
}

// An event that the log gives up while its request is under way ends once: the
// log has counted it.
func TestGivenUpUnderWay(t *testing.T) {
	for _, answer := range []reply{late(10 * time.Second), {status: 400, delay: 10 * time.Second}, {status: 503, delay: 10 * time.Second}} {
		bubble(t, first(answer), func(r *rig) {
			for _, n := range names(10) {
				r.track("v", n)
			}
			r.after(linger + time.Second)
			r.log.giveUp(mainLane("v"), 4)
			r.after(5 * time.Minute)
			s := r.Stats()
			if ended := s.Destinations["main"].Acknowledged.Sum(); ended != 6 || s.Log.Lost["expired"] != 4 || r.log.backlog() != 0 {
				t.Errorf("%d: %d acknowledged, %d expired, %d pending", answer.status, ended, s.Log.Lost["expired"], r.log.backlog())
			}
		})
	}
}
