package wal

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/internal/seal"
	"github.com/intilery/caddy-intilery/internal/seal/sealtest"
)

const secret = "the visitor's secret secret secret"

// Nothing readable reaches the disk; keys rotate; what was in the clear before
// stays readable.
func TestEncryptedLog(t *testing.T) {
	o := quick(t.TempDir())
	l := open(t, o)
	fill(t, l, "a", 0, 3)
	mustClose(t, l)
	n := 3
	for _, k := range []*seal.Keyring{sealtest.Keyring(t, 1), sealtest.Keyring(t, 1), sealtest.Keyring(t, 2, 1)} {
		o.Keys = k
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
	}
	for path, b := range contents(t, o.Dir) {
		if bytes.Contains(b, []byte("secret")) {
			t.Errorf("%s can be read", path)
		}
	}
}

// A wrong or missing key is said clearly and touches nothing; with the right
// one, all is there. Losing the index changes nothing of that.
func TestWrongKeyTouchesNothing(t *testing.T) {
	for _, index := range []string{"kept", "damaged", "removed"} {
		for name, wrong := range map[string]*seal.Keyring{"none": nil, "wrong": sealtest.Keyring(t, 9)} {
			t.Run(index+" "+name, func(t *testing.T) {
				o := quick(t.TempDir())
				o.Keys = sealtest.Keyring(t, 1)
				l := open(t, o)
				for range 5 {
					mustAppend(t, l, "a", 1, secret)
				}
				mustFlush(t, l)
				mustClose(t, l)
				file := glob(t, o.Dir, "seg-*.index")[0]
				switch index {
				case "damaged":
					b, err := os.ReadFile(file)
					if err == nil {
						b[9] ^= 1
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
				o.Keys = wrong
				l = open(t, o)
				until(t, "the key is missed", func() bool { return strings.Contains(l.Stats().Reason, "key") })
				mustAppend(t, l, "a", 1, "buffered")
				if s := l.Stats(); s.Condition != queue.Opening || s.BufferBytes == 0 {
					t.Errorf("%s, %d bytes buffered", s.Condition, s.BufferBytes)
				}
				wantLost(t, l, nil)
				mustClose(t, l)
				if digest(t, o.Dir) != before {
					t.Error("the directory was changed")
				}
				o.Keys = sealtest.Keyring(t, 1)
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
