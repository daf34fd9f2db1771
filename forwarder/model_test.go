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
)

// TestModel lets a random receiver, random reloads and random restarts work on
// random events, and checks the package's promises at the end.
func TestModel(t *testing.T) {
	faults := []reply{
		ok, ok, {status: 200, body: "{bro"}, {status: 204, delay: time.Second}, {status: 500}, {status: 503, delay: 5 * time.Second},
		{status: 408}, {err: errNetwork}, {hang: true}, {status: 429}, {status: 429, header: http.Header{"Retry-After": {"3"}}},
		{status: 403}, {status: 404}, {status: 302}, {status: 413}, {status: 400}, {status: 200, body: `{"success":false}`},
	}
	type step struct {
		what    string
		visitor int
		typ     Type
		wait    time.Duration
	}
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
			return step{
				what:    rapid.SampledFrom([]string{"capture", "capture", "capture", "capture", "capture", "capture", "reload", "remove", "restart"}).Draw(t, "what"),
				visitor: rapid.IntRange(0, 12).Draw(t, "visitor"),
				typ:     Type(rapid.IntRange(int(Page), int(Identify)).Draw(t, "type")),
				wait:    time.Duration(rapid.SampledFrom([]int{0, 0, 1, 300, 1000, 40_000}).Draw(t, "wait")) * time.Millisecond,
			}
		}), 1, 80).Draw(rt, "steps")
		script := rapid.SliceOfN(rapid.IntRange(0, len(faults)-1), 0, 60).Draw(rt, "answers")
		limit := rapid.SampledFrom([]int{0, 3}).Draw(rt, "limit")
		var failure error
		synctest.Test(t, func(t *testing.T) {
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
			for i, s := range steps {
				switch s.what {
				case "capture":
					id := fmt.Sprintf("m%03d", i)
					e := &Event{Type: s.typ, Name: "n", AnonymousID: fmt.Sprint("v", s.visitor), MessageID: id}
					if err := f.Capture("main", e); err == nil {
						taken = append(taken, id)
						visitors[id] = s.visitor
					} else if !errors.Is(err, ErrShed) {
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
			failure = errors.Join(failure, promises(rec.list(), taken, visitors, dead))
		})
		if failure != nil {
			rt.Fatal(failure)
		}
	})
}

// promises checks what a receiver saw against what was captured.
func promises(requests []*request, taken []string, visitors map[string]int, dead map[string]bool) error {
	accepted := map[string]int{} // messageId -> how often
	failed := map[string]bool{}  // messageId -> was in an attempt whose end was not an acceptance
	last := map[int]string{}     // visitor -> the latest messageId accepted for the first time
	for _, r := range requests {
		good := r.status/100 == 2 && r.status != 0 && !r.refused
		for _, c := range r.calls {
			if !good {
				failed[c.MessageID] = true
				continue
			}
			v := visitors[c.MessageID]
			if accepted[c.MessageID] == 0 {
				if c.MessageID < last[v] {
					return fmt.Errorf("visitor %d: %s came after %s", v, c.MessageID, last[v])
				}
				last[v] = c.MessageID
			} else if !failed[c.MessageID] {
				return fmt.Errorf("%s was sent twice without a failure", c.MessageID)
			}
			accepted[c.MessageID]++
		}
	}
	for _, id := range taken {
		if accepted[id] == 0 && !dead[id] {
			return fmt.Errorf("%s is neither delivered nor a dead letter", id)
		}
	}
	return nil
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
