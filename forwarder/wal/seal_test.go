package wal

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func key(b byte) []byte { return bytes.Repeat([]byte{b}, KeySize) }

func keyring(t testing.TB, keys ...[]byte) *Keyring {
	t.Helper()
	k, err := NewKeyring(keys)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeyring(t *testing.T) {
	one, both, other := keyring(t, key(1)), keyring(t, key(2), key(1)), keyring(t, key(3))
	text, context := []byte("text"), []byte("context")
	sealed, err := one.Seal([]byte("before"), text, context)
	if err != nil || !bytes.HasPrefix(sealed, []byte("before")) || bytes.Contains(sealed, text) {
		t.Fatalf("%q, %v", sealed, err)
	}
	sealed = sealed[len("before"):]
	if len(sealed) != len(text)+sealOverhead {
		t.Errorf("%d bytes", len(sealed))
	}
	again, _ := one.Seal(nil, text, context)
	if bytes.Equal(again, sealed) {
		t.Error("the same twice")
	}
	for _, k := range []*Keyring{one, both} {
		if got, err := k.Open([]byte("x"), sealed, context); err != nil || string(got) != "xtext" {
			t.Errorf("%q, %v", got, err)
		}
	}
	for _, k := range []*Keyring{other, nil} {
		if _, err := k.Open(nil, sealed, context); !errors.Is(err, ErrKey) {
			t.Errorf("another key: %v", err)
		}
	}
	if _, err := one.Open(nil, sealed, []byte("other")); !errors.Is(err, ErrSeal) {
		t.Errorf("another context: %v", err)
	}
	for i := 4; i < len(sealed); i++ {
		sealed[i] ^= 1
		if _, err := one.Open(nil, sealed, context); !errors.Is(err, ErrSeal) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		sealed[i] ^= 1
		if _, err := one.Open(nil, sealed[:i], context); !errors.Is(err, ErrSeal) {
			t.Errorf("cut to %d: %v", i, err)
		}
	}
	if _, err := NewKeyring([][]byte{key(1), key(2)[:31]}); err == nil || !strings.Contains(err.Error(), "key 2 has 31 bytes") {
		t.Errorf("a short key: %v", err)
	}
}

const secret = "the visitor's secret secret secret"

// Nothing readable reaches the disk; keys rotate; what was in the clear before
// stays readable.
func TestSealedLog(t *testing.T) {
	o := quick(t.TempDir())
	l := open(t, o)
	fill(t, l, "a", 0, 3)
	mustClose(t, l)
	n := 3
	for i, keys := range [][][]byte{{key(1)}, {key(1)}, {key(2), key(1)}} {
		o.Keys = keys
		l := open(t, o)
		waitOpen(t, l)
		for range 5 {
			mustAppend(t, l, "a", 1, secret)
		}
		mustFlush(t, l)
		n += 5
		if recs := drain(t, l, "a", 0); len(recs) != n || string(recs[0].Data) != "a 0" || string(recs[n-1].Data) != secret {
			t.Fatalf("read %d, want %d", len(recs), n)
		}
		mustClose(t, l)
		if got, want := len(generations(t, o.Dir, "gen-*")), []int{2, 2, 3}[i]; got != want {
			t.Errorf("%d generations, want %d", got, want)
		}
	}
	for path, b := range contents(t, o.Dir) {
		if bytes.Contains(b, []byte("secret")) {
			t.Errorf("%s can be read", path)
		}
	}
}

// A wrong or missing key is said clearly and touches nothing; with the right
// one, all is there. Losing the key's mark does not change that.
func TestWrongKeyTouchesNothing(t *testing.T) {
	for _, mark := range []string{"kept", "damaged", "removed"} {
		for name, keys := range map[string][][]byte{"none": nil, "wrong": {key(9)}, "short": {key(1)[:5]}} {
			t.Run(mark+" "+name, func(t *testing.T) {
				o := quick(t.TempDir())
				o.Keys = [][]byte{key(1)}
				l := open(t, o)
				for range 5 {
					mustAppend(t, l, "a", 1, secret)
				}
				mustFlush(t, l)
				mustClose(t, l)
				file := filepath.Join(generations(t, o.Dir, "gen-*")[0], keyFile)
				switch mark {
				case "damaged":
					b, err := os.ReadFile(file)
					if err == nil {
						b[1] ^= 1
						err = os.WriteFile(file, b, 0o600)
					}
					if err != nil {
						t.Fatal(err)
					}
				case "removed":
					if err := os.Remove(file); err != nil {
						t.Fatal(err)
					}
				}
				before := digest(t, o.Dir)
				o.Keys = keys
				l = open(t, o)
				until(t, "the key is missed", func() bool { return strings.Contains(l.Stats().Reason, "key") })
				mustAppend(t, l, "a", 1, "held")
				s := l.Stats()
				if s.Condition != Opening || s.RingBytes == 0 || len(s.Lost) != 0 || s.Quarantined != 0 {
					t.Errorf("%+v", s)
				}
				if got := len(generations(t, o.Dir, "gen-*")); got != 1 || len(generations(t, o.Dir, "quarantine-*")) != 0 {
					t.Errorf("%d generations", got)
				}
				mustClose(t, l)
				if mark == "kept" && digest(t, o.Dir) != before {
					t.Error("the directory was changed")
				}
				o.Keys = [][]byte{key(1)}
				l = open(t, o)
				waitOpen(t, l)
				if recs := drain(t, l, "a", 0); len(recs) != 5 || string(recs[4].Data) != secret {
					t.Errorf("read %d", len(recs))
				}
			})
		}
	}
}

// contents reads all files below dir.
func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// digest tells whether anything below dir has changed.
func digest(t *testing.T, dir string) string {
	t.Helper()
	sums := make(map[string][32]byte)
	for path, b := range contents(t, dir) {
		sums[path] = sha256.Sum256(b)
	}
	return fmt.Sprint(sums) // in the order of keys
}
