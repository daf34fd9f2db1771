package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// Badger leaves these behind when it fails to open.
		goleak.IgnoreTopFunction("github.com/dgraph-io/badger/v4.(*DB).monitorCache"),
		goleak.IgnoreTopFunction("github.com/dgraph-io/ristretto/v2/z.(*AllocatorPool).freeupAllocators"))
}

const testMagic = "TEST"

// testBlock is a block for tests: magic, number, size, checksum, noise.
func testBlock(number uint64, size int) Block {
	v := make([]byte, 20+size)
	rand.NewChaCha8([32]byte{byte(number), byte(number >> 8)}).Read(v[20:])
	copy(v, testMagic)
	binary.BigEndian.PutUint64(v[4:], number)
	binary.BigEndian.PutUint32(v[12:], uint32(size))
	binary.BigEndian.PutUint32(v[16:], crc32.ChecksumIEEE(v[20:]))
	return Block{number, v}
}

func findTest(b []byte) (number uint64, at, size int) {
	for {
		n := bytes.Index(b[at:], []byte(testMagic))
		if n < 0 {
			return 0, len(b), 0
		}
		at += n
		if v := b[at:]; len(v) >= 20 && checkTest(v[:min(len(v), 20+int(binary.BigEndian.Uint32(v[12:])))]) {
			return binary.BigEndian.Uint64(v[4:]), at, 20 + int(binary.BigEndian.Uint32(v[12:]))
		}
		at++
	}
}

func checkTest(v []byte) bool {
	return len(v) >= 20 && len(v) == 20+int(binary.BigEndian.Uint32(v[12:])) && binary.BigEndian.Uint32(v[16:]) == crc32.ChecksumIEEE(v[20:])
}

func small() Options {
	return Options{Size: 2 << 20, Find: findTest, Log: slog.New(slog.DiscardHandler)}
}

func create(t *testing.T, dir string, o Options) *Writer {
	t.Helper()
	w, err := Create(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func add(t *testing.T, w *Writer, blocks ...Block) {
	t.Helper()
	if err := errors.Join(w.Append(blocks), w.Sync()); err != nil {
		t.Fatal(err)
	}
}

// filled is a segment of blocks 1 to 40, in appends of two.
func filled(t *testing.T, dir string) *Writer {
	t.Helper()
	w := create(t, dir, small())
	for n := uint64(1); n < 40; n += 2 {
		add(t, w, testBlock(n, 5000), testBlock(n+1, 100))
	}
	return w
}

// closedSegment is the same, closed.
func closedSegment(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "s")
	if err := filled(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

type getter interface {
	Get(uint64, func([]byte) error) error
}

// has checks that exactly the blocks 1 to 40 but those missing are there.
func has(t *testing.T, g getter, missing ...uint64) {
	t.Helper()
	for n := uint64(1); n <= 41; n++ {
		var got []byte
		err := g.Get(n, func(v []byte) error {
			if !checkTest(v) {
				return ErrLost
			}
			got = bytes.Clone(v)
			return nil
		})
		if n == 41 || slices.Contains(missing, n) {
			if !errors.Is(err, ErrLost) {
				t.Errorf("block %d: %v, want ErrLost", n, err)
			}
			continue
		}
		size := 100
		if n%2 == 1 {
			size = 5000
		}
		if err != nil || !bytes.Equal(got, testBlock(n, size).Value) {
			t.Errorf("block %d: %v, %d bytes", n, err, len(got))
		}
	}
}

func reopen(t *testing.T, dir string, o Options) *Reader {
	t.Helper()
	r := Open(dir, o)
	t.Cleanup(func() { r.Close() })
	return r
}

func TestRoundTrip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	w := filled(t, dir)
	has(t, w)
	if err := errors.Join(w.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	r := reopen(t, dir, small())
	if r.db == nil {
		t.Error("Badger does not open a segment that was closed")
	}
	has(t, r)
	if left, _ := filepath.Glob(filepath.Join(dir, "[RO][EP]*")); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// A value log holds what was synced whatever becomes of all else: a killed
// process leaves it, and Badger is not needed to read it.
func TestReadWithoutClosing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	filled(t, dir)
	r := reopen(t, dir, small())
	if r.db != nil {
		t.Error("Badger has opened a segment that was not closed")
	}
	has(t, r)
	var order []uint64
	err := Each(dir, findTest, func(v []byte) error {
		n, _, _ := findTest(v)
		order = append(order, n)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(order) != 40 || !slices.IsSorted(order) {
		t.Errorf("order %v", order)
	}
}

// Each file that Badger keeps beside the value log may be damaged or gone.
func TestDamage(t *testing.T) {
	dir := closedSegment(t)
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"flip", "truncate", "zero", "remove"} {
		for _, f := range files {
			if strings.HasSuffix(f.Name(), ".vlog") || strings.HasSuffix(f.Name(), ".sst") {
				continue // a damaged table may end the process: see package wal
			}
			t.Run(kind+" "+f.Name(), func(t *testing.T) {
				copied := filepath.Join(t.TempDir(), "s")
				if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
					t.Fatal(err)
				}
				damage(t, kind, filepath.Join(copied, f.Name()))
				has(t, reopen(t, copied, small()))
			})
		}
	}
}

func damage(t *testing.T, kind, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	switch kind {
	case "flip":
		if len(b) > 0 {
			b[len(b)/2] ^= 0x20
		}
		err = os.WriteFile(path, b, 0o600)
	case "truncate":
		err = os.Truncate(path, int64(len(b)/2))
	case "zero":
		clear(b)
		err = os.WriteFile(path, b, 0o600)
	case "remove":
		err = os.Remove(path)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A damaged block is lost alone.
func TestDamagedBlock(t *testing.T) {
	for name, finish := range map[string]bool{"closed": true, "not closed": false} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "s")
			w := filled(t, dir)
			if finish {
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
			}
			path := filepath.Join(dir, valueLog)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			at := bytes.Index(b, testBlock(7, 5000).Value)
			if at < 0 {
				t.Fatal("block 7 is not in the value log")
			}
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteAt([]byte{b[at+1000] ^ 1}, int64(at+1000)); err != nil {
				t.Fatal(err)
			}
			has(t, reopen(t, dir, small()), 7)
		})
	}
}

// A segment whose opening took the process down is read without Badger.
func TestOpeningLeft(t *testing.T) {
	dir := closedSegment(t)
	mark(filepath.Join(dir, openingFile))
	r := reopen(t, dir, small())
	if r.db != nil {
		t.Error("Badger has opened it again")
	}
	has(t, r)
}

func TestOpenFails(t *testing.T) {
	dir := closedSegment(t)
	o := small()
	o.Faults = &Faults{Open: func() error { return errors.New("manifest has bad magic") }}
	r := reopen(t, dir, o)
	if r.db != nil {
		t.Error("opened")
	}
	has(t, r)
	o.Faults = nil
	if r := reopen(t, dir, o); r.db != nil {
		t.Error("Badger is tried again")
	}
}

// However many blocks a segment takes, it keeps one value log and one memtable,
// and its table fits what was reserved.
func TestFull(t *testing.T) {
	for name, c := range map[string]struct{ size, each int }{
		"small blocks":          {80, 1},
		"large blocks":          {60 << 10, 1},
		"many blocks at a time": {80, 50},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "s")
			w := create(t, dir, small())
			n := uint64(0)
			for {
				blocks := make([]Block, c.each)
				for i := range blocks {
					blocks[i] = testBlock(n+uint64(i)+1, c.size)
				}
				if !w.Fits(blocks) {
					break
				}
				if err := w.Append(blocks); err != nil {
					t.Fatal(err)
				}
				n += uint64(c.each)
			}
			files, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				switch ext := filepath.Ext(f.Name()); {
				case f.Name() == valueLog, f.Name() == memFile, f.Name() == nextMem && f.IsDir():
				case ext == ".vlog", ext == ".mem", ext == ".sst":
					t.Errorf("Badger has begun %s after %d blocks", f.Name(), n)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			table, err := filepath.Glob(filepath.Join(dir, "*.sst"))
			if err != nil || len(table) != 1 {
				t.Fatalf("tables %v, %v", table, err)
			}
			if fi, err := os.Stat(table[0]); err != nil || fi.Size() > closeReserve*3/4 {
				t.Errorf("the table has %d bytes, %v", fi.Size(), err)
			}
			r := reopen(t, dir, small())
			for i := uint64(1); i <= n; i++ {
				if err := r.Get(i, func(v []byte) error {
					if !checkTest(v) {
						return ErrLost
					}
					return nil
				}); err != nil {
					t.Fatalf("block %d of %d: %v", i, n, err)
				}
			}
			if r.raw != nil {
				t.Error("Badger does not find all blocks")
			}
		})
	}
}
