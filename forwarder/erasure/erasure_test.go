package erasure

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/internal/faketime"
)

const secretID = "visitor-to-be-forgotten"

func load(t *testing.T, dir string) (*Register, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	r := New(dir, slog.New(slog.NewTextHandler(&out, nil)))
	if err := r.Load(); err != nil {
		t.Fatal(err)
	}
	return r, &out
}

// upto is a place in lane "a".
func upto(offset uint64) map[string]queue.Position {
	return map[string]queue.Position{"a": queue.At(7, offset)}
}

// covers reports whether an event of these IDs at a place in lane "a" is erased.
func covers(r *Register, at queue.Position, anonymousID, userID string) bool {
	return r.Cover("a", at, func() (string, string) { return anonymousID, userID })
}

// A tombstone covers the visitor's events up to its place, in its lane and its
// incarnation of the log, also in later processes; the ID is in no file.
func TestTombstone(t *testing.T) {
	for _, s := range []Subject{{UserID: secretID}, {AnonymousID: secretID}} {
		dir := t.TempDir()
		r, _ := load(t, dir)
		if err := r.Add(s, upto(10), 0); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			for _, c := range []struct {
				at              queue.Position
				anonymous, user string
				want            bool
			}{
				{queue.At(7, 10), s.AnonymousID, s.UserID, true},
				{queue.At(7, 1), s.AnonymousID, s.UserID, true},
				{queue.At(7, 11), s.AnonymousID, s.UserID, false},
				{queue.At(8, 1), s.AnonymousID, s.UserID, false}, // another log
				{queue.At(6, 1), s.AnonymousID, s.UserID, false},
				{queue.At(7, 1), "other", "other", false},
				{queue.At(7, 1), s.UserID, s.AnonymousID, false}, // the other kind
			} {
				if got := covers(r, c.at, c.anonymous, c.user); got != c.want {
					t.Errorf("%+v: %v, want %v", c, got, c.want)
				}
			}
			if r.Cover("b", queue.At(7, 1), func() (string, string) { return s.AnonymousID, s.UserID }) {
				t.Error("it covers another lane")
			}
			r, _ = load(t, dir)
		}
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if text, err := os.ReadFile(filepath.Join(dir, f.Name())); err != nil || strings.Contains(string(text), secretID) {
				t.Errorf("%s holds the ID (%v)", f.Name(), err)
			}
		}
	}
}

// Tombstones go when all cursors have passed them twice, and when the lane or the
// log is not there any more.
func TestRetire(t *testing.T) {
	for name, c := range map[string]struct {
		at    queue.Position
		known bool
		gone  bool
	}{
		"behind":      {queue.At(7, 9), true, false},
		"passed":      {queue.At(7, 10), true, true},
		"forgotten":   {queue.Position{}, false, true},
		"another log": {queue.At(8, 1), true, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			faketime.Test(t, func(t *testing.T) {
				r, _ := load(t, dir)
				if err := r.Add(Subject{UserID: "u"}, upto(10), 0); err != nil {
					t.Fatal(err)
				}
				cursor := func(string) (queue.Position, bool) { return c.at, c.known }
				r.Retire(cursor)
				r.Retire(cursor) // too soon
				if r.Empty() {
					t.Error("it went before the cursor can be on disk")
				}
				time.Sleep(retireEvery)
				r.Retire(cursor)
				if got := r.Empty(); got != c.gone {
					t.Errorf("gone: %v, want %v", got, c.gone)
				}
				if got := len(r.reach) == 0; got != c.gone {
					t.Errorf("its lanes are looked into no more: %v, want %v", got, c.gone)
				}
				if again, _ := load(t, dir); again.Empty() != c.gone {
					t.Error("the file says otherwise")
				}
			})
		})
	}
}

// What cannot be read is set aside and reported, and what can be read counts;
// what cannot be had at the moment is an error.
func TestDamaged(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, tombstoneFile)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	r := New(dir, slog.New(slog.DiscardHandler))
	if err := r.Load(); err == nil {
		t.Error("a directory in the way is no error")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := r.Add(Subject{UserID: secretID}, upto(10), 0); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(dir, keyFile))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text, key string
		left      bool
	}{
		"not JSON":     {"{\"upto\":\n" + string(good), string(key), true},
		"position":     {string(good) + `{"digest":"` + strings.Repeat("01", 32) + `","upto":{"a":"7"}}` + "\n", string(key), true},
		"digest":       {string(good) + `{"digest":"01","upto":{}}` + "\n", string(key), true},
		"no digest":    {string(good) + `{"upto":{}}` + "\n", string(key), true},
		"no key":       {string(good), "", false},
		"key cut off":  {string(good), string(key[:10]), false},
		"both damaged": {"x\n" + string(good), "x", false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path, keyPath := filepath.Join(dir, tombstoneFile), filepath.Join(dir, keyFile)
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if c.key != "" {
				if err := os.WriteFile(keyPath, []byte(c.key), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			r, out := load(t, dir)
			if n := strings.Count(out.String(), "list of erasures is damaged"); n != 1 {
				t.Errorf("reported %d times", n)
			}
			if aside, _ := filepath.Glob(path + ".damaged-*"); len(aside) != 1 {
				t.Error("not set aside")
			}
			for range 2 {
				if got := covers(r, queue.At(7, 10), "", secretID); got != c.left {
					t.Errorf("covers %v, want %v", got, c.left)
				}
				r, out = load(t, dir)
			}
			if out.Len() > 0 {
				t.Errorf("reported again: %s", out)
			}
		})
	}
}

// When what can be read of a damaged file cannot be written, nothing is lost.
func TestDamagedAndFull(t *testing.T) {
	dir := t.TempDir()
	r, _ := load(t, dir)
	if err := r.Add(Subject{UserID: secretID}, upto(10), 0); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, tombstoneFile)
	good, err := os.ReadFile(path)
	if err = errors.Join(err, os.WriteFile(path, append([]byte("x\n"), good...), 0o600), os.Mkdir(path+".new", 0o700)); err != nil {
		t.Fatal(err)
	}
	r = New(dir, slog.New(slog.DiscardHandler))
	if err := r.Load(); err == nil {
		t.Error("no error")
	}
	if err := os.Remove(path + ".new"); err != nil {
		t.Fatal(err)
	}
	if err := r.Load(); err != nil || !covers(r, queue.At(7, 10), "", secretID) {
		t.Errorf("not covered; %v", err)
	}
}

// A tombstone that is not on disk does not count.
func TestAddFails(t *testing.T) {
	dir := t.TempDir()
	r, _ := load(t, dir)
	path := filepath.Join(dir, tombstoneFile)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := r.Add(Subject{UserID: "u"}, upto(10), 0); err == nil || !r.Empty() {
		t.Errorf("%v: it counts, though it is not on disk", err)
	}
	if err := r.Add(Subject{UserID: "u"}, nil, 0); err != nil { // there is nothing to cover
		t.Error(err)
	}
}

func TestSubject(t *testing.T) {
	for _, bad := range []Subject{{}, {UserID: "a", AnonymousID: "b"}, {UserID: "\xff"}} {
		if err := bad.Validate(); err == nil || strings.Contains(err.Error(), "\xff") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if err := (Subject{UserID: "a"}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestAudit(t *testing.T) {
	dir := t.TempDir()
	r, _ := load(t, dir)
	for range 2 {
		if err := r.Audit(Subject{UserID: secretID}, Counts{Memory: 1, Log: 2, DeadLetters: 3, Quarantined: 4}); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, auditFile))
	if err != nil || strings.Contains(string(text), secretID) {
		t.Fatalf("%s, %v", text, err)
	}
	var digests []Digest
	for line := range strings.Lines(string(text)) {
		var l auditLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if l.Kind != byUserID || l.Counts != (Counts{1, 2, 3, 4}) || l.Time.IsZero() || l.Digest == (Digest{}) {
			t.Errorf("%s", line)
		}
		digests = append(digests, l.Digest)
	}
	if len(digests) != 2 || digests[0] != digests[1] {
		t.Errorf("digests %v", digests)
	}
	if _, err := os.Stat(filepath.Join(dir, keyFile)); errors.Is(err, fs.ErrNotExist) {
		t.Error("no key")
	}
}
