package forwarder

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/deadletter"
	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/fleet"
	"github.com/intilery/caddy-intilery/internal/seal/sealtest"
)

// fleetLetters stand for those of a fleet.
type fleetLetters struct {
	*deadletter.Store
	tooLarge bool
	away     error
}

func (l *fleetLetters) Add(letter *deadletter.Letter, allowed func() bool) (bool, error) {
	if l.tooLarge {
		return false, fmt.Errorf("%w: 2 MB", fleet.ErrLetterTooLarge)
	}
	if l.away != nil {
		return false, l.away
	}
	return l.Store.Add(letter, allowed)
}

func (l *fleetLetters) Purge(wants func(*deadletter.Letter) bool) (int, error) {
	if l.away != nil {
		return 0, l.away
	}
	return l.Store.Purge(wants)
}

func numberedLetter(t *testing.T, n int) *deadletter.Letter {
	t.Helper()
	e := event.Event{Type: event.Track, Name: "e", AnonymousID: fmt.Sprint("v", n), MessageID: fmt.Sprint("m", n), Timestamp: time.Now()}
	rec, err := e.Store("")
	if err != nil {
		t.Fatal(err)
	}
	return &deadletter.Letter{Time: time.Unix(int64(n), 0), Destination: "main", Reason: "rejected", Status: 400, Event: rec}
}

func addTo(t *testing.T, l letters, numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		if added, err := l.Add(numberedLetter(t, n), nil); err != nil || !added {
			t.Fatalf("letter %d: added %v, %v", n, added, err)
		}
	}
}

func listed(t *testing.T, l letters, limit int) []string {
	t.Helper()
	list, err := l.List(deadletter.Filter{}, limit)
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, l := range list.Letters {
		ids = append(ids, l.Event.MessageID())
	}
	return ids
}

// A node's own letters and the fleet's are listed, chosen and removed as one.
func TestJoinedLetters(t *testing.T) {
	own := deadletter.New(t.TempDir(), 1<<20, nil)
	shared := &fleetLetters{Store: deadletter.New(t.TempDir(), 1<<20, nil)}
	j := joined{shared, own, slog.New(slog.DiscardHandler)}
	addTo(t, own, 1, 4)
	addTo(t, j, 2, 3, 5)
	if n := own.Stats().Kept; n != 2 {
		t.Errorf("%d letters in the node's files, want 2", n)
	}
	if got := listed(t, j, 4); !slices.Equal(got, []string{"m2", "m3", "m4", "m5"}) {
		t.Errorf("latest: %v", got)
	}
	gone := make(map[deadletter.ID]bool)
	if _, err := j.Select(deadletter.Filter{MessageIDs: []string{"m1", "m2"}}.Wants, func(id deadletter.ID, _ *deadletter.Letter) error {
		gone[id] = true
		return nil
	}); err != nil || len(gone) != 2 {
		t.Errorf("chose %d, %v", len(gone), err)
	}
	if n, err := j.Remove(gone); n != 2 || err != nil {
		t.Errorf("removed %d, %v", n, err)
	}
	if s := j.Stats(); s.Kept != 3 || s.Bytes != own.Stats().Bytes+shared.Stats().Bytes {
		t.Errorf("stats %+v", s)
	}
	shared.away = errors.New("away")
	if n, err := j.Purge(deadletter.Filter{}.Wants); n != 0 || err == nil {
		t.Errorf("purged %d, %v", n, err)
	}
	if _, err := j.Add(numberedLetter(t, 6), nil); err == nil {
		t.Error("a letter was kept that the broker may take later")
	}
	shared.away = nil
	if n, err := j.Purge(deadletter.Filter{}.Wants); n != 3 || err != nil {
		t.Errorf("purged %d, %v", n, err)
	}
}

// What the broker will never take is kept by the node, unless it was erased.
func TestJoinedLetterTooLarge(t *testing.T) {
	own := deadletter.New(t.TempDir(), 1<<20, nil)
	j := joined{&fleetLetters{Store: deadletter.New(t.TempDir(), 1<<20, nil), tooLarge: true}, own, slog.New(slog.DiscardHandler)}
	addTo(t, j, 1)
	if added, err := j.Add(numberedLetter(t, 2), func() bool { return false }); added || err != nil {
		t.Errorf("added %v, %v", added, err)
	}
	if got := listed(t, own, 10); !slices.Equal(got, []string{"m1"}) {
		t.Errorf("own: %v", got)
	}
}

// Files that a key is missing for keep the fleet's letters from being touched.
func TestJoinedLettersEncrypted(t *testing.T) {
	dir := t.TempDir()
	addTo(t, deadletter.New(dir, 1<<20, sealtest.Keyring(t, 1)), 1)
	shared := &fleetLetters{Store: deadletter.New(t.TempDir(), 1<<20, nil)}
	addTo(t, shared, 2)
	j := joined{shared, deadletter.New(dir, 1<<20, nil), slog.New(slog.DiscardHandler)}
	if n, err := j.Purge(deadletter.Filter{}.Wants); n != 0 || !errors.Is(err, deadletter.ErrEncrypted) {
		t.Errorf("purged %d, %v", n, err)
	}
	if _, err := j.Select(deadletter.Filter{}.Wants, func(deadletter.ID, *deadletter.Letter) error {
		t.Error("visited")
		return nil
	}); !errors.Is(err, deadletter.ErrEncrypted) {
		t.Errorf("select: %v", err)
	}
}

// An erasure that another node asks for reaches the letters in this node's files.
func TestEraseInNodesFiles(t *testing.T) {
	dir := t.TempDir()
	before := deadletter.New(dir, 1<<20, nil)
	addTo(t, before, 1, 2)
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	l := nodeLog{&shared{files: deadletter.New(dir, 1<<20, nil)}, slog.New(slog.DiscardHandler)}
	if err := l.eraseLetters(func(anonymousID, _ string) bool { return anonymousID == "v1" }); err != nil {
		t.Fatal(err)
	}
	if got := listed(t, l.s.files, 10); !slices.Equal(got, []string{"m2"}) {
		t.Errorf("left: %v", got)
	}
}
