package segment

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Create leaves nothing when it fails, and removes what a crash has left.
func TestCreateFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	if err := os.MkdirAll(filepath.Join(dir, "left"), 0o700); err != nil {
		t.Fatal(err)
	}
	w := create(t, dir, small())
	if _, err := os.Stat(filepath.Join(dir, "left")); err == nil {
		t.Error("what was left is still there")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w, err := Create(filepath.Join(dir, "MANIFEST", "s"), small()); err == nil {
		w.Close()
		t.Error("made below a file")
	}
}

func TestFaultsOfWriting(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	o := small()
	o.Faults = &Faults{}
	w := create(t, dir, o)
	no := errors.New("no")
	o.Faults.Write = func() error { return no }
	if err := w.Append([]Block{testBlock(1, 100)}); !errors.Is(err, no) {
		t.Error(err)
	}
	o.Faults.Write, o.Faults.Sync = nil, func() error { return no }
	if err := w.Sync(); !errors.Is(err, no) {
		t.Error(err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if err := w.Append([]Block{testBlock(1, 100)}); err == nil {
		t.Error("appended after Close")
	}
	if err := w.Get(1, func([]byte) error { return nil }); err == nil {
		t.Error("read after Close")
	}
}

func TestContain(t *testing.T) {
	if err := contain(func() error { panic("x") }); err == nil || !strings.Contains(err.Error(), "panicked: x") {
		t.Error(err)
	}
	if err := contain(func() error { return os.ErrClosed }); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}
