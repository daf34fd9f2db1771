package segment

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"

	"github.com/intilery/caddy-intilery/internal/fsx"
)

// Block is a block of bytes, of at least 64, and its number.
type Block struct {
	Number uint64
	Value  []byte
}

// Find returns the number, the beginning and the size of the first whole block in
// bytes, with size 0 when there is none.
type Find func(b []byte) (number uint64, at, size int)

// Options of a segment.
type Options struct {
	// Size is how many bytes of blocks it takes at most.
	Size int64
	// Find finds blocks in bytes.
	Find Find
	// Log receives what Badger says, at DEBUG.
	Log *slog.Logger
	// Faults are for tests.
	Faults *Faults
}

// Faults make calls fail, for tests.
type Faults struct {
	Sync  func() error // before each sync of blocks; an error is its result
	Open  func() error // before Badger opens a closed segment
	Write func() error // before blocks are written
}

func (o *Options) fault(f func(*Faults) func() error) error {
	if o.Faults == nil {
		return nil
	}
	if fail := f(o.Faults); fail != nil {
		return fail()
	}
	return nil
}

const (
	// reserveFile holds the blocks that Close needs, until then.
	reserveFile = "RESERVE"
	// asksFile takes what is written to ask for room.
	asksFile = "ASK"
	// closeReserve is the size of a table of maxBlocks, and more.
	closeReserve = 1 << 20
	// openReserve is what Badger touches of its files before theirs are reserved.
	openReserve = 128 << 10
	// openFiles is how many files Badger makes and opens.
	openFiles = 10
	// commitSlack is what a commit may take beside its blocks, on file systems
	// that must be asked for room each time.
	commitSlack = 128 << 10
)

// Writer is a segment that takes blocks. Append and Sync may be called by one
// goroutine at a time; Get by any number.
type Writer struct {
	dir string
	o   Options

	vlog    *os.File
	asks    *os.File // to ask a copying file system for room; nil on others
	zeros   []byte   // what is written there
	bytes   int64
	appends int
	blocks  int

	mu     sync.RWMutex // held shared while db is used, alone to close it
	db     *badger.DB
	broken atomic.Bool // it has panicked: it is not used or closed any more
}

// room is held while a segment reserves disk, gives back what it has reserved for
// its table, or relies on what it has asked for.
var room sync.Mutex

// Create makes an empty segment in dir and what it needs durable. What an
// earlier attempt left there is removed. After an error nothing is left.
func Create(dir string, o Options) (w *Writer, err error) {
	if err := Remove(dir); err != nil {
		return nil, fmt.Errorf("create a segment: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create a segment: %w", err)
	}
	w = &Writer{dir: dir, o: o}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("create a segment: %w", err), w.Close(), Remove(dir))
			w = nil
		}
	}()
	room.Lock()
	defer room.Unlock()
	if fsx.OverwriteInPlace(dir) {
		if w.asks, err = os.Create(filepath.Join(dir, asksFile)); err != nil {
			return w, err
		}
	}
	if err := w.reserveForOpen(); err != nil {
		return w, err
	}
	if err := prepareDir(dir); err != nil {
		return w, err
	}
	if w.db, err = open(dir, o.Size, false, o.Log); err != nil {
		return w, err
	}
	if err := w.reserveForBlocks(); err != nil {
		return w, err
	}
	return w, errors.Join(w.syncFiles(), os.Mkdir(filepath.Join(dir, nextMem), 0o700)) // for Close
}

// reserveForOpen reserves what Close will need, and sees to it that there is
// room for what Badger does at once: when it cannot open, it leaves goroutines
// behind, or ends the process.
func (w *Writer) reserveForOpen() error {
	if err := reserve(filepath.Join(w.dir, reserveFile), closeReserve); err != nil {
		return err
	}
	now := filepath.Join(w.dir, "now")
	if err := errors.Join(reserve(now, openReserve), os.Remove(now)); err != nil {
		return err
	}
	var errs []error
	var files []*os.File
	for i := range openFiles {
		f, err := os.Create(fmt.Sprint(now, i))
		if err != nil {
			errs = append(errs, err)
			break
		}
		files = append(files, f)
	}
	for _, f := range files {
		errs = append(errs, f.Close(), os.Remove(f.Name()))
	}
	return errors.Join(errs...)
}

func reserve(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(fsx.Reserve(f, size), f.Close())
}

// reserveForBlocks reserves the files that blocks go into.
func (w *Writer) reserveForBlocks() (err error) {
	if w.vlog, err = os.OpenFile(filepath.Join(w.dir, valueLog), os.O_RDWR, 0); err != nil {
		return err
	}
	fsx.AdviseRandom(w.vlog)
	if err := fsx.Reserve(w.vlog, w.o.Size+commitSlack); err != nil {
		return err
	}
	return reserve(filepath.Join(w.dir, memFile), memTable)
}

// syncFiles makes a new segment durable.
func (w *Writer) syncFiles() error {
	files, err := os.ReadDir(w.dir)
	if err != nil {
		return err
	}
	for _, e := range files {
		f, err := os.OpenFile(filepath.Join(w.dir, e.Name()), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return errors.Join(fsx.SyncDir(w.dir), fsx.SyncDir(filepath.Dir(w.dir)))
}

// Fits reports whether the segment takes more blocks, in one append.
func (w *Writer) Fits(blocks []Block) bool {
	return w.bytes+size(blocks) <= w.o.Size && w.blocks+len(blocks) <= maxBlocks
}

// size bounds what blocks take in the value log, with what Badger puts before and
// behind each.
func size(blocks []Block) (n int64) {
	for _, b := range blocks {
		n += int64(len(b.Value)) + 64
	}
	return n
}

// Bytes is the size of the blocks taken.
func (w *Writer) Bytes() int64 { return w.bytes }

// Append adds blocks, whose numbers rise, all or none. They are durable after
// Sync. After an error it is not known what is there, and the segment should
// take no more.
func (w *Writer) Append(blocks []Block) error {
	if err := w.o.fault(func(f *Faults) func() error { return f.Write }); err != nil {
		return err
	}
	bytes := size(blocks)
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.db == nil || w.broken.Load() {
		return os.ErrClosed
	}
	if w.asks != nil {
		room.Lock() // what is there now must be there until it is used
		defer room.Unlock()
		if err := w.askForRoom(bytes); err != nil {
			return err
		}
	}
	w.bytes += bytes
	w.blocks += len(blocks)
	w.appends++
	err := put(w.db, uint64(w.appends), blocks)
	if errors.Is(err, errPanic) {
		w.broken.Store(true)
	}
	return err
}

// askForRoom writes as much as a commit may take into a file and takes it back.
// A file system that copies on write needs room even for blocks that are
// reserved, and would tell Badger by a SIGBUS.
func (w *Writer) askForRoom(bytes int64) error {
	n := bytes + commitSlack
	if int64(len(w.zeros)) < n {
		w.zeros = make([]byte, n)
	}
	_, err := w.asks.WriteAt(w.zeros[:n], 0)
	return errors.Join(err, w.asks.Truncate(0))
}

// Sync makes the blocks appended so far durable.
func (w *Writer) Sync() error {
	if AlwaysSyncs {
		return nil
	}
	if err := w.o.fault(func(f *Faults) func() error { return f.Sync }); err != nil {
		return err
	}
	if err := fsx.Datasync(w.vlog); err != nil {
		return fmt.Errorf("sync a segment: %w", err)
	}
	return nil
}

// Get calls f with the block of that number, which is f's until it returns.
// Error: ErrLost.
func (w *Writer) Get(number uint64, f func([]byte) error) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.db == nil || w.broken.Load() {
		return os.ErrClosed
	}
	err := get(w.db, number, f)
	if errors.Is(err, errPanic) {
		w.broken.Store(true)
	}
	return err
}

// writeTable writes the table into the room that was reserved for it. Other
// programs may be quicker to take that, a segment that is being made may not.
func (w *Writer) writeTable() error {
	room.Lock()
	defer room.Unlock()
	_ = os.Remove(filepath.Join(w.dir, reserveFile))
	return flushTable(w.dir, w.db)
}

// Close closes the segment, whatever happens; it can be opened for reading from
// then on. When the table could not be written, Badger is left behind as it is,
// until the process ends, and the blocks are read without it. A second call does
// nothing.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	if w.broken.Load() {
		errs = append(errs, errPanic)
		w.db = nil
	}
	if w.db != nil {
		err := w.writeTable()
		if err == nil {
			err = closeDB(w.db)
		}
		errs = append(errs, err)
		w.db = nil
	}
	for _, f := range []*os.File{w.vlog, w.asks} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	w.vlog, w.asks = nil, nil
	_ = os.Remove(filepath.Join(w.dir, asksFile))
	return errors.Join(errs...)
}

// Release gives back the room that a killed process had reserved beside the
// blocks of a segment, or was just asking for.
func Release(dir string) {
	_ = os.Remove(filepath.Join(dir, asksFile))
	_ = os.Remove(filepath.Join(dir, reserveFile))
}

// Remove removes a segment that is not open. It empties the files first: where
// Badger was left behind, it keeps them open, and their space with them.
func Remove(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, f := range files {
		if f.Type().IsRegular() {
			_ = os.Truncate(filepath.Join(dir, f.Name()), 0)
		}
	}
	return os.RemoveAll(dir)
}
