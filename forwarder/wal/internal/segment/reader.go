package segment

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/dgraph-io/badger/v4"

	"github.com/intilery/caddy-intilery/internal/fsx"
)

// ErrLost says that a block is not there, or not what was written.
var ErrLost = errors.New("block lost")

// openingFile is there while Badger opens a segment. One that is found was left
// because Badger failed, or took the process down.
const openingFile = "OPENING"

// Reader is a segment that takes no blocks. It may be used by any number of
// goroutines.
type Reader struct {
	dir string
	o   Options

	mu sync.RWMutex // held shared while db is used, alone to close it
	db *badger.DB   // nil when blocks are read from the value log

	rawMu sync.Mutex
	raw   *raw // nil until it is needed
}

// Open opens a segment for reading. It writes no more than the mark of an
// opening, and that only if it can. Blocks of a segment that was not closed, or
// that Badger does not open, are read from the value log.
func Open(dir string, o Options) *Reader {
	r := &Reader{dir: dir, o: o}
	if !closed(dir) {
		return r
	}
	opening := filepath.Join(dir, openingFile)
	if _, err := os.Stat(opening); err == nil {
		o.Log.Debug("a segment is read without Badger, which did not open it", "segment", filepath.Base(dir))
		return r
	}
	mark(opening)
	err := o.fault(func(f *Faults) func() error { return f.Open })
	if err == nil {
		r.db, err = open(dir, o.Size, true, o.Log)
	}
	if err != nil {
		// The mark stays: nothing is gained by another try, and Badger leaves
		// goroutines behind each time that it fails.
		r.db = nil
		o.Log.Warn("Badger does not open a segment of the queue; its events are read without it", "segment", filepath.Base(dir), "error", err)
		return r
	}
	_ = os.Remove(opening)
	return r
}

// closed reports whether Badger can open dir without writing: it has a manifest
// and no memtable to replay.
func closed(dir string) bool {
	files, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	manifest := false
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".mem") {
			return false
		}
		manifest = manifest || f.Name() == badger.ManifestFilename
	}
	return manifest
}

// mark makes the opening durable as far as it can: on a full disk it does without.
func mark(path string) {
	f, err := os.Create(path)
	if err != nil {
		return
	}
	_ = f.Sync()
	f.Close()
	_ = fsx.SyncDir(filepath.Dir(path))
}

// Get calls f with the block of that number, which is f's until it returns. What
// Badger does not find, or what f refuses with ErrLost, is looked for in the
// value log. Errors: ErrLost, and those of reading a file.
func (r *Reader) Get(number uint64, f func([]byte) error) error {
	r.mu.RLock()
	db := r.db
	var err error
	if db != nil {
		err = get(db, number, f)
	}
	r.mu.RUnlock()
	if db != nil {
		if err == nil {
			return nil
		}
		r.o.Log.Debug("a block is looked for in the value log", "segment", filepath.Base(r.dir), "block", number, "error", err)
		if errors.Is(err, errPanic) {
			r.leave()
		}
	}
	raw, err := r.values()
	if err != nil {
		return err
	}
	return raw.get(number, f)
}

// leave has Badger not used for the segment any more, also by later processes.
func (r *Reader) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.db = nil
	mark(filepath.Join(r.dir, openingFile))
}

func (r *Reader) values() (_ *raw, err error) {
	r.rawMu.Lock()
	defer r.rawMu.Unlock()
	if r.raw == nil {
		r.raw, err = scan(r.dir, r.o.Find)
	}
	return r.raw, err
}

// Close closes the segment.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	if r.db != nil {
		errs = append(errs, closeDB(r.db))
		r.db = nil
	}
	r.rawMu.Lock()
	defer r.rawMu.Unlock()
	if r.raw != nil {
		errs = append(errs, r.raw.close())
		r.raw = nil
	}
	return errors.Join(errs...)
}

// Each calls f with each whole block in dir, by rising numbers, without Badger.
func Each(dir string, find Find, f func(value []byte) error) error {
	r, err := scan(dir, find)
	if err != nil {
		return err
	}
	defer r.close()
	for _, number := range slices.Sorted(maps.Keys(r.blocks)) { // Badger changes the order within a commit
		if err := r.get(number, f); err != nil {
			return err
		}
	}
	return nil
}

// raw are the blocks of a segment, found in its value log.
type raw struct {
	files  []*os.File
	blocks map[uint64]place
}

// place is where a block is.
type place struct {
	file, at, size int
}

// scan finds the whole blocks in the value logs of dir.
func scan(dir string, find Find) (*raw, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.vlog"))
	if err != nil {
		return nil, err
	}
	r := &raw{blocks: make(map[uint64]place)}
	for i, name := range names {
		b, err := os.ReadFile(name)
		if err == nil {
			var f *os.File
			f, err = os.Open(name)
			r.files = append(r.files, f)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("read a segment: %w", err), r.close())
		}
		for at := 0; ; {
			number, skip, size := find(b[at:])
			if size == 0 {
				break
			}
			at += skip
			if _, again := r.blocks[number]; !again {
				r.blocks[number] = place{i, at, size}
			}
			at += size
		}
	}
	return r, nil
}

func (r *raw) get(number uint64, f func([]byte) error) error {
	p, ok := r.blocks[number]
	if !ok {
		return ErrLost
	}
	v := make([]byte, p.size)
	if _, err := r.files[p.file].ReadAt(v, int64(p.at)); err != nil {
		return fmt.Errorf("read a block: %w", err)
	}
	return f(v)
}

func (r *raw) close() error {
	var errs []error
	for _, f := range r.files {
		errs = append(errs, f.Close())
	}
	r.files = nil
	return errors.Join(errs...)
}
