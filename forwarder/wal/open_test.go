package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

func TestDirectoryThatIsMended(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "queue")
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // a file is in the way
		t.Fatal(err)
	}
	l := open(t, quick(filepath.Join(dir, "wal")))
	mustAppend(t, l, "a", 1, "held")
	until(t, "the fault is noticed", func() bool { return l.Stats().Reason != "" && l.Stats().Condition == Opening })
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	mustFlush(t, l)
	if recs := drain(t, l, "a", 0); len(recs) != 1 {
		t.Errorf("read %v", recs)
	}
}

// failOpen makes Badger fail to open existing generations in some way.
func failOpen(times int, fail func() error) func(*Log) {
	return func(l *Log) {
		l.openDB = func(o badger.Options) (*badger.DB, error) {
			if times > 0 {
				times--
				if err := fail(); err != nil {
					return nil, err
				}
			}
			return badger.Open(o)
		}
	}
}

// prefilled returns options for a directory with 10 records in lane a, 4 of
// them acknowledged.
func prefilled(t *testing.T) Options {
	o := quick(t.TempDir())
	l := open(t, o)
	fill(t, l, "a", 0, 10)
	l.Ack("a", 4)
	mustClose(t, l)
	return o
}

func TestOpenFailures(t *testing.T) {
	for _, c := range []struct {
		name       string
		times      int
		fail       func() error
		quarantine bool
	}{
		{"empty memtable", 1, func() error { return errors.New("while opening memtables err: Create a new file") }, false},
		{"too many files", 1, func() error { return errors.New("open 00001.mem: too many open files") }, false},
		{"damage", 1, func() error { return errors.New("manifest has bad magic") }, true},
		{"panic", 1, func() error { panic("index out of range") }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := prefilled(t)
			l := open(t, o, failOpen(c.times, c.fail))
			waitOpen(t, l)
			s := l.Stats()
			aside := generations(t, o.Dir, "quarantine-*")
			if !c.quarantine {
				if recs := drain(t, l, "a", 4); len(recs) != 6 || len(aside) != 0 || s.Condition != OK {
					t.Fatalf("%d records, %q, %s", len(recs), aside, s.Condition)
				}
				return
			}
			if len(aside) != 1 || s.Condition != Degraded || s.Lost[LostQuarantined] != 6 || s.Quarantined != 1 {
				t.Fatalf("%q, %s, lost %v", aside, s.Condition, s.Lost)
			}
			fill(t, l, "a", 10, 1) // it goes on, under sequences never used before
			recs := drain(t, l, "a", l.Acked("a"))
			if len(recs) != 1 || string(recs[0].Data) != "a 10" || recs[0].Seq <= seqSkip {
				t.Fatalf("read %v", recs)
			}
			if n := l.Stats().Lost[LostQuarantined]; n != 6 {
				t.Errorf("lost %d, want 6", n)
			}
		})
	}
}

func TestSentinelOfACrash(t *testing.T) {
	for crashes, quarantine := range map[int]bool{1: false, 2: true} {
		o := prefilled(t)
		gen := generations(t, o.Dir, "gen-*")[0]
		if err := writeSentinel(filepath.Join(gen, sentinelName), crashes); err != nil {
			t.Fatal(err)
		}
		l := open(t, o)
		waitOpen(t, l)
		lost := l.Stats().Lost[LostQuarantined]
		if aside := generations(t, o.Dir, "quarantine-*"); (len(aside) == 1) != quarantine || (lost == 6) != quarantine {
			t.Errorf("%d crashes: %q, lost %d", crashes, aside, lost)
		}
		if left := generations(t, o.Dir, "gen-*/"+sentinelName); len(left) != 0 {
			t.Errorf("sentinels stay: %q", left)
		}
	}
}

func TestEmptyFilesAreCleared(t *testing.T) {
	o := prefilled(t)
	gen := generations(t, o.Dir, "gen-*")[0]
	for _, name := range []string{"00007.mem", "000009.vlog"} {
		if err := os.WriteFile(filepath.Join(gen, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l := open(t, o)
	waitOpen(t, l)
	if recs := drain(t, l, "a", 4); len(recs) != 6 || l.Stats().Condition != OK {
		t.Errorf("%d records, %s", len(recs), l.Stats().Condition)
	}
}

// damageLedger overwrites the given slots (0: the newer one).
func damageLedger(t *testing.T, dir string, slots ...int64) {
	t.Helper()
	ld := ledger{path: filepath.Join(dir, "ledger")}
	if _, _, _, err := ld.load(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(ld.path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, s := range slots {
		newer := 1 - ld.slot
		if _, err := f.WriteAt([]byte("garbage"), (newer+s)%2*slotSize+ledgerHeader); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDamagedLedger(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, dir string, early []byte)
		acked  []uint64 // what the cursor may be
	}{
		{"newer slot", func(t *testing.T, dir string, _ []byte) { damageLedger(t, dir, 0) }, []uint64{0, 2}},
		{"older slot", func(t *testing.T, dir string, _ []byte) { damageLedger(t, dir, 1) }, []uint64{2}},
		{"both slots", func(t *testing.T, dir string, _ []byte) { damageLedger(t, dir, 0, 1) }, []uint64{0}},
		{"newer slot, the older from long ago", func(t *testing.T, dir string, early []byte) {
			if err := os.WriteFile(filepath.Join(dir, "ledger"), early, 0o600); err != nil {
				t.Fatal(err)
			}
			damageLedger(t, dir, 0)
		}, []uint64{0}},
		{"removed", func(t *testing.T, dir string, _ []byte) { os.Remove(filepath.Join(dir, "ledger")) }, []uint64{0}},
		{"truncated", func(t *testing.T, dir string, _ []byte) { os.Truncate(filepath.Join(dir, "ledger"), 30) }, []uint64{0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := quick(t.TempDir())
			o.GenerationBytes = 1 // one for each flush
			l := open(t, o)
			var early []byte
			for i := range 4 {
				if i == 2 {
					var err error
					if early, err = os.ReadFile(filepath.Join(o.Dir, "ledger")); err != nil {
						t.Fatal(err)
					}
				}
				fill(t, l, "a", 5*i, 5)
				fill(t, l, fmt.Sprint("b", i), 0, 1)
			}
			l.Ack("a", 2)
			mustClose(t, l)
			c.damage(t, o.Dir, early)

			l = open(t, o)
			waitOpen(t, l)
			if acked := l.Acked("a"); !slices.Contains(c.acked, acked) {
				t.Errorf("acked %d", acked)
			}
			recs := drain(t, l, "a", l.Acked("a"))
			if len(recs) != 20-int(l.Acked("a")) || string(recs[len(recs)-1].Data) != "a 19" {
				t.Fatalf("read %d records", len(recs))
			}
			for i := range 4 {
				if recs := drain(t, l, fmt.Sprint("b", i), 0); len(recs) != 1 {
					t.Errorf("lane b%d: %d records", i, len(recs))
				}
			}
			fill(t, l, "a", 20, 1)
			if recs := drain(t, l, "a", recs[len(recs)-1].Seq); len(recs) != 1 || recs[0].Seq != 21 {
				t.Errorf("read %v", recs)
			}
			if s := l.Stats(); s.Condition != OK || len(s.Lost) != 0 {
				t.Errorf("%s, lost %v", s.Condition, s.Lost)
			}
		})
	}
}

// A generation that vanishes, or loses its end, is counted to the record.
func TestLossIsCounted(t *testing.T) {
	t.Run("directory removed", func(t *testing.T) {
		o := prefilled(t)
		if err := os.RemoveAll(generations(t, o.Dir, "gen-*")[0]); err != nil {
			t.Fatal(err)
		}
		l := open(t, o)
		waitOpen(t, l)
		if n := l.Stats().Lost[LostMissing]; n != 6 || l.Acked("a") != 10 {
			t.Errorf("lost %d, acked %d", n, l.Acked("a"))
		}
	})
	t.Run("records deleted", func(t *testing.T) {
		o := quick(t.TempDir())
		l := open(t, o)
		for i := range 10 {
			fill(t, l, "a", i, 1) // ten packs
		}
		mustClose(t, l)
		db, err := badger.Open(badgerOptions(generations(t, o.Dir, "gen-*")[0], false, l.log))
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(txn *badger.Txn) error {
			for _, seq := range []uint64{1, 4, 5, 10} {
				if err := txn.Delete(packKey(1, seq)); err != nil {
					return err
				}
			}
			return txn.Set(packKey(1, 8), []byte("not a pack"))
		})
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		l = open(t, o)
		waitOpen(t, l)
		if n := l.Stats().Lost[LostMissing]; n != 1 { // the end, before anybody reads
			t.Errorf("lost %d at open, want 1", n)
		}
		for range 2 { // reading again counts nothing twice
			var got []string
			for _, r := range drain(t, l, "a", 0) {
				got = append(got, strings.TrimPrefix(string(r.Data), "a "))
			}
			if s := strings.Join(got, " "); s != "1 2 5 6 8" {
				t.Fatalf("read %s", s)
			}
			if lost := l.Stats().Lost; lost[LostMissing] != 4 || lost[LostCorrupt] != 1 {
				t.Fatalf("lost %v", lost)
			}
		}
		l.Ack("a", 9)
		if s := l.Stats(); s.Backlog != 0 || l.Acked("a") != 10 {
			t.Errorf("backlog %d, acked %d", s.Backlog, l.Acked("a"))
		}
	})
}

// A power cut while a generation was begun leaves a ledger that does not know
// it and lags behind the one before: what that one holds beyond the ledger is
// there all the same.
func TestLedgerLagsAtRotation(t *testing.T) {
	o := quick(t.TempDir())
	l := open(t, o)
	fill(t, l, "a", 0, 3)
	early := savedLedger(t, o.Dir)
	fill(t, l, "a", 3, 4)
	mustClose(t, l)
	restoreLedger(t, o.Dir, early)
	begun := filepath.Join(o.Dir, genName(2))
	if err := os.Mkdir(begun, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writeSentinel(filepath.Join(begun, sentinelName), 1); err != nil {
		t.Fatal(err)
	}
	l = open(t, o)
	waitOpen(t, l)
	fill(t, l, "a", 7, 1)
	recs := drain(t, l, "a", 0)
	if len(recs) != 8 || recs[7].Seq != 8 || len(l.Stats().Lost) != 0 {
		t.Errorf("read %d, lost %v", len(recs), l.Stats().Lost)
	}
}
