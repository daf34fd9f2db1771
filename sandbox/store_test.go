package sandbox

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

func trackCall(name, user, messageID string) string {
	return fmt.Sprintf(`{"type":"track","event":%q,"userId":%q,"messageId":%q}`, name, user, messageID)
}

func names(events []Event) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "%d:%s ", e.Seq, e.Name)
	}
	return strings.TrimSpace(b.String())
}

func TestKeepsTheLastEvents(t *testing.T) {
	o := testAccount
	o.Keep = 3
	s := newTest(t, o)
	for i := range 5 {
		accept(t, s, "track", trackCall(fmt.Sprint("E", i), "u", fmt.Sprint("m", i)))
	}
	if got := names(s.Events()); got != "3:E2 4:E3 5:E4" {
		t.Errorf("kept %s", got)
	}
	if st := s.Stats(); st.Events != 5 || st.Kept != 3 || st.Keep != 3 || st.Requests != 5 {
		t.Errorf("stats %+v", st)
	}
	// One batch larger than the ring.
	accept(t, s, "batch", `{"batch":[`+strings.TrimSuffix(strings.Repeat(aTrack+",", 10), ",")+`]}`)
	if got := names(s.Events()); got != "13:Buy 14:Buy 15:Buy" {
		t.Errorf("kept %s", got)
	}
	// What was forgotten is not a duplicate.
	accept(t, s, "track", trackCall("E0", "u", "m0"))
	if st := s.Stats(); st.Duplicates != 0 || len(s.store.byMessage) != 1 {
		t.Errorf("stats %+v, %d messageIds known", st, len(s.store.byMessage))
	}
}

func TestKeepsAtMostSoManyBytes(t *testing.T) {
	o := testAccount
	o.Keep, o.Burst = 1<<30, 1<<20
	s := newTest(t, o)
	for range 300 {
		accept(t, s, "track", padded(maxCallBytes))
	}
	large := len(s.Events())
	if s.store.bytes > keepBytes || large < 200 || large == 300 {
		t.Errorf("%d events of %d bytes in total", large, s.store.bytes)
	}
	// Small calls in a large context: each counts the context that it shares.
	calls := strings.TrimSuffix(strings.Repeat(aTrack+",", 3_000), ",")
	accept(t, s, "batch", `{"batch":[`+calls+`],"context":{"timezone":"`+strings.Repeat("x", 30_000)+`"}}`)
	if n := len(s.Events()); s.store.bytes > keepBytes || n > keepBytes/30_000 {
		t.Errorf("%d events of %d bytes in total", n, s.store.bytes)
	}
	s.Clear()
	if s.store.bytes != 0 || len(s.store.byMessage) != 0 {
		t.Errorf("%d bytes, %d messageIds after clearing", s.store.bytes, len(s.store.byMessage))
	}
}

func TestDuplicates(t *testing.T) {
	now := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	o := testAccount
	o.Now = func() time.Time { return now }
	s := newTest(t, o)
	first := trackCall("A", "u", "m1")
	accept(t, s, "track", first)
	now = now.Add(time.Second)
	accept(t, s, "track", first)
	accept(t, s, "batch", `{"batch":[`+first+`,`+trackCall("B", "u", "m2")+`,`+trackCall("B", "u", "m2")+`]}`)
	accept(t, s, "track", aTrack, aTrack) // without messageId each is its own

	events := s.Events()
	if got := names(events); got != "1:A 2:B 3:Buy 4:Buy" {
		t.Fatalf("events %s", got)
	}
	if events[0].Duplicates != 2 || events[1].Duplicates != 1 || events[2].Duplicates != 0 {
		t.Errorf("duplicates %d, %d, %d", events[0].Duplicates, events[1].Duplicates, events[2].Duplicates)
	}
	if !events[0].ReceivedAt.Equal(now.Add(-time.Second)) {
		t.Errorf("received at %s, not when it came first", events[0].ReceivedAt)
	}
	if st := s.Stats(); st.Events != 4 || st.Duplicates != 3 || st.Requests != 5 {
		t.Errorf("stats %+v", st)
	}
}

func TestConcurrentUse(t *testing.T) {
	o := testAccount
	o.Keep, o.Burst = 50, 1<<20
	s := newTest(t, o)
	const workers, each = 8, 50
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				accept(t, s, "track", trackCall("E", fmt.Sprint("u", w), fmt.Sprint(w, i)))
				s.Profiles()
				s.SetFault(FaultNone)
				if i == each/2 {
					s.store.since(uint64(i))
				}
			}
		})
	}
	wg.Wait()
	events := s.Events()
	if st := s.Stats(); st.Events != workers*each || len(events) != 50 {
		t.Errorf("stats %+v, %d kept", st, len(events))
	}
	for i := 1; i < len(events); i++ {
		if events[i].Seq != events[i-1].Seq+1 {
			t.Fatalf("event %d follows %d", events[i].Seq, events[i-1].Seq)
		}
	}
}
