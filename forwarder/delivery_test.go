package forwarder

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/event"
)

func names(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("e%02d", i)
	}
	return list
}

// poison refuses each batch that has one of the named events.
func poison(status int, bad ...string) func(*request) reply {
	return func(r *request) reply {
		for _, c := range r.calls {
			if slices.Contains(bad, c.Event) {
				return reply{status: status, body: `{"success":false,"message":"bad call"}`}
			}
		}
		return ok
	}
}

func TestDeliver(t *testing.T) {
	bubble(t, always(ok), func(r *rig) {
		for _, n := range names(5) {
			r.track("v", n)
		}
		r.after(linger - time.Millisecond)
		if len(r.rec.list()) != 0 {
			t.Error("sent before the linger was over")
		}
		r.after(time.Millisecond)
		reqs := r.rec.list()
		if len(reqs) != 1 || len(reqs[0].calls) != 5 {
			t.Fatalf("%d requests", len(reqs))
		}
		if reqs[0].token != "t0k3n" || reqs[0].path != "/track/acme/acme/ACME/v1/batch" {
			t.Errorf("token %q, path %s", reqs[0].token, reqs[0].path)
		}
		c := reqs[0].calls[0]
		if !c.SentAt.Equal(reqs[0].at.Truncate(time.Millisecond)) || c.SentAt.Sub(c.Timestamp) != linger || len(c.MessageID) != 36 {
			t.Errorf("call %+v", c)
		}
		if got := r.rec.accepted(); !slices.Equal(got, names(5)) {
			t.Errorf("got %v", got)
		}
		if r.log.backlog() != 0 || r.main().Acknowledged.Track != 5 || r.main().Requests[200] != 1 {
			t.Errorf("stats %+v", r.main())
		}
	})
}

// TestFullBatchGoesAtOnce: more than one body is not held up, and no body is
// larger than allowed.
func TestFullBatchGoesAtOnce(t *testing.T) {
	bubble(t, always(ok), func(r *rig) {
		start := time.Now()
		big := strings.Repeat("x", 3_000)
		for range 800 { // 2.5 MB
			if err := r.Capture("main", &event.Event{Type: event.Track, Name: "big", AnonymousID: "v", Properties: []byte(`{"x":"` + big + `"}`)}); err != nil {
				t.Fatal(err)
			}
		}
		r.after(linger)
		reqs := r.rec.list()
		if len(reqs) != 3 {
			t.Fatalf("%d requests, want 3", len(reqs))
		}
		for i, q := range reqs {
			if q.bytes > maxBody || (i < 2 && q.bytes < maxBody*9/10) {
				t.Errorf("body %d has %d bytes", i, q.bytes)
			}
			if wait := q.at.Sub(start); (i < 2) != (wait == 0) {
				t.Errorf("body %d went out after %v", i, wait)
			}
		}
	})
}

// TestRetryable has the answers after which the batch is sent again, unchanged
// but for sentAt, and what is told about it.
func TestRetryable(t *testing.T) {
	page := reply{status: 200, body: "<html>"}
	for _, c := range []struct {
		name       string
		fault      reply
		paused     Pause
		min, max   time.Duration // until the second attempt
		minB, maxB time.Duration // from the second to the third
	}{
		{"408", status(408), Unavailable, 500 * time.Millisecond, time.Second, 500 * time.Millisecond, 1500 * time.Millisecond},
		{"500", status(500), Unavailable, 500 * time.Millisecond, time.Second, 500 * time.Millisecond, 1500 * time.Millisecond},
		{"502", status(502), Unavailable, 500 * time.Millisecond, time.Second, 500 * time.Millisecond, 1500 * time.Millisecond},
		{"503", reply{status: 503, body: "{broken"}, Unavailable, 500 * time.Millisecond, time.Second, 500 * time.Millisecond, 1500 * time.Millisecond},
		{"503 with Retry-After", reply{status: 503, header: http.Header{"Retry-After": {"20"}}}, Unavailable, 20 * time.Second, 20 * time.Second, 20 * time.Second, 20 * time.Second},
		{"504", status(504), Unavailable, 500 * time.Millisecond, time.Second, 500 * time.Millisecond, 1500 * time.Millisecond},
		{"network", reply{err: errNetwork}, Unavailable, 500 * time.Millisecond, time.Second, 500 * time.Millisecond, 1500 * time.Millisecond},
		{"no answer", reply{hang: true}, Unavailable, 30500 * time.Millisecond, 31 * time.Second, 30500 * time.Millisecond, 31500 * time.Millisecond},
		{"301", status(301), Misconfigured, 30 * time.Second, 30 * time.Second, time.Minute, time.Minute},
		{"307", status(307), Misconfigured, 30 * time.Second, 30 * time.Second, time.Minute, time.Minute},
		{"401", status(401), Misconfigured, 30 * time.Second, 30 * time.Second, time.Minute, time.Minute},
		{"403", status(403), Misconfigured, 30 * time.Second, 30 * time.Second, time.Minute, time.Minute},
		{"404", status(404), Misconfigured, 30 * time.Second, 30 * time.Second, time.Minute, time.Minute},
		{"405", status(405), Misconfigured, 30 * time.Second, 30 * time.Second, time.Minute, time.Minute},
		{"418", status(418), Misconfigured, 30 * time.Second, 30 * time.Second, time.Minute, time.Minute},
		{"200 with a web page", page, Misconfigured, 30 * time.Second, 30 * time.Second, time.Minute, time.Minute},
		{"429", status(429), Throttled, 750 * time.Millisecond, 1250 * time.Millisecond, 1500 * time.Millisecond, 2500 * time.Millisecond},
		{"429 with Retry-After", reply{status: 429, header: http.Header{"Retry-After": {"7"}}}, Throttled, 7 * time.Second, 7 * time.Second, 7 * time.Second, 7 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, first(c.fault, c.fault), func(r *rig) {
				r.track("v", "one")
				r.track("v", "two")
				var paused Pause
				for len(r.rec.list()) < 3 {
					r.after(10 * time.Millisecond)
					if p := r.main().Paused; p != NotPaused {
						paused = p
					}
				}
				r.after(time.Second)
				reqs := r.rec.list()
				if len(reqs) != 3 || paused != c.paused {
					t.Fatalf("%d requests, paused %q; want 3, %q", len(reqs), paused, c.paused)
				}
				if d := reqs[1].at.Sub(reqs[0].at); d < c.min || d > c.max {
					t.Errorf("second attempt after %v, want %v to %v", d, c.min, c.max)
				}
				if d := reqs[2].at.Sub(reqs[1].at); d < c.minB || d > c.maxB {
					t.Errorf("third attempt after %v, want %v to %v", d, c.minB, c.maxB)
				}
				for i, q := range reqs[1:] {
					for j := range q.calls {
						a, b := reqs[i].calls[j], q.calls[j]
						if !b.SentAt.After(a.SentAt) {
							t.Errorf("sentAt is not new: %v, %v", a.SentAt, b.SentAt)
						}
						if a.SentAt, b.SentAt = (time.Time{}), (time.Time{}); !reflect.DeepEqual(a, b) {
							t.Errorf("sent differently: %+v, %+v", a, b)
						}
					}
				}
				if s := r.main(); s.Acknowledged.Sum() != 2 || s.Paused != NotPaused || s.Requests[reqs[0].status] < 1 {
					t.Errorf("stats %+v", s)
				}
				if down, up := r.out.count("destination=main", "delivery is"), r.out.count("delivery has recovered"); down != 1 || up != 1 {
					t.Errorf("%d lines of the pause and %d of recovery, want one of each", down, up)
				}
			})
		})
	}
}

// TestBisect finds the bad events of a batch. The lane keeps its order.
func TestBisect(t *testing.T) {
	for _, code := range []int{400, 422, 413, 200} {
		for _, bad := range [][]string{{"e00"}, {"e09"}, {"e04"}, {"e03", "e04"}, {"e00", "e05", "e09"}} {
			t.Run(fmt.Sprint(code, bad), func(t *testing.T) {
				bubble(t, poison(code, bad...), func(r *rig) {
					for _, n := range names(10) {
						r.track("v", n)
					}
					r.after(linger + 10*time.Second)
					want := slices.DeleteFunc(names(10), func(n string) bool { return slices.Contains(bad, n) })
					got := r.rec.accepted()
					if !slices.Equal(got, want) {
						t.Errorf("delivered %v, want %v", got, want)
					}
					s := r.main()
					if s.DeadLettered.Track != uint64(len(bad)) || s.Acknowledged.Track != uint64(len(want)) || r.log.backlog() != 0 {
						t.Errorf("stats %+v", s)
					}
					data, err := os.ReadFile(filepath.Join(r.dir, deadLetterFile))
					if err != nil || strings.Count(string(data), "\n") != len(bad) || !strings.Contains(string(data), `"message":"bad call"`) {
						t.Errorf("dead letters %q, %v", data, err)
					}
				})
			})
		}
	}
}

// TestBisectHoldsOnlyItsLane: other visitors' events flow meanwhile.
func TestBisectHoldsOnlyItsLane(t *testing.T) {
	slow := func(r *request) reply {
		rep := poison(400, "bad")(r)
		if rep.status == 400 {
			rep.delay = time.Minute / 4
		}
		return rep
	}
	bubble(t, slow, func(r *rig) {
		for range 3 {
			r.track("v", "good")
		}
		r.track("v", "bad")
		for i := range 20 {
			r.track(fmt.Sprint("other", i), "other")
		}
		r.after(time.Second)
		n := 0
		for _, name := range r.rec.accepted() {
			if name == "other" {
				n++
			}
		}
		// An eighth of the visitors shares the lane.
		if n < 14 {
			t.Errorf("%d of 20 events of other visitors delivered", n)
		}
		r.after(2 * time.Minute)
	})
}

// TestLearnsSizeLimit: after a 413 no larger body is sent again.
func TestLearnsSizeLimit(t *testing.T) {
	const limit = 200_000
	bubble(t, func(r *request) reply {
		if r.bytes > limit {
			return status(413)
		}
		return ok
	}, func(r *rig) {
		props := []byte(`{"x":"` + strings.Repeat("x", 10_000) + `"}`)
		capture := func() {
			for range 90 {
				if err := r.Capture("main", &event.Event{Type: event.Track, Name: "n", AnonymousID: "v", Properties: props}); err != nil {
					t.Fatal(err)
				}
			}
			r.after(10 * time.Second)
		}
		capture()
		refused := r.main().Requests[413]
		if refused == 0 || r.main().BatchBytes > limit*5/4 {
			t.Errorf("%d refused, limit %d", refused, r.main().BatchBytes)
		}
		capture()
		if r.main().Requests[413] > refused+1 || r.main().Acknowledged.Track != 180 || r.main().DeadLettered.Sum() != 0 {
			t.Errorf("stats %+v, refused before %d", r.main(), refused)
		}
		r.start() // a reload tries the full size again
		if r.main().BatchBytes != maxBody {
			t.Errorf("limit %d after a reload", r.main().BatchBytes)
		}
	})
}

// TestMassRejection: when everything is refused, nothing is dropped.
func TestMassRejection(t *testing.T) {
	bubble(t, always(status(400)), func(r *rig) {
		for i := range 500 {
			r.track(fmt.Sprint("v", i), fmt.Sprint("e", i))
		}
		r.after(time.Hour)
		s := r.main()
		if s.Paused != MassRejection || s.DeadLettered.Sum() != maxRejected || s.Pending != 500-maxRejected {
			t.Fatalf("stats %+v", s)
		}
		if n := r.out.count("more than a fifth"); n != 1 {
			t.Errorf("told %d times", n)
		}
		before := len(r.rec.list())
		r.after(time.Hour)
		if n := len(r.rec.list()) - before; n < 10 || n > 13 {
			t.Errorf("%d probes in an hour, want one in 5 minutes", n)
		}
		r.rec.becomes(always(ok))
		r.after(10 * time.Minute)
		if s := r.main(); s.Paused != NotPaused || s.Acknowledged.Sum() != 500-maxRejected || s.DeadLettered.Sum() != maxRejected {
			t.Errorf("stats %+v", s)
		}
	})
}

// TestRejectionAfterRecovery: what led to a pause does not count after it.
func TestRejectionAfterRecovery(t *testing.T) {
	bubble(t, always(status(400)), func(r *rig) {
		for range maxRejected + 1 {
			r.track("v", "good")
		}
		r.after(time.Minute)
		if s := r.main(); s.Paused != MassRejection {
			t.Fatalf("stats %+v", s)
		}
		r.rec.becomes(poison(400, "bad"))
		r.after(10 * time.Minute)
		r.track("v", "bad")
		r.after(time.Minute)
		if s := r.main(); s.Paused != NotPaused || s.DeadLettered.Sum() != maxRejected+1 || s.Acknowledged.Sum() != 1 {
			t.Errorf("stats %+v", s)
		}
	})
}

// TestFewRejectionsDoNotPause: one bad event in ten is dealt with.
func TestFewRejectionsDoNotPause(t *testing.T) {
	bubble(t, poison(400, "bad"), func(r *rig) {
		for i := range 400 {
			name := "good"
			if i%10 == 0 {
				name = "bad"
			}
			r.track(fmt.Sprint("v", i), name)
		}
		r.after(time.Minute)
		if s := r.main(); s.Paused != NotPaused || s.DeadLettered.Sum() != 40 || s.Acknowledged.Sum() != 360 {
			t.Errorf("stats %+v", s)
		}
	})
}

// TestDeadLetterDiskFails: an event that cannot be dead-lettered is kept.
func TestDeadLetterDiskFails(t *testing.T) {
	bubble(t, poison(400, "bad"), func(r *rig) {
		// A directory where the file should be.
		path := filepath.Join(r.dir, deadLetterFile)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		r.track("v", "bad")
		r.track("v", "good")
		r.after(time.Minute)
		if s := r.main(); s.DeadLettered.Sum() != 0 || s.Acknowledged.Sum() != 0 || s.Pending != 2 {
			t.Fatalf("stats %+v", s)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		r.after(2 * time.Minute)
		if s := r.main(); s.DeadLettered.Sum() != 1 || s.Acknowledged.Sum() != 1 {
			t.Errorf("stats %+v", s)
		}
	})
}

// TestQueueFails: reading errors are outlasted.
func TestQueueFails(t *testing.T) {
	bubble(t, always(ok), func(r *rig) {
		r.log.mu.Lock()
		r.log.readErr = errNetwork
		r.log.mu.Unlock()
		r.track("v", "e")
		r.after(time.Hour)
		r.log.mu.Lock()
		r.log.readErr = nil
		r.log.mu.Unlock()
		r.after(2 * time.Minute)
		if s := r.main(); s.Acknowledged.Sum() != 1 || r.out.count("cannot be read") > lanes {
			t.Errorf("stats %+v, told %d times", s, r.out.count("cannot be read"))
		}
	})
}

// TestForeignRecord: what is not an event is passed over and counted.
func TestForeignRecord(t *testing.T) {
	bubble(t, always(ok), func(r *rig) {
		r.track("v", "first")
		r.after(time.Second)
		lane := r.log.Lane(mainLane("v"))
		defer lane.Release()
		for _, data := range []string{"", "{}", "\x00\x01"} {
			if err := lane.AppendWith(nil, 2, []byte(data)); err != nil {
				t.Fatal(err)
			}
		}
		r.after(time.Second)
		if r.log.backlog() != 0 || r.main().Lost[LostUnreadable] != 3 || len(r.rec.list()) != 1 {
			t.Errorf("stats %+v", r.main())
		}
		r.track("v", "e")
		r.after(time.Second)
		if r.main().Acknowledged.Sum() != 2 {
			t.Errorf("stats %+v", r.main())
		}
		// They went past Capture: adjust the counters.
		d := (*r.destinations.Load())["main"]
		d.counts.captured[2].Add(3)
	})
}
