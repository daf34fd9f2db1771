package forwarder

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func letter(message string) DeadLetter {
	return DeadLetter{Time: when, Destination: "main", Reason: "rejected", Status: 400, Message: message,
		Event: json.RawMessage("{\"timestamp\":\"2026-03-01T12:00:00.123Z\",\n\"b\":\"x<y\"}")}
}

func readLines(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

func TestDeadLetterLine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "here")
	d := newDeadLetters(dir, 1<<20, nil)
	if _, err := d.add(letter("a\nb"), nil); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, deadLetterFile)
	lines := readLines(t, path)
	want := `{"time":"2026-03-01T13:00:00.123456789+01:00","destination":"main","reason":"rejected","status":400,"message":"a\nb","event":{"timestamp":"2026-03-01T12:00:00.123Z","b":"x<y"}}`
	if len(lines) != 1 || lines[0] != want {
		t.Errorf("got %q, want %q", lines, want)
	}
	if fi, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	if err := d.close(); err != nil {
		t.Error(err)
	}
	if _, err := d.add(letter("late"), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("add after close: %v", err)
	}
}

// TestDeadLettersAreCapped: the oldest go, and are counted.
func TestDeadLettersAreCapped(t *testing.T) {
	dir := t.TempDir()
	const limit = 10_000
	d := newDeadLetters(dir, limit, nil)
	const n = 500
	for i := range n {
		l := letter("")
		l.Status = 1000 + i
		if _, err := d.add(l, nil); err != nil {
			t.Fatal(err)
		}
	}
	older, younger := readLines(t, filepath.Join(dir, olderDeadLetterFile)), readLines(t, filepath.Join(dir, deadLetterFile))
	s := d.stats()
	if s.Bytes > limit || s.Lines != uint64(len(older)+len(younger)) || s.Lines+s.Dropped != n || s.Lines < 30 {
		t.Errorf("stats %+v, %d and %d lines", s, len(older), len(younger))
	}
	status := 1000 + int(s.Dropped)
	for _, line := range append(older, younger...) {
		var l DeadLetter
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.Status != status {
			t.Fatalf("got %s, %v; want status %d", line, err, status)
		}
		status++
	}
	// Another process goes on from there.
	if err := d.close(); err != nil {
		t.Error(err)
	}
	again := newDeadLetters(dir, limit, nil)
	if _, err := again.add(letter(""), nil); err != nil {
		t.Fatal(err)
	}
	if a := again.stats(); a.Lines+a.Dropped != s.Lines+1 {
		t.Errorf("stats %+v, before %+v", a, s)
	}
	if err := again.close(); err != nil {
		t.Error(err)
	}
}

// TestTornDeadLetter: a line that a crash cut off is replaced.
func TestTornDeadLetter(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, deadLetterFile)
	if err := os.WriteFile(path, []byte("{\"status\":1}\n{\"sta"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := newDeadLetters(dir, 1<<20, nil)
	if _, err := d.add(letter(""), nil); err != nil {
		t.Fatal(err)
	}
	if lines := readLines(t, path); len(lines) != 2 || lines[0] != `{"status":1}` || !json.Valid([]byte(lines[1])) {
		t.Errorf("lines %q", lines)
	}
	if err := d.close(); err != nil {
		t.Error(err)
	}
}

// TestDeadLettersCloseDoesNotHang: a disk that hangs in a write does not hold
// Close, and Stats does not wait either.
func TestDeadLettersCloseDoesNotHang(t *testing.T) {
	d := newDeadLetters(t.TempDir(), 1<<20, nil)
	d.mu.Lock() // a write is under way
	defer d.mu.Unlock()
	done := make(chan error, 1)
	go func() {
		d.stats()
		done <- d.close()
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
