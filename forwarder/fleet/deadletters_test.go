package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/intilery/caddy-intilery/forwarder/deadletter"
	"github.com/intilery/caddy-intilery/forwarder/erasure"
	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/internal/seal/sealtest"
)

func testLetter(visitor string, number int) *deadletter.Letter {
	return &deadletter.Letter{
		Time: time.Now(), Destination: "default", Reason: "rejected", Status: 400, Message: "no", Event: event.Stored(testEvent(visitor, number)),
	}
}

func mustAdd(t *testing.T, n *testNode, l *deadletter.Letter) {
	t.Helper()
	if added, err := n.DeadLetters().Add(l, nil); err != nil || !added {
		t.Fatalf("added %v, %v", added, err)
	}
}

// letterIDs lists the dead letters as a node sees them: "visitor/number".
func letterIDs(t *testing.T, n *testNode, f deadletter.Filter, limit int) []string {
	t.Helper()
	list, err := n.DeadLetters().List(f, limit)
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, l := range list.Letters {
		a, _ := l.Event.IDs()
		ids = append(ids, a+"/"+l.Event.MessageID())
	}
	return ids
}

func all(*deadletter.Letter) bool { return true }

// What one node adds, another lists, selects, removes and purges.
func TestDeadLettersAreTheFleets(t *testing.T) {
	inFleet(t, func(s *site) {
		a, b := s.nodes[0], s.nodes[1]
		for i := range 6 {
			mustAdd(t, a, testLetter(fmt.Sprint("v", i%2), i))
			time.Sleep(time.Millisecond)
		}
		if diff := cmp.Diff([]string{"v1/3", "v0/4", "v1/5"}, letterIDs(t, b, deadletter.Filter{}, 3)); diff != "" {
			t.Error("the latest:", diff)
		}
		if got := letterIDs(t, b, deadletter.Filter{Destination: "other"}, 3); len(got) > 0 {
			t.Error("another destination's:", got)
		}
		gone := make(map[deadletter.ID]bool)
		if _, err := b.DeadLetters().Select(deadletter.Filter{MessageIDs: []string{"0", "1", "4"}}.Wants, func(id deadletter.ID, _ *deadletter.Letter) error {
			gone[id] = true
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if n, err := b.DeadLetters().Remove(gone); n != 3 || err != nil {
			t.Errorf("removed %d, %v", n, err)
		}
		if n, err := b.DeadLetters().Remove(gone); n != 0 || err != nil {
			t.Errorf("removed again: %d, %v", n, err)
		}
		if diff := cmp.Diff([]string{"v0/2", "v1/3", "v1/5"}, letterIDs(t, a, deadletter.Filter{}, 100)); diff != "" {
			t.Error("left:", diff)
		}
		within(t, 2*lookEvery, "the gauges follow", func() bool {
			st := s.nodes[2].DeadLetters().Stats()
			return st.Kept == 3 && st.Bytes > 0 && st.Dropped == 0
		})
		if n, err := b.DeadLetters().Purge(deadletter.Filter{MessageIDs: []string{"3"}}.Wants); n != 1 || err != nil {
			t.Errorf("purged %d, %v", n, err)
		}
		if n, err := a.DeadLetters().Purge(all); n != 2 || err != nil {
			t.Errorf("purged %d, %v", n, err)
		}
	})
}

// A letter whose answer was lost is there once, however it is tried again.
func TestDeadLetterAnswerLost(t *testing.T) {
	inFleet(t, func(s *site) {
		n := s.nodes[0]
		for name, f := range map[string]fault{"answer": answerLost, "request": requestLost} {
			l := testLetter(name, 1)
			mustAdd(t, n, testLetter(name, 0))
			failing := true
			n.broker.setFault(func(method, _ string) fault {
				if method == "AddLetter" && failing {
					return f
				}
				return noFault
			})
			if _, err := n.DeadLetters().Add(l, nil); f == requestLost && !errors.Is(err, errUnknown) || f == answerLost && err != nil {
				t.Errorf("%s lost: %v", name, err)
			}
			failing = false
			mustAdd(t, n, l)
			mustAdd(t, n, l)
			n.broker.setFault(nil)
			mustAdd(t, n, testLetter(name, 2))
			if got := letterIDs(t, n, deadletter.Filter{}, 100); len(slices.DeleteFunc(got, func(id string) bool { return !strings.HasPrefix(id, name) })) != 3 {
				t.Errorf("%s lost: %v", name, got)
			}
		}
	})
}

// Another node, that still thinks the lane its own, comes between look-up and write.
func TestDeadLetterConflict(t *testing.T) {
	inFleet(t, func(s *site) {
		a, b := s.nodes[0], s.nodes[1]
		first := true
		if added, err := a.DeadLetters().Add(testLetter("v", 1), func() bool {
			if first {
				first = false
				mustAdd(t, b, testLetter("v", 2))
			}
			return true
		}); err != nil || !added {
			t.Errorf("added %v, %v", added, err)
		}
		if got := letterIDs(t, a, deadletter.Filter{}, 100); len(got) != 2 {
			t.Error(got)
		}
	})
}

// While the broker is away nothing is taken, listed or hung in; what is added
// again when it is back is there.
func TestDeadLettersWithoutBroker(t *testing.T) {
	inFleet(t, func(s *site) {
		n := s.nodes[0]
		mustAdd(t, n, testLetter("v", 1))
		within(t, 2*lookEvery, "a gauge", func() bool { return n.DeadLetters().Stats().Kept == 1 })
		l := testLetter("v", 2)
		done := make(chan error)
		go func() {
			_, err := n.DeadLetters().Add(l, nil)
			done <- err
		}()
		time.Sleep(500 * time.Microsecond)
		n.broker.cut(true)
		began := time.Now()
		if err := <-done; err == nil || time.Since(began) > requestWait {
			t.Errorf("add: %v after %v", err, time.Since(began))
		}
		if _, err := n.DeadLetters().List(deadletter.Filter{}, 10); !errors.Is(err, ErrApart) {
			t.Errorf("list: %v", err)
		}
		if got := n.DeadLetters().Stats(); got.Kept != 1 {
			t.Errorf("stats: %+v", got)
		}
		n.broker.cut(false)
		mustAdd(t, n, l)
		if got := letterIDs(t, s.nodes[1], deadletter.Filter{}, 10); len(got) != 2 {
			t.Error(got)
		}
	})
}

func TestDeadLetterTooLarge(t *testing.T) {
	inFleet(t, func(s *site) {
		s.b.setMaxPayload(100)
		if _, err := s.nodes[0].DeadLetters().Add(testLetter("v", 1), nil); !errors.Is(err, ErrLetterTooLarge) {
			t.Error(err)
		}
	})
}

// The oldest letters make room, and are counted by all nodes.
func TestDeadLettersDropped(t *testing.T) {
	inFleet(t, func(s *site) {
		n := s.nodes[0]
		room := uint64(5000)
		for _, n := range s.nodes {
			n.o.MaxBytes = int64(room * lanes)
		}
		s.b.setMaxBytes(room)
		for i := range 100 {
			mustAdd(t, n, testLetter("v", i))
		}
		within(t, 2*lookEvery, "the gauges follow", func() bool { return n.DeadLetters().Stats().Kept > 0 })
		kept := n.DeadLetters().Stats().Kept
		if before := n.DeadLetters().Stats().Dropped; before > 0 && before+kept != 100 {
			t.Errorf("dropped %d, kept %d", before, kept)
		}
		for i := range 10 {
			mustAdd(t, n, testLetter("v", 100+i))
		}
		time.Sleep(2 * lookEvery)
		st := n.DeadLetters().Stats()
		if st.Dropped < 8 || st.Dropped > 110-st.Kept || st.Bytes > int64(room) {
			t.Errorf("%+v", st)
		}
	})
}

// An erased visitor's letters go, by either ID, and none comes after it.
func TestEraseTakesDeadLetters(t *testing.T) {
	inFleet(t, func(s *site) {
		a, b := s.nodes[0], s.nodes[1]
		for i := range 4 {
			mustAdd(t, a, testLetter(fmt.Sprint("v", i%2), i))
		}
		e := event.Event{Type: event.Track, Name: "e", AnonymousID: "v2", UserID: "u", MessageID: "9", Timestamp: time.Now()}
		rec, err := e.Store("")
		if err != nil {
			t.Fatal(err)
		}
		l := testLetter("v2", 9)
		l.Event = rec
		mustAdd(t, a, l)

		if n, err := b.Erase(context.Background(), erasure.Subject{AnonymousID: "v0"}, []string{"default"}); err != nil || n != 2 {
			t.Errorf("erased %d letters, %v", n, err)
		}
		// A visitor's first one is being added: it was asked about before the erasure,
		// and is slow.
		added := make(chan error)
		go func() {
			_, err := a.DeadLetters().Add(testLetter("slow", 4), func() bool {
				time.Sleep(time.Second)
				return true
			})
			added <- err
		}()
		time.Sleep(500 * time.Millisecond)
		if n, err := b.Erase(context.Background(), erasure.Subject{AnonymousID: "slow"}, []string{"default"}); err != nil || n != 1 {
			t.Errorf("erased %d letters, %v", n, err)
		}
		if err := <-added; err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]string{"v1/1", "v1/3", "v2/9"}, letterIDs(t, a, deadletter.Filter{}, 10)); diff != "" {
			t.Error(diff)
		}
		if n, err := b.Erase(context.Background(), erasure.Subject{UserID: "u"}, []string{"default"}); err != nil || n != 1 {
			t.Errorf("by userId: %d letters, %v", n, err)
		}
		if added, err := a.DeadLetters().Add(testLetter("v0", 5), func() bool { return false }); added || err != nil {
			t.Errorf("added %v, %v", added, err)
		}
	})
}

// Nothing can be read without a key, and a missing key touches nothing.
func TestDeadLettersEncrypted(t *testing.T) {
	inFleet(t, func(s *site) {
		a, b := s.nodes[0], s.nodes[1]
		a.codec.keys = sealtest.Keyring(t, 1)
		mustAdd(t, b, testLetter("v", 1))
		l := testLetter("w", 2)
		mustAdd(t, a, l)
		mustAdd(t, a, l)
		if got := letterIDs(t, a, deadletter.Filter{}, 10); !slices.Equal(got, []string{"v/1", "w/2"}) {
			t.Error(got)
		}
		err := a.broker.Letters(context.Background(), "default", func(s stored) error {
			if s.sequence > 1 && strings.Contains(string(s.payload), "timestamp") {
				t.Errorf("%s can be read", s.payload)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if n, err := b.DeadLetters().Purge(all); n != 0 || !errors.Is(err, deadletter.ErrEncrypted) {
			t.Errorf("purged %d, %v", n, err)
		}
		visits := 0
		if _, err := b.DeadLetters().Select(all, func(deadletter.ID, *deadletter.Letter) error { visits++; return nil }); visits > 0 || !errors.Is(err, deadletter.ErrEncrypted) {
			t.Errorf("%d visits, %v", visits, err)
		}
		if n, err := a.DeadLetters().Purge(all); n != 2 || err != nil {
			t.Errorf("purged %d, %v", n, err)
		}
	})
}

func TestDeadLettersClosed(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		n := join(t, newMemBroker(), "a", newTestLog(1), new(delivered), dir)
		n.leave(t)
		if _, err := n.DeadLetters().Add(testLetter("v", 1), nil); !errors.Is(err, deadletter.ErrClosed) {
			t.Error(err)
		}
	})
}
