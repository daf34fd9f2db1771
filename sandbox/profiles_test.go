package sandbox

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func identify(anonymous, user, traits string) string {
	return fmt.Sprintf(`{"type":"identify","event":"identify","anonymousId":%q,"userId":%q,"traits":%s}`, anonymous, user, traits)
}

func TestProfiles(t *testing.T) {
	now := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	start := now
	o := testAccount
	o.Now = func() time.Time { now = now.Add(time.Second); return now }
	s := newTest(t, o)
	visit := func(id string) string { return fmt.Sprintf(`{"type":"page","event":"page","anonymousId":%q}`, id) }

	accept(t, s, "batch", `{"batch":[`+visit("phone")+`,`+visit("laptop")+`,`+visit("stranger")+`]}`)
	if n := len(s.Profiles()); n != 3 {
		t.Fatalf("%d profiles before any merge", n)
	}
	accept(t, s, "batch", `{"batch":[`+identify("phone", "jo", `{"email":"a@b","plan":{"tier":"gold","seats":3}}`)+`]}`)
	accept(t, s, "batch", `{"batch":[`+identify("laptop", "jo", `{"plan":{"tier":"basic"},"n":12345678901234567890}`)+`]}`)
	// A userId that reads like an anonymousId is another identity.
	accept(t, s, "track", `{"event":"Buy","userId":"stranger"}`)

	got := s.Profiles()
	if len(got) != 3 {
		t.Fatalf("%d profiles: %+v", len(got), got)
	}
	if p := got[0]; !slices.Equal(p.UserIDs, []string{"stranger"}) || len(p.AnonymousIDs) != 0 {
		t.Errorf("the last seen is %+v", p)
	}
	jo := got[1]
	if !slices.Equal(jo.UserIDs, []string{"jo"}) || !slices.Equal(jo.AnonymousIDs, []string{"phone", "laptop"}) {
		t.Errorf("IDs %v %v", jo.UserIDs, jo.AnonymousIDs)
	}
	if !slices.Equal(jo.Events, []uint64{1, 2, 4, 5}) {
		t.Errorf("events %v", jo.Events)
	}
	traits := map[string]json.RawMessage{
		"email": json.RawMessage(`"a@b"`), "n": json.RawMessage(`12345678901234567890`),
		"plan": json.RawMessage(`{"tier":"basic"}`), // replaced whole: no seats
	}
	if !equalJSON(t, jo.Traits, traits) {
		t.Errorf("traits %s", jo.Traits)
	}
	if !jo.FirstSeen.Before(jo.LastSeen) || jo.FirstSeen.Before(start) {
		t.Errorf("seen %s to %s", jo.FirstSeen, jo.LastSeen)
	}
	if p := got[2]; !slices.Equal(p.AnonymousIDs, []string{"stranger"}) || len(p.UserIDs) != 0 {
		t.Errorf("the third is %+v", p)
	}

	var document []map[string]any
	getJSON(t, s, "/api/profiles", &document)
	if len(document) != 3 || document[0]["anonymousIds"] == nil || document[2]["userIds"] == nil {
		t.Errorf("lists must be [] rather than null: %v", document)
	}
}

func TestSharedBrowserIsOneProfile(t *testing.T) {
	s := newTest(t, testAccount)
	accept(t, s, "identify", identify("browser", "ann", `{}`), identify("browser", "bob", `{}`))
	if p := s.Profiles(); len(p) != 1 || !slices.Equal(p[0].UserIDs, []string{"ann", "bob"}) {
		t.Errorf("%+v", p)
	}
}

// Two IDs are in one profile exactly when a chain of events joins them.
func TestProfilesAreConnectedIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.SampledFrom([]string{"", "1", "2", "3", "4"})
		var events []Event
		for i := range rapid.IntRange(0, 12).Draw(t, "n") {
			e := Event{Seq: uint64(i + 1), Type: actionTrack, UserID: id.Draw(t, "user"), AnonymousID: id.Draw(t, "anonymous")}
			if e.UserID != "" || e.AnonymousID != "" {
				events = append(events, e)
			}
		}
		// The slow way: spread the smallest label until nothing changes.
		label := make([]int, len(events))
		for i := range label {
			label[i] = i
		}
		for changed := true; changed; {
			changed = false
			for i, a := range events {
				for j, b := range events {
					joined := a.UserID != "" && a.UserID == b.UserID || a.AnonymousID != "" && a.AnonymousID == b.AnonymousID
					if joined && label[j] < label[i] {
						label[i], changed = label[j], true
					}
				}
			}
		}
		want := map[int][]uint64{}
		for i, e := range events {
			want[label[i]] = append(want[label[i]], e.Seq)
		}
		got := mergeProfiles(events)
		if len(got) != len(want) {
			t.Fatalf("%d profiles, want %d", len(got), len(want))
		}
		for i, p := range got {
			if w := want[label[slices.IndexFunc(events, func(e Event) bool { return e.Seq == p.Events[0] })]]; !slices.Equal(p.Events, w) {
				t.Errorf("profile of events %v, want %v", p.Events, w)
			}
			if i > 0 && got[i-1].lastEvent() < p.lastEvent() {
				t.Error("the most recently seen must come first")
			}
		}
	})
}
