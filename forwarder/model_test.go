package forwarder

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/internal/faketime"
)

// TestModel lets a random receiver, random reloads and random restarts work on
// random events, and checks the package's promises at the end.
func TestModel(t *testing.T) {
	faults := []reply{
		ok, ok, {status: 200, body: "{bro"}, late(time.Second), {status: 204}, {status: 503, header: http.Header{"Retry-After": {"40"}}}, {status: 500}, {status: 503, delay: 5 * time.Second},
		{status: 408}, {err: errNetwork}, {hang: true}, {status: 429}, {status: 429, header: http.Header{"Retry-After": {"3"}}},
		{status: 403}, {status: 404}, {status: 302}, {status: 413}, {status: 400}, {status: 200, body: `{"success":false}`},
	}
	type step struct {
		what    string
		visitor int
		typ     event.Type
		command bool
		wait    time.Duration
	}
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
			return step{
				what:    rapid.SampledFrom([]string{"capture", "capture", "capture", "capture", "capture", "capture", "reload", "remove", "restart"}).Draw(t, "what"),
				visitor: rapid.IntRange(0, 12).Draw(t, "visitor"),
				typ:     event.Type(rapid.IntRange(int(event.Page), int(event.Identify)).Draw(t, "type")),
				command: rapid.Bool().Draw(t, "command"),
				wait:    time.Duration(rapid.SampledFrom([]int{0, 0, 1, 300, 1000, 40_000}).Draw(t, "wait")) * time.Millisecond,
			}
		}), 1, 80).Draw(rt, "steps")
		script := rapid.SliceOfN(rapid.IntRange(0, len(faults)-1), 0, 60).Draw(rt, "answers")
		limit := rapid.SampledFrom([]int{0, 3}).Draw(rt, "limit")
		var failure error
		faketime.Test(t, func(t *testing.T) {
			n := 0
			rec := &receiver{answer: func(r *request) reply {
				n++
				if n <= len(script) {
					return faults[script[n-1]]
				}
				return ok
			}}
			log := newMemLog()
			log.limit = limit
			dir := t.TempDir()
			set := Settings{Destinations: []Destination{{Name: "main", ClientID: "c", Transport: rec, Token: func() (string, error) { return "t", nil }}}}
			var f *Forwarder
			var before uint64
			owner := 0
			open := func() {
				log.reopen()
				before = log.backlog()
				f = newForwarder(dir, log.opener)
				owner++
				failure = errors.Join(failure, f.Start(owner, set))
			}
			closeIt := func() {
				failure = errors.Join(failure, f.Close())
				synctest.Wait()
				failure = errors.Join(failure, balance(f.Stats(), before))
			}
			open()
			var taken []string // messageIds in order of capture, by Capture's word
			visitors := map[string]int{}
			var restarts []time.Time
			for i, s := range steps {
				switch s.what {
				case "capture":
					id := fmt.Sprintf("m%03d", i)
					e := &event.Event{Type: s.typ, Name: "n", AnonymousID: fmt.Sprint("v", s.visitor), MessageID: id}
					if s.typ == event.Track && s.command {
						e.Name = "send_push"
					}
					if err := f.Capture("main", e); err == nil {
						taken = append(taken, id)
						visitors[id] = s.visitor
					} else if !errors.Is(err, ErrFull) {
						failure = errors.Join(failure, err)
					}
				case "reload":
					failure = errors.Join(failure, f.Start(owner+1, set))
					f.Stop(owner)
					owner++
				case "remove":
					failure = errors.Join(failure, f.Start("other", Settings{}))
					time.Sleep(s.wait)
					f.Stop("other")
				case "restart":
					closeIt()
					restarts = append(restarts, time.Now())
					open()
				}
				time.Sleep(s.wait)
			}
			for i := 0; log.backlog() > 0 && i < 100; i++ {
				time.Sleep(10 * time.Minute)
			}
			synctest.Wait()
			if log.backlog() > 0 {
				failure = errors.Join(failure, fmt.Errorf("%d events are never delivered: %+v", log.backlog(), f.Stats()))
			}
			closeIt()
			dead := deadIDs(t, dir)
			failure = errors.Join(failure, promises(rec.list(), taken, visitors, dead, restarts))
		})
		if failure != nil {
			rt.Fatal(failure)
		}
	})
}

// promises checks what a receiver saw against what was captured.
func promises(requests []*request, taken []string, visitors map[string]int, dead map[string]bool, restarts []time.Time) error {
	accepted := map[string]time.Time{} // messageId -> when first
	failed := map[string]bool{}        // messageId -> was in an attempt whose end was not an acceptance
	last := map[int]string{}           // visitor -> the latest messageId accepted for the first time
	due := map[int]time.Time{}         // visitor -> when a command may go
	again := map[string]time.Time{}    // messageId -> when sent twice without a failure
	for _, r := range requests {
		good := r.status/100 == 2 && r.status != 0 && !r.refused
		identified := map[int]bool{}
		for _, c := range r.calls {
			v := visitors[c.MessageID]
			if c.Event == "send_push" && (r.at.Before(due[v]) || identified[v]) {
				return fmt.Errorf("visitor %d: command %s was sent before the delay after the identify", v, c.MessageID)
			}
			identified[v] = identified[v] || c.Type == "identify"
			if !good {
				failed[c.MessageID] = true
				continue
			}
			if accepted[c.MessageID].IsZero() {
				if c.MessageID < last[v] {
					return fmt.Errorf("visitor %d: %s came after %s", v, c.MessageID, last[v])
				}
				last[v] = c.MessageID
				accepted[c.MessageID] = r.done
			} else if !failed[c.MessageID] {
				again[c.MessageID] = r.at
			}
			if c.Type == "identify" {
				due[v] = r.done.Add(traitDelay)
			}
		}
	}
	for id, at := range again {
		if !overtook(id, accepted, at, visitors, restarts) {
			return fmt.Errorf("%s was sent twice without a failure", id)
		}
	}
	for _, id := range taken {
		if accepted[id].IsZero() && !dead[id] {
			return fmt.Errorf("%s is neither delivered nor a dead letter", id)
		}
	}
	return nil
}

// overtook reports whether an event may have been sent again at that time: it
// had overtaken an older one of its lane which was deferred when the process
// ended. Only that is forgotten by a restart.
func overtook(id string, accepted map[string]time.Time, at time.Time, visitors map[string]int, restarts []time.Time) bool {
	lane := func(id string) int { return laneOf(&event.Event{AnonymousID: fmt.Sprint("v", visitors[id])}) }
	for _, restart := range restarts {
		if restart.Before(accepted[id]) || restart.After(at) {
			continue
		}
		for other := range visitors {
			if other < id && lane(other) == lane(id) && visitors[other] != visitors[id] &&
				(accepted[other].IsZero() || !accepted[other].Before(restart)) {
				return true
			}
		}
	}
	return false
}

// deadIDs returns the messageIds in the dead letters.
func deadIDs(t *testing.T, dir string) map[string]bool {
	t.Helper()
	ids := map[string]bool{}
	data, err := os.ReadFile(filepath.Join(dir, deadLetterFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	for line := range strings.Lines(string(data)) {
		var l struct{ Event struct{ MessageID string } }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Errorf("%v: %s", err, line)
		}
		ids[l.Event.MessageID] = true
	}
	return ids
}
