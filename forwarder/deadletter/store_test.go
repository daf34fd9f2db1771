package deadletter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/internal/seal"
	"github.com/intilery/caddy-intilery/internal/seal/sealtest"
)

var when = time.Date(2026, 3, 1, 13, 0, 0, 123_456_789, time.FixedZone("CET", 3600))

func letter(message string) *Letter {
	return &Letter{Time: when, Destination: "main", Reason: "rejected", Status: 400, Message: message,
		Event: event.Stored("{\"timestamp\":\"2026-03-01T12:00:00.123Z\",\n\"messageId\":\"x<y\"}")}
}

func add(t *testing.T, s *Store, l *Letter) {
	t.Helper()
	if added, err := s.Add(l, nil); err != nil || !added {
		t.Fatalf("added %v, %v", added, err)
	}
}

func readLines(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

// messages lists the messages of all letters.
func messages(t *testing.T, s *Store) []string {
	t.Helper()
	list, err := s.List(Filter{}, 1000)
	if err != nil {
		return []string{err.Error()}
	}
	m := []string{}
	for _, l := range list.Letters {
		m = append(m, l.Message)
	}
	return m
}

func TestLine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "here")
	s := New(dir, 1<<20, nil)
	add(t, s, letter("a\nb"))
	path := filepath.Join(dir, fileName)
	lines := readLines(t, path)
	want := `{"time":"2026-03-01T13:00:00.123456789+01:00","destination":"main","reason":"rejected","status":400,"message":"a\nb","event":{"timestamp":"2026-03-01T12:00:00.123Z", "messageId":"x<y"}}`
	if len(lines) != 1 || lines[0] != want {
		t.Errorf("got %q, want %q", lines, want)
	}
	if fi, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.Add(letter("late"), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("add after close: %v", err)
	}
	if _, err := s.Remove(map[ID]bool{{}: true}); !errors.Is(err, ErrClosed) {
		t.Errorf("remove after close: %v", err)
	}
}

func TestFilter(t *testing.T) {
	s := New(t.TempDir(), 1<<20, nil)
	for i := range 6 {
		l := letter(fmt.Sprint("m", i))
		l.Destination = []string{"main", "other"}[i%2]
		l.Event = event.Stored(fmt.Sprintf(`{"timestamp":"2026-03-01T12:00:00.123Z","messageId":"id%d"}`, i))
		add(t, s, l)
	}
	if list, err := s.List(Filter{}, 2); err != nil || list.Matched != 6 || len(list.Letters) != 2 || list.Letters[1].Message != "m5" {
		t.Errorf("%+v, %v", list, err)
	}
	for _, c := range []struct {
		f    Filter
		want int
	}{
		{Filter{Destination: "main"}, 3}, {Filter{Destination: "none"}, 0}, {Filter{MessageIDs: []string{"id4", "id1", "x"}}, 2},
		{Filter{Destination: "main", MessageIDs: []string{"id4", "id1"}}, 1},
	} {
		if list, err := s.List(c.f, 100); err != nil || list.Matched != c.want {
			t.Errorf("%+v: %+v, %v", c.f, list, err)
		}
	}
	if n, err := s.Purge(Filter{MessageIDs: []string{"id1", "id3"}}.Wants); n != 2 || err != nil {
		t.Errorf("purged %d, %v", n, err)
	}
	add(t, s, letter("again"))
	if got := messages(t, s); !slices.Equal(got, []string{"m0", "m2", "m4", "m5", "again"}) {
		t.Errorf("left %q", got)
	}
	if n, err := s.Purge(Filter{}.Wants); n != 5 || err != nil || s.Stats().Kept != 0 || s.Stats().Bytes != 0 {
		t.Errorf("purged %d, %v, %+v", n, err, s.Stats())
	}
}

// The oldest go, and are counted.
func TestMaxBytes(t *testing.T) {
	dir := t.TempDir()
	const limit, n = 10_000, 500
	s := New(dir, limit, nil)
	for i := range n {
		l := letter("")
		l.Status = 1000 + i
		add(t, s, l)
	}
	older, younger := readLines(t, filepath.Join(dir, olderName)), readLines(t, filepath.Join(dir, fileName))
	st := s.Stats()
	if st.Bytes > limit || st.Kept != uint64(len(older)+len(younger)) || st.Kept+st.Dropped != n || st.Kept < 30 {
		t.Errorf("stats %+v, %d and %d lines", st, len(older), len(younger))
	}
	status := 1000 + int(st.Dropped)
	for _, line := range append(older, younger...) {
		if l, err := Decode([]byte(line), nil); err != nil || l.Status != status {
			t.Fatalf("got %s, %v; want status %d", line, err, status)
		}
		status++
	}
	// Another process goes on from there.
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	again := New(dir, limit, nil)
	add(t, again, letter(""))
	if a := again.Stats(); a.Kept+a.Dropped != st.Kept+1 {
		t.Errorf("stats %+v, before %+v", a, st)
	}
}

// A line that a crash cut off is replaced.
func TestTornLetter(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, fileName)
	if err := os.WriteFile(path, []byte("{\"status\":1}\n{\"sta"), 0o600); err != nil {
		t.Fatal(err)
	}
	add(t, New(dir, 1<<20, nil), letter(""))
	if lines := readLines(t, path); len(lines) != 2 || lines[0] != `{"status":1}` || !json.Valid([]byte(lines[1])) {
		t.Errorf("lines %q", lines)
	}
}

// A disk that hangs in a write does not hold Close, and Stats does not wait either.
func TestCloseDoesNotHang(t *testing.T) {
	s := New(t.TempDir(), 1<<20, nil)
	s.mu.Lock() // a write is under way
	defer s.mu.Unlock()
	done := make(chan error, 1)
	go func() {
		s.Stats()
		done <- s.Close()
	}()
	select {
	case err := <-done:
		if err == nil {
			t.Error("close says that all is well")
		}
	case <-time.After(10 * time.Second):
		t.Error("close hangs")
	}
}

func TestNotAllowed(t *testing.T) {
	s := New(t.TempDir(), 1<<20, nil)
	if added, err := s.Add(letter("x"), func() bool { return false }); added || err != nil || len(messages(t, s)) != 0 {
		t.Errorf("added %v, %v", added, err)
	}
}

// An event is kept as it is, however deep it is nested: its letter can be
// listed, purged and erased (field: it never could).
func TestDeepEvent(t *testing.T) {
	for _, depth := range []int{9_999, 10_000, 100_000} {
		dir := t.TempDir()
		s := New(dir, 1<<30, nil)
		l := letter("deep")
		l.Event = event.Stored(`{"timestamp":"2026-03-01T12:00:00.123Z","anonymousId":"a","messageId":"m","traits":` +
			strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth) + "}")
		add(t, s, l)
		list, err := s.List(Filter{MessageIDs: []string{"m"}}, 10)
		if err != nil || list.Damaged != 0 || len(list.Letters) != 1 || !bytes.Equal(list.Letters[0].Event, l.Event) {
			t.Fatalf("%d deep: %d letters, %d damaged, %v", depth, len(list.Letters), list.Damaged, err)
		}
		if a, _ := list.Letters[0].Event.IDs(); a != "a" {
			t.Errorf("%d deep: anonymousId %q", depth, a)
		}
		if n, err := s.Purge(Filter{}.Wants); n != 1 || err != nil {
			t.Errorf("%d deep: purged %d, %v", depth, n, err)
		}
	}
}

// Nothing of a letter can be read on disk; keys rotate; a wrong key is an error
// that touches nothing.
func TestEncrypted(t *testing.T) {
	dir := t.TempDir()
	open := func(keys ...byte) *Store { return New(dir, 1<<20, sealtest.Keyring(t, keys...)) }
	for i, keys := range [][]byte{nil, {1}, {2, 1}} {
		s := open(keys...)
		add(t, s, letter([]string{"plain", "first", "second"}[i]))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, fileName)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(before, []byte("timestamp")); n != 1 {
		t.Errorf("%d letters can be read without a key, want 1: %s", n, before)
	}
	if got := messages(t, open(2, 1)); !slices.Equal(got, []string{"plain", "first", "second"}) {
		t.Errorf("both keys: %q", got)
	}
	for name, s := range map[string]*Store{"none": open(), "wrong": open(9), "the newer only": open(2)} {
		if got := messages(t, s); got[0] != ErrEncrypted.Error() {
			t.Errorf("%s: %q", name, got)
		}
		if n, err := s.Purge(Filter{}.Wants); n != 0 || !errors.Is(err, ErrEncrypted) {
			t.Errorf("%s: purged %d, %v", name, n, err)
		}
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was touched: %v", err)
	}
	// A damaged line is told apart from a wrong key, and stays.
	const bad = "{\"time\":\n{}\n"
	if err := os.WriteFile(path, append([]byte(bad), before...), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(2, 1)
	if list, err := s.List(Filter{}, 10); err != nil || list.Damaged != 2 || len(list.Letters) != 3 {
		t.Errorf("%+v, %v", list, err)
	}
	if n, err := s.Purge(Filter{}.Wants); n != 3 || err != nil {
		t.Errorf("purged %d, %v", n, err)
	}
	if left, err := os.ReadFile(path); string(left) != bad {
		t.Errorf("left %q, %v", left, err)
	}
}

func FuzzLine(f *testing.F) {
	ring := sealtest.Keyring(f, 1)
	for _, keys := range []*seal.Keyring{nil, ring} {
		line, err := Encode(letter(`a","event":`), keys)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(line)
	}
	f.Add([]byte(`{"sealed":"`))
	f.Add([]byte(`{"event":{"timestamp":"`))
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, keys := range []*seal.Keyring{nil, ring} {
			l, err := Decode(line, keys)
			if err != nil {
				if !errors.Is(err, ErrEncrypted) && !errors.Is(err, errLine) {
					t.Errorf("an error of its own: %v", err)
				}
				continue
			}
			again, err := Encode(&l, keys)
			if err != nil {
				continue // a time that JSON cannot hold
			}
			m, err := Decode(again, keys)
			if err != nil || m.Message != l.Message || !m.Time.Equal(l.Time) || len(m.Event) != len(l.Event) {
				t.Errorf("%+v came back as %+v, %v", l, m, err)
			}
			Filter{MessageIDs: []string{"x"}}.Wants(&l)
		}
	})
}
