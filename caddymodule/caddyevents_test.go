package caddymodule

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/google/go-cmp/cmp"

	"github.com/intilery/caddy-intilery/forwarder"
	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/sandbox"
)

// destinationAt is a destination that is paused since a minute of the test.
func destinationAt(reason forwarder.Pause, minute int) forwarder.DestinationStats {
	return forwarder.DestinationStats{Paused: reason, PausedSince: testMinute(minute)}
}

func testMinute(n int) time.Time { return time.Date(2026, 7, 1, 12, n, 0, 0, time.UTC) }

// losing is a destination that has lost events.
func losing(cause queue.LossCause, n uint64) forwarder.DestinationStats {
	return forwarder.DestinationStats{Lost: map[queue.LossCause]uint64{cause: n}}
}

func TestReportedChanges(t *testing.T) {
	type byName = map[string]forwarder.DestinationStats
	all := subjects{pauses: true, losses: true}
	running, unavailable, misconfigured := destinationAt(forwarder.NotPaused, 0), destinationAt(forwarder.Unavailable, 1), destinationAt(forwarder.Misconfigured, 2)
	logOf := func(missing, shedPages, shedTracks uint64) forwarder.Stats {
		st := forwarder.Stats{Log: queue.Stats{Lost: map[queue.LossCause]uint64{queue.LostMissing: missing}}}
		st.Log.Shed[0] = map[queue.ShedCause]uint64{queue.ShedDiskFull: shedPages}
		st.Log.Shed[1] = map[queue.ShedCause]uint64{queue.ShedDiskFull: shedTracks}
		return st
	}
	type look struct {
		stats  forwarder.Stats
		minute int
		of     subjects
		want   string // the events, one a line
	}
	of := func(d byName) forwarder.Stats { return forwarder.Stats{Destinations: d} }
	for _, tt := range []struct {
		name  string
		looks []look
	}{
		{"nothing has happened", []look{{of(byName{"a": running}), 0, all, ""}, {forwarder.Stats{}, 1, all, ""}}},
		{"paused once and recovered once", []look{
			{of(byName{"a": unavailable, "b": running}), 1, all, "paused a unavailable 12:01"},
			{of(byName{"a": unavailable, "b": running}), 2, all, ""},
			{of(byName{"a": running, "b": running}), 3, all, "recovered a unavailable 12:01"},
			{of(byName{"a": running, "b": running}), 4, all, ""},
		}},
		{"another reason", []look{
			{of(byName{"a": unavailable}), 1, all, "paused a unavailable 12:01"},
			{of(byName{"a": misconfigured}), 2, all, "paused a misconfigured 12:02"},
			{of(byName{"a": running}), 3, all, "recovered a misconfigured 12:02"},
		}},
		{"a pause that ends and begins between two looks is one", []look{
			{of(byName{"a": unavailable}), 1, all, "paused a unavailable 12:01"},
			{of(byName{"a": destinationAt(forwarder.Unavailable, 4)}), 5, all, ""},
			{of(byName{"a": running}), 6, all, "recovered a unavailable 12:01"},
		}},
		{"by name", []look{{of(byName{"b": misconfigured, "a": unavailable}), 2, all, "paused a unavailable 12:01\npaused b misconfigured 12:02"}}},
		{"removed while it is paused", []look{
			{of(byName{"a": unavailable}), 1, all, "paused a unavailable 12:01"},
			{of(byName{}), 2, all, ""},
			{of(byName{"a": unavailable}), 3, all, "paused a unavailable 12:01"},
		}},
		{"lost", []look{
			{of(byName{"a": losing(forwarder.LostTooLarge, 3)}), 1, all, "lost a too_large 3"},
			{of(byName{"a": losing(forwarder.LostTooLarge, 3)}), 9, all, ""},
			{of(byName{"a": losing(forwarder.LostTooLarge, 5)}), 10, all, "lost a too_large 2"},
		}},
		{"lost again within a minute", []look{
			{of(byName{"a": losing(forwarder.LostTooLarge, 3)}), 1, all, "lost a too_large 3"},
			{of(byName{"a": losing(forwarder.LostTooLarge, 4)}), 1, all, ""},
			{of(byName{"a": losing(forwarder.LostTooLarge, 5)}), 2, all, "lost a too_large 2"},
		}},
		{"a destination that was gone counts anew", []look{
			{of(byName{"a": losing(forwarder.LostTooLarge, 9)}), 1, all, "lost a too_large 9"},
			{of(byName{}), 3, all, ""},
			{of(byName{"a": losing(forwarder.LostTooLarge, 9)}), 5, all, "lost a too_large 9"},
		}},
		{"a destination that was gone between two looks", []look{
			{of(byName{"a": losing(forwarder.LostTooLarge, 9)}), 1, all, "lost a too_large 9"},
			{of(byName{"a": losing(forwarder.LostTooLarge, 2)}), 3, all, "lost a too_large 2"},
		}},
		{"lost in the log, with all types together", []look{{logOf(2, 3, 4), 1, all, "lost  disk_full 7\nlost  missing 2"}}},
		{"lost for a destination that never was", []look{{forwarder.Stats{Unknown: 2}, 1, all, "lost  unknown_destination 2"}}},
		{"nobody asks for pauses yet", []look{
			{of(byName{"a": unavailable}), 1, subjects{losses: true}, ""},
			{of(byName{"a": unavailable}), 2, all, "paused a unavailable 12:01"},
		}},
		{"nobody asks for losses yet", []look{
			{of(byName{"a": losing(forwarder.LostInvalid, 1)}), 1, subjects{pauses: true}, ""},
			{of(byName{"a": losing(forwarder.LostInvalid, 1)}), 2, all, "lost a invalid 1"},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := new(reported)
			for i, look := range tt.looks {
				var got []string
				for _, n := range r.changes(look.stats, testMinute(look.minute), look.of) {
					got = append(got, describe(n.event, n.data))
				}
				if diff := cmp.Diff(look.want, strings.Join(got, "\n")); diff != "" {
					t.Errorf("look %d: %s", i+1, diff)
				}
			}
		})
	}
}

// describe writes an event with all its data as one line.
func describe(name string, data map[string]any) string {
	data = maps.Clone(data)
	take := func(key string) any { v := data[key]; delete(data, key); return v }
	var text string
	if name == eventLost {
		text = fmt.Sprintf("lost %s %s %d", take("destination"), take("cause"), take("count"))
	} else {
		text = fmt.Sprintf("%s %s %s ", strings.TrimPrefix(name, "intilery_destination_"), take("destination"), take("reason"))
		since, err := time.Parse(time.RFC3339, fmt.Sprint(take("since")))
		if err != nil {
			return err.Error()
		}
		text += since.Format("15:04")
	}
	if len(data) > 0 {
		text += fmt.Sprintf(" and %v", data)
	}
	return text
}

// recorder is an event handler that keeps what it is told, over reloads.
type recorder struct {
	Generation string `json:"generation,omitempty"` // of the configuration
}

var recorded struct {
	sync.Mutex
	events []string
}

func init() {
	caddy.RegisterModule(recorder{})
	lookEvery = 5 * time.Millisecond
}

func (recorder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.recorder", New: func() caddy.Module { return new(recorder) }}
}

func (r *recorder) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	r.Generation = strings.Join(d.RemainingArgs(), " ")
	return nil
}

func (r *recorder) Handle(_ context.Context, e caddy.Event) error {
	if !strings.HasPrefix(e.Name(), "intilery_") {
		return nil // Caddy's own
	}
	recorded.Lock()
	defer recorded.Unlock()
	line := strings.Fields(describe(e.Name(), e.Data)) // without the time
	recorded.events = append(recorded.events, fmt.Sprintf("%s %s %s", r.Generation, strings.Join(line[:3], " "), e.Origin().CaddyModule().ID))
	if e.Name() == eventPaused {
		panic("a handler's own fault")
	}
	return nil
}

var _ caddyevents.Handler = (*recorder)(nil)

// With a token that is refused a destination pauses; each change is emitted once,
// whatever is reloaded and whatever a handler does.
func TestCaddyEvents(t *testing.T) {
	recorded.events = nil
	r := newRig(t)
	generation := func(name string) string {
		return strings.Replace(r.global(""), "intilery {", "events {\n on * recorder "+name+"\n }\n intilery {", 1)
	}
	want := func(events ...string) {
		t.Helper()
		var got []string
		eventually(t, func() bool {
			recorded.Lock()
			defer recorded.Unlock()
			got = slices.Clone(recorded.events)
			for i, line := range got {
				// While a configuration takes over, either it or the one before may be
				// the first to see a change.
				switch generation, what, _ := strings.Cut(line, " "); {
				case strings.HasPrefix(what, "lost") && generation != "third":
					got[i] = "first or second " + what
				case strings.HasPrefix(what, "recovered") && generation != "first":
					got[i] = "second or third " + what
				}
			}
			return len(got) >= len(events)
		}, func() string { return fmt.Sprintf("emitted %q, want %q; log:\n%s", got, events, r.log()) })
		if diff := cmp.Diff(events, got); diff != "" {
			t.Fatal(diff)
		}
	}

	r.sandbox.SetFault(sandbox.Fault403)
	r.load(generation("first"), trackingSite)
	r.get("/refused")
	want("first paused default misconfigured intilery")

	// The second configuration says nothing that the first has said. What there
	// is to say is the loss, and the recovery, since a reload tries at once.
	r.load(generation("second"), trackingSite)
	queues.Range(func(_, value any) bool {
		if err := value.(pooled).Capture("default", new(event.Event)); err == nil {
			t.Error("an event of no type was captured")
		}
		return true
	})
	want("first paused default misconfigured intilery", "first or second lost default invalid intilery")
	r.sandbox.SetFault(sandbox.FaultNone)
	r.load(generation("third"), trackingSite)
	recovered := func() {
		t.Helper()
		want("first paused default misconfigured intilery", "first or second lost default invalid intilery",
			"second or third recovered default misconfigured intilery")
	}
	recovered()
	r.calls(1)
	if log := r.log(); strings.Count(log, "an event handler panicked") != 1 {
		t.Errorf("the panic is not logged once:\n%s", log)
	}
	r.stop()
	recovered()
}
