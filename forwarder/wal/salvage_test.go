package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/internal/fsx"
	"github.com/intilery/caddy-intilery/internal/seal"
	"github.com/intilery/caddy-intilery/internal/seal/sealtest"
)

// salvaged runs Salvage and checks that each lane's records come in order, once,
// and are what was appended: "<lane> <number>".
func salvaged(t *testing.T, dir string, keys *seal.Keyring) (map[string]uint64, Salvaged) {
	t.Helper()
	got, next := make(map[string]uint64), make(map[string]int)
	rep, err := Salvage(dir, keys, func(lane string, class queue.Class, rec []byte) error {
		var of string
		var n int
		if _, err := fmt.Sscan(string(rec), &of, &n); err != nil || of != lane || n < next[lane] || class != 1 {
			t.Errorf("%s: %q of class %d, expected %d or later", lane, rec, class, next[lane])
		}
		next[lane] = n + 1
		got[lane]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if sum := got["a"] + got["b"]; rep.Records != sum {
		t.Errorf("reported %d, given out %d", rep.Records, sum)
	}
	return got, rep
}

func TestSalvage(t *testing.T) {
	for name, ring := range map[string]*seal.Keyring{"clear": nil, "encrypted": sealtest.Keyring(t, 1)} {
		t.Run(name, func(t *testing.T) {
			o := quick(t.TempDir())
			o.Keys = ring
			l := open(t, o)
			for i := range 40 {
				fill(t, l, "a", 10*i, 10)
				fill(t, l, "b", i, 1)
				if i%10 == 9 {
					rotate(l)
				}
			}
			if _, err := Salvage(o.Dir, ring, nil); !errors.Is(err, fsx.ErrLocked) {
				t.Errorf("a log that runs: %v", err)
			}
			mustClose(t, l)
			before := digest(t, o.Dir)
			got, rep := salvaged(t, o.Dir, ring)
			segs := segmentDirs(t, o.Dir)
			if got["a"] != 400 || got["b"] != 40 || rep.Missing != 0 || rep.Damaged != 0 || rep.Segments != len(segs) || len(segs) < 3 {
				t.Errorf("got %v, %+v", got, rep)
			}
			if digest(t, o.Dir) != before {
				t.Error("salvaging has changed the directory")
			}
			if ring != nil {
				// On a busy machine records of one flush may come as two blocks.
				blocks := rep.Blocks
				if _, rep := salvaged(t, o.Dir, nil); rep.Records != 0 || rep.Encrypted != blocks || blocks < 80 || rep.Missing != 440 {
					t.Errorf("without the key: %+v", rep)
				}
			}
			// One block spoilt and one segment gone, seen from the whole directory.
			spoil(t, segs[1], 2)
			one, alone := salvaged(t, segs[1], ring)
			if alone.Damaged != 1 || alone.Segments != 1 || one["a"] == 0 || one["b"] == 0 {
				t.Errorf("one segment: %v, %+v", one, alone)
			}
			_, rep = salvaged(t, o.Dir, ring)
			lost := 440 - rep.Records
			if err := os.RemoveAll(segs[0]); err != nil {
				t.Fatal(err)
			}
			got, rep = salvaged(t, o.Dir, ring)
			if lost == 0 || rep.Records+rep.Missing != 440 || rep.Missing <= lost || rep.Damaged != 1 {
				t.Errorf("damaged: %v, %+v, lost %d at first", got, rep, lost)
			}
		})
	}
}

// Salvage stops with the error of who takes the records.
func TestSalvageStops(t *testing.T) {
	o := prefilled(t)
	full := errors.New("no space left")
	n := 0
	_, err := Salvage(o.Dir, nil, func(string, queue.Class, []byte) error {
		n++
		return full
	})
	if !errors.Is(err, full) || n != 1 {
		t.Errorf("%v after %d records", err, n)
	}
	if _, err := Salvage(filepath.Join(o.Dir, "none"), nil, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

// Where the lock cannot be tried, nothing is said about it.
func TestInUseUnknown(t *testing.T) {
	dir := t.TempDir()
	if used, err := InUse(dir); used || err != nil {
		t.Errorf("no lock: %v, %v", used, err)
	}
	if err := os.Mkdir(filepath.Join(dir, lockName), 0o700); err != nil {
		t.Fatal(err)
	}
	if used, err := InUse(dir); used || err == nil {
		t.Errorf("a lock that cannot be opened: %v, %v", used, err)
	}
}
