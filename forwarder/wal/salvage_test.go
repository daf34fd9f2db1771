package wal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// salvaged runs Salvage and checks that each lane's records come in order, once,
// and are what was appended: "<lane> <sequence>".
func salvaged(t *testing.T, dir string, keys [][]byte) (map[string]uint64, SalvageReport) {
	t.Helper()
	got, last := make(map[string]uint64), make(map[string]uint64)
	rep, err := Salvage(dir, keys, func(lane string, seq uint64, class uint8, rec []byte) error {
		if seq <= last[lane] || string(rec) != fmt.Sprintf("%s %d", lane, seq-1) || class != 1 {
			t.Errorf("%s: %q as %d of class %d behind %d", lane, rec, seq, class, last[lane])
		}
		last[lane] = seq
		got[lane]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if sum := got["a"] + got["b"]; rep.Records != sum {
		t.Errorf("reported %d, yielded %d", rep.Records, sum)
	}
	return got, rep
}

func TestSalvage(t *testing.T) {
	for name, keys := range map[string][][]byte{"clear": nil, "sealed": {key(1)}} {
		t.Run(name, func(t *testing.T) {
			o := quick(t.TempDir())
			o.Keys = keys
			o.GenerationBytes = 2 << 10
			l := open(t, o)
			for i := range 40 {
				fill(t, l, "a", 10*i, 10)
				fill(t, l, "b", i, 1)
			}
			if _, err := Salvage(o.Dir, keys, nil); !errors.Is(err, ErrLocked) {
				t.Errorf("a log that runs: %v", err)
			}
			mustClose(t, l)
			before := digest(t, o.Dir)
			got, rep := salvaged(t, o.Dir, keys)
			gens := generations(t, o.Dir, "gen-*")
			if got["a"] != 400 || got["b"] != 40 || rep.Missing != 0 || rep.Corrupt != 0 || rep.Generations != len(gens) || len(gens) < 3 {
				t.Errorf("got %v, %+v", got, rep)
			}
			if digest(t, o.Dir) != before {
				t.Error("salvaging has changed the directory")
			}
			if keys != nil {
				// On a busy machine records of one flush may come as two packs.
				packs := rep.Packs
				if _, rep := salvaged(t, o.Dir, nil); rep.Records != 0 || rep.Sealed != packs || packs < 80 || rep.Missing != 440 {
					t.Errorf("without the key: %+v", rep)
				}
			}
			// One pack spoilt and one generation gone, seen from the whole directory.
			sst := generations(t, o.Dir, "gen-2/*.sst")[0]
			spoil(t, sst)
			one, alone := salvaged(t, filepath.Dir(sst), keys)
			if alone.Corrupt != 1 || alone.Generations != 1 || one["a"] == 0 || one["b"] == 0 {
				t.Errorf("one generation: %v, %+v", one, alone)
			}
			_, rep = salvaged(t, o.Dir, keys)
			lost := 440 - rep.Records
			if err := os.RemoveAll(gens[0]); err != nil {
				t.Fatal(err)
			}
			got, rep = salvaged(t, o.Dir, keys)
			if lost == 0 || rep.Records+rep.Missing != 440 || rep.Missing <= lost || rep.Corrupt != 1 {
				t.Errorf("damaged: %v, %+v, lost %d at first", got, rep, lost)
			}
		})
	}
}

// spoil flips a byte in the middle of the file's first pack.
func spoil(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(b, []byte(packMagic))
	if i < 0 {
		t.Fatalf("no pack in %s", path)
	}
	b[i+headerSize+1] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Salvage stops with the error of who takes the records.
func TestSalvageStops(t *testing.T) {
	o := prefilled(t)
	full := errors.New("no space left")
	n := 0
	_, err := Salvage(o.Dir, nil, func(string, uint64, uint8, []byte) error {
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
