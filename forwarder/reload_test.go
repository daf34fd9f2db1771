package forwarder

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/deadletter"
	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/fleet"
)

// TestReload swaps settings under load: one consumer per lane, nothing twice.
func TestReload(t *testing.T) {
	bubble(t, always(late(30*time.Millisecond)), func(r *rig) {
		n := 0
		for i := range 50 {
			for range 10 {
				r.track("v", fmt.Sprint("e", n))
				n++
			}
			owner := fmt.Sprint("config", i)
			set := r.set
			if i%5 == 3 {
				set.Destinations = nil // removed for a while
			}
			if err := r.Start(owner, set); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				r.Stop("test")
			} else {
				r.Stop(fmt.Sprint("config", i-1))
			}
			r.after(time.Duration(i) * 7 * time.Millisecond)
		}
		r.after(time.Second)
		got := r.rec.accepted()
		for i := range n {
			if i >= len(got) || got[i] != fmt.Sprint("e", i) {
				t.Fatalf("event %d of %d delivered is %v", i, len(got), got[min(i, len(got)-1)])
			}
		}
		if len(got) != n || r.main().Captured.Sum() != uint64(n) {
			t.Errorf("%d delivered, captured %+v, want %d", len(got), r.main().Captured, n)
		}
	})
}

// TestRemoveDuringRequest: the consumer that comes back waits for the one that
// was stopped and still has a request under way.
func TestRemoveDuringRequest(t *testing.T) {
	bubble(t, always(late(5*time.Second)), func(r *rig) {
		r.track("v", "e")
		r.after(linger)
		if err := r.Start("without", Settings{}); err != nil {
			t.Fatal(err)
		}
		r.Stop("without")
		r.after(time.Minute)
		if got := r.rec.accepted(); len(got) != 1 {
			t.Errorf("delivered %d times", len(got))
		}
	})
}

// TestRemoveDuringWait: lanes that are stopped while they wait for the rate give
// their place back.
func TestRemoveDuringWait(t *testing.T) {
	bubble(t, always(ok), func(r *rig) {
		r.set.Destinations[0].Rate, r.set.Destinations[0].Burst = 1, 1
		r.start()
		for range 3 {
			r.crowd(50)
			r.after(linger + time.Second)
			if err := r.Start("without", Settings{}); err != nil {
				t.Fatal(err)
			}
			r.Stop("without")
		}
		r.after(time.Minute)
		if s := r.main(); s.Pending != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// TestReloadProbesAtOnce: whoever mends a configuration sees the effect.
func TestReloadProbesAtOnce(t *testing.T) {
	for _, code := range []int{404, 503} {
		bubble(t, always(status(code)), func(r *rig) {
			r.track("v", "e")
			r.after(time.Hour)
			r.rec.becomes(always(ok))
			r.start()
			r.after(time.Millisecond)
			if s := r.main(); s.Acknowledged.Sum() != 1 {
				t.Errorf("%d: stats %+v", code, s)
			}
		})
	}
}

// TestFailedReload: the settings before come back when a new owner gives up.
func TestFailedReload(t *testing.T) {
	bubble(t, always(ok), func(r *rig) {
		bad := r.set
		bad.Destinations = []Destination{r.destination("other")}
		if err := r.Start("new", bad); err != nil {
			t.Fatal(err)
		}
		r.track("v", "while") // from a handler of the old configuration
		r.after(time.Second)
		if s := r.main(); s.Sending || s.Pending != 1 {
			t.Errorf("stats %+v", s)
		}
		r.Stop("new")
		r.after(time.Second)
		if s := r.main(); !s.Sending || s.Pending != 0 || r.Stats().Destinations["other"].Sending {
			t.Errorf("stats %+v", s)
		}
		// Start of an owner that is not on top changes nothing in force.
		if err := errors.Join(r.Start("new", bad), r.Start("test", r.set)); err != nil {
			t.Fatal(err)
		}
		if r.main().Sending {
			t.Error("an owner below the top was put in force")
		}
		r.Stop("test")
		r.Stop("new")
		r.Stop("nobody")
		r.track("v", "later")
		r.after(time.Second)
		if r.main().Pending != 1 {
			t.Error("sent without any owner")
		}
	})
}

// TestChangedLogOptions: a reload that changes an option of the open log says
// so, and applies the size of the dead letters.
func TestChangedLogOptions(t *testing.T) {
	bubble(t, always(ok), func(r *rig) {
		r.start()
		if n := r.out.count("has changed"); n != 0 {
			t.Errorf("told of %d changes without one", n)
		}
		r.set.MaxBytes, r.set.MaxAge, r.set.Sync = 512<<20, time.Hour, SyncOS
		r.set.EncryptionKeys = [][]byte{bytes.Repeat([]byte{7}, 32)}
		r.set.DeadLetterBytes = 2 << 20
		r.set.Fleet = &fleet.Options{Servers: []string{"localhost:4222"}, Node: "web"}
		r.start()
		for _, option := range []string{"max_size", "max_age", "sync", "encryption_key", "fleet"} {
			if r.out.count("has changed", "option="+option) != 1 {
				t.Errorf("%s: not told", option)
			}
		}
		for range 80 { // 2.4 MB
			if _, err := r.shared.letters.Add(&deadletter.Letter{Message: strings.Repeat("x", 30_000), Event: event.Stored("{}")}, nil); err != nil {
				t.Fatal(err)
			}
		}
		if s := r.Stats().DeadLetters; s.Dropped == 0 || s.Bytes > 2<<20 {
			t.Errorf("the size of the dead letters: %+v", s)
		}
		for _, s := range []Settings{
			{MaxBytes: 1 << 20}, {MaxAge: time.Second}, {SyncEvery: time.Hour}, {EncryptionKeys: [][]byte{{1}}}, {MaxBytes: -1}, {MaxAge: -1}, {SyncEvery: -1},
			{Fleet: new(fleet.Options)},
		} {
			if err := r.Start("other", s); err == nil {
				t.Errorf("%+v is accepted", s)
			}
		}
	})
}
