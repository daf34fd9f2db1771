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

// covers reports whether an event of these IDs at a place in lane "a" is erased.
func covers(r *Register, at queue.Position, anonymousID, userID string) bool {
	return r.Now().Cover("a", at, func() (string, string) { return anonymousID, userID })
}

// A tombstone covers the visitor's events up to its place, in its lane and its
// incarnation of the log, also in later processes; the ID is in no file.
func TestTombstone(t *testing.T) {
	for _, s := range []Subject{{UserID: secretID}, {AnonymousID: secretID}} {
		dir := t.TempDir()
		r, _ := load(t, dir)
		if err := r.Add(s, map[string]queue.Position{"a": queue.At(7, 10)}); err != nil {
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
			if r.Now().Cover("b", queue.At(7, 1), func() (string, string) { return s.AnonymousID, s.UserID }) {
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
				if err := r.Add(Subject{UserID: "u"}, map[string]queue.Position{"a": queue.At(7, 10)}); err != nil {
					t.Fatal(err)
				}
				cursor := func(string) (queue.Position, bool) { return c.at, c.known }
				r.Retire(cursor)
				r.Retire(cursor) // too soon
				if r.Now().Empty() {
					t.Error("it went before the cursor can be on disk")
				}
				time.Sleep(retireEvery)
				r.Retire(cursor)
				if got := r.Now().Empty(); got != c.gone {
					t.Errorf("gone: %v, want %v", got, c.gone)
				}
				if again, _ := load(t, dir); again.Now().Empty() != c.gone {
					t.Error("the file says otherwise")
				}
			})
		})
	}
}

// What cannot be read is set aside and reported; what cannot be had at the moment
// is an error.
func TestDamaged(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, tombstoneFile)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	r := New(dir, slog.New(slog.DiscardHandler))
	if err := r.Load(); err == nil || r.Now() != nil {
		t.Errorf("a directory in the way: %v", err)
	}
	for name, text := range map[string]string{
		"torn": `[{"upto":`, "position": `[{"upto":{"a":"7"}}]`, "no key": `[{"kind":"userId","digest":"x","upto":{"a":"0000000000000007-000000000000000a"}}]`,
	} {
		if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		r, out := load(t, dir)
		if !r.Now().Empty() || strings.Count(out.String(), "list of erasures is damaged") != 1 {
			t.Errorf("%s: %s", name, out)
		}
		if aside, _ := filepath.Glob(path + ".damaged-*"); len(aside) == 0 {
			t.Errorf("%s: not set aside", name)
		}
	}
}

func TestAddFails(t *testing.T) {
	dir := t.TempDir()
	r, _ := load(t, dir)
	blocked := filepath.Join(dir, tombstoneFile+".new")
	if err := os.Mkdir(blocked, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := r.Add(Subject{UserID: "u"}, map[string]queue.Position{"a": queue.At(7, 10)}); err == nil || !r.Now().Empty() {
		t.Errorf("%v: it counts, though it is not on disk", err)
	}
	if err := r.Add(Subject{UserID: "u"}, nil); err != nil { // there is nothing to cover
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
	var digests []string
	for line := range strings.Lines(string(text)) {
		var l auditLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if l.Kind != byUserID || l.Counts != (Counts{1, 2, 3, 4}) || l.Time.IsZero() || len(l.Digest) != 64 {
			t.Errorf("%s", line)
		}
		digests = append(digests, l.Digest)
	}
	if len(digests) != 2 || digests[0] != digests[1] {
		t.Errorf("digests %q", digests)
	}
	if _, err := os.Stat(filepath.Join(dir, keyFile)); errors.Is(err, fs.ErrNotExist) {
		t.Error("no key")
	}
}
