package deadletter

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/internal/seal/sealtest"
)

// letterOf is a letter of a visitor, with its ID as the message.
func letterOf(anonymousID string) *Letter {
	l := letter(anonymousID)
	l.Event = event.Stored(fmt.Sprintf(`{"timestamp":"2026-03-01T12:00:00.123Z","anonymousId":%q}`, anonymousID))
	return l
}

// purge purges a visitor's letters and checks how many there were.
func purge(t *testing.T, s *Store, anonymousID string, want int) {
	t.Helper()
	if n, err := s.PurgeVisitor(anonymousID); n != want || err != nil {
		t.Errorf("purged %d of %s, want %d; %v", n, anonymousID, want, err)
	}
}

// All letters of a visitor go: of an earlier process, of this one, in both files.
func TestPurgeVisitor(t *testing.T) {
	dir := t.TempDir()
	before := New(dir, 1<<20, nil)
	add(t, before, letterOf("a"))
	add(t, before, letterOf("b"))
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	s := New(dir, 1<<20, nil)
	purge(t, s, "a", 1)
	purge(t, s, "a", 0)
	add(t, s, letterOf("a"))
	add(t, s, letterOf("c"))
	add(t, s, letterOf("a"))
	purge(t, s, "a", 2)
	purge(t, s, "b", 1)
	if got := messages(t, s); !slices.Equal(got, []string{"c"}) {
		t.Errorf("left %q", got)
	}

	s.SetMaxBytes(1000)
	for range 20 {
		add(t, s, letterOf("d"))
	}
	kept := int(s.Stats().Kept)
	if older := readLines(t, filepath.Join(dir, olderName)); len(older) == 0 || kept == 20 {
		t.Fatal("nothing made room")
	}
	if s.visitors != nil {
		t.Error("it remembers each visitor who ever had a letter")
	}
	purge(t, s, "c", 0)
	purge(t, s, "d", kept)
}

// The files are read once, and not again for visitors who have no letters.
func TestPurgeVisitorReadsNothing(t *testing.T) {
	dir := t.TempDir()
	s := New(dir, 1<<20, nil)
	add(t, s, letterOf("a"))
	purge(t, s, "b", 0)
	path := filepath.Join(dir, fileName)
	if err := errors.Join(os.Rename(path, path+".away"), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	purge(t, s, "b", 0)
	purge(t, s, "c", 0)
	if n, err := s.PurgeVisitor("a"); n != 0 || err == nil {
		t.Errorf("purged %d from a directory, %v", n, err)
	}
	if n, err := s.PurgeVisitor("b"); err == nil {
		t.Errorf("purged %d, though it is not known any more who has letters", n)
	}
	if err := errors.Join(os.Remove(path), os.Rename(path+".away", path)); err != nil {
		t.Fatal(err)
	}
	purge(t, s, "a", 1)
	purge(t, s, "b", 0)
}

// A letter that cannot be read may be the visitor's.
func TestPurgeVisitorWithAWrongKey(t *testing.T) {
	dir := t.TempDir()
	s := New(dir, 1<<20, sealtest.Keyring(t, 1))
	add(t, s, letterOf("a"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if n, err := New(dir, 1<<20, sealtest.Keyring(t, 2)).PurgeVisitor("a"); n != 0 || !errors.Is(err, ErrEncrypted) {
			t.Errorf("purged %d, %v", n, err)
		}
	}
	purge(t, New(dir, 1<<20, sealtest.Keyring(t, 2, 1)), "a", 1)
}
