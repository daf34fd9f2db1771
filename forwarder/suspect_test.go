package forwarder

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/deadletter"
	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/internal/faketime"
)

// busy has visitors of all lanes go on for a time.
func (r *rig) busy(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); r.after(10 * time.Second) {
		for i := range lanes {
			r.track(fmt.Sprint("busy", i*7), "e")
		}
	}
}

// An event on which the receiver fails is found while the others of its batch are
// delivered, and dead-lettered when it has failed alone for a quarter of an hour.
func TestPoisonedEvent(t *testing.T) {
	for name, fault := range map[string]reply{"500": status(500), "timeout": {hang: true}, "504": status(504)} {
		t.Run(name, func(t *testing.T) {
			answer := func(r *request) reply {
				if slices.ContainsFunc(r.calls, func(c call) bool { return c.Event == "poison" }) {
					return fault
				}
				return ok
			}
			bubble(t, answer, func(r *rig) {
				for i, n := range names(9) {
					if i == 4 {
						n = "poison"
					}
					r.track("v", n)
				}
				r.busy(10 * time.Minute)
				got := r.rec.accepted()
				if !slices.Contains(got, "e03") || slices.Contains(got, "e05") {
					t.Error("those before the poisoned event are not delivered, or others pass it")
				}
				// Two failures with nothing between them pause the destination until
				// another lane, which sends every 10 s, has probed it; a probe may hang for 30 s.
				if s := r.main(); s.DeadLettered.Sum() != 0 || s.Paused != NotPaused && time.Since(s.PausedSince) > time.Minute {
					t.Errorf("after 10 minutes: dead letters %+v, paused %q since %v", s.DeadLettered, s.Paused, s.PausedSince)
				}
				r.busy(20 * time.Minute)
				list, err := r.DeadLetters(deadletter.Filter{}, 10)
				if err != nil || len(list.Letters) != 1 || list.Letters[0].Event.Name() != "poison" || list.Letters[0].Reason != "unavailable" {
					t.Fatalf("dead letters %+v, %v", list, err)
				}
				if r.after(time.Minute); r.log.backlog() != 0 {
					t.Errorf("%d events are held", r.log.backlog())
				}
			})
		})
	}
}

// A failure counts against a batch only when the same batch has failed before, and
// more of what else was sent meanwhile succeeded than failed.
func TestSuspect(t *testing.T) {
	faketime.Test(t, func(t *testing.T) {
		var s suspect
		var now tally
		for i, c := range []struct {
			first                 uint64
			accepted, unavailable uint64 // of the others since the last step
			alone                 bool
			total                 time.Duration
		}{
			{first: 1},
			{first: 1},
			{first: 1, accepted: 1, alone: true, total: time.Minute},
			{first: 1, accepted: 3, unavailable: 2, alone: true, total: 2 * time.Minute},
			{first: 1, accepted: 3, unavailable: 3, total: 2 * time.Minute},
			{first: 1, unavailable: 9, total: 2 * time.Minute},
			{first: 2, accepted: 9},
			{first: 2, accepted: 9, alone: true, total: time.Minute},
		} {
			time.Sleep(time.Minute)
			now.accepted += c.accepted
			now.unavailable += c.unavailable + 1
			if alone := s.failed(queue.At(1, c.first), now); alone != c.alone || s.alone != c.total {
				t.Errorf("step %d: alone %v, for %v, want %v, %v", i, alone, s.alone, c.alone, c.total)
			}
		}
	})
}

// In a general outage, or with a receiver that fails on nearly everything, no
// event is to blame.
func TestNoSuspectInAnOutage(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, answer := range map[string]func(*request) reply{
		"nothing comes through": always(status(503)),
		"little comes through": func(*request) reply {
			if random.IntN(20) > 0 {
				return status(500)
			}
			return ok
		},
		"it comes and goes": func(r *request) reply {
			if r.at.Minute()%10 < 9 {
				return reply{err: errNetwork}
			}
			return ok
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, answer, func(r *rig) {
				r.busy(2 * time.Hour)
				if s := r.main(); s.DeadLettered.Sum() != 0 {
					t.Errorf("%d events are dead letters", s.DeadLettered.Sum())
				}
				r.rec.becomes(always(ok))
				r.after(10 * time.Minute)
			})
		})
	}
}

// A receiver that needs more time than an attempt has for what it is sent is sent
// less, until it is faster.
func TestSlowReceiver(t *testing.T) {
	slow := func(r *request) reply {
		if d := time.Duration(len(r.calls)) * 40 * time.Millisecond; d < 30*time.Second {
			return late(d)
		}
		return reply{hang: true}
	}
	bubble(t, slow, func(r *rig) {
		props := []byte(`{"x":"` + strings.Repeat("x", 500) + `"}`)
		capture := func() {
			for range 3000 {
				r.capture(event.Event{Type: event.Track, Name: "n", AnonymousID: "v", Properties: props})
			}
		}
		capture()
		r.after(10 * time.Minute)
		s := r.main()
		if s.Acknowledged.Sum() != 3000 || s.DeadLettered.Sum() != 0 {
			t.Errorf("%d acknowledged, %d dead letters", s.Acknowledged.Sum(), s.DeadLettered.Sum())
		}
		if s.Requests[0] > 3 {
			t.Errorf("%d attempts timed out", s.Requests[0])
		}
		r.rec.becomes(always(ok))
		for range 8 {
			capture()
			r.after(time.Minute)
		}
		if s := r.main(); s.BatchBytes != maxBody {
			t.Errorf("still at most %d bytes", s.BatchBytes)
		}
	})
}

// A wait that the receiver asks for with a 503 is in status and log, and a reload
// ends it.
func TestRetryAfterIsTold(t *testing.T) {
	bubble(t, first(reply{status: 503, header: http.Header{"Retry-After": {"3600"}}}), func(r *rig) {
		r.track("v", "e")
		r.after(time.Second)
		s := r.main()
		if d := time.Until(s.NextTry); s.Paused != Unavailable || d < 4*time.Minute || d > 5*time.Minute {
			t.Errorf("paused %q, next try in %v", s.Paused, d)
		}
		if r.out.count("delivery is interrupted", "next_try_in=5m0s") != 1 {
			t.Errorf("log: %s", r.out.b.String())
		}
		r.start()
		r.after(time.Second)
		if s := r.main(); s.Acknowledged.Sum() != 1 {
			t.Error("a reload does not end it")
		}
	})
}
