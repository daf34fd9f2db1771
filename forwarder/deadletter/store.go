package deadletter

import (
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/intilery/caddy-intilery/internal/fsx"
	"github.com/intilery/caddy-intilery/internal/seal"
)

// Names of the files in the data directory. The older one is the one that was
// full before.
const (
	fileName  = "dead-letters.jsonl"
	olderName = "dead-letters.1.jsonl"
)

// ErrClosed: the store was closed.
var ErrClosed = errors.New("dead letters closed")

// Store is the dead letters of a data directory. When the file has half of the
// allowed size it becomes the older one; the older one before it is dropped and
// its lines are counted. Its methods may be called by any number of goroutines.
type Store struct {
	dir    string
	half   atomic.Int64 // for one file
	keys   *seal.Keyring
	gauges atomic.Pointer[Stats] // so that Stats never waits on the disk

	mu        sync.Mutex
	closed    bool
	file      *os.File
	size      int64
	lines     uint64 // in the file
	olderSize int64
	older     uint64 // lines in the older file
	dropped   uint64
	visitors  map[uint64]struct{} // hashes of anonymousIds of letters, and maybe of some that are gone; nil: not known

	purging sync.Mutex // held by PurgeVisitor
	seed    maphash.Seed
}

// Stats are gauges of the dead letters on disk.
type Stats struct {
	Kept  uint64
	Bytes int64
	// Dropped counts those that had to make room for younger ones since the
	// process began.
	Dropped uint64
}

// New returns the store of a data directory. It does no I/O. Keys is nil when
// letters are not encrypted.
func New(dir string, maxBytes int64, keys *seal.Keyring) *Store {
	s := &Store{dir: dir, keys: keys, seed: maphash.MakeSeed()}
	s.SetMaxBytes(maxBytes)
	return s
}

// SetMaxBytes bounds the size of the letters from now on.
func (s *Store) SetMaxBytes(n int64) { s.half.Store(n / 2) }

// Add writes a letter durably, unless that is not allowed when it is its turn;
// nil allows it. After an error nothing of it is left.
func (s *Store) Add(l *Letter, allowed func() bool) (added bool, err error) {
	line, err := Encode(l, s.keys)
	if err != nil {
		return false, fmt.Errorf("dead letter: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if allowed != nil && !allowed() {
		return false, nil
	}
	if err := s.open(); err != nil {
		return false, fmt.Errorf("dead letters: %w", err)
	}
	if s.size > 0 && s.size+int64(len(line)) > s.half.Load() {
		if err := s.rotate(); err != nil {
			return false, fmt.Errorf("dead letters: %w", err)
		}
	}
	_, err = s.file.WriteAt(line, s.size)
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		_ = s.file.Truncate(s.size) // else the next line overwrites it
		return false, fmt.Errorf("dead letters: %w", err)
	}
	s.size += int64(len(line))
	s.lines++
	if s.visitors != nil {
		a, _ := l.Event.IDs()
		s.visitors[maphash.String(s.seed, a)] = struct{}{}
	}
	s.gauge()
	return true, nil
}

// open opens the file at first use, and looks at what earlier processes left.
func (s *Store) open() error {
	if s.closed {
		return ErrClosed
	}
	if s.file != nil {
		return nil
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	if err := s.count(); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(s.dir, fileName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	// A line without its end was cut off by a crash: it was never counted, and its
	// event is still in the log.
	if err := errors.Join(f.Truncate(s.size), fsx.SyncDir(s.dir)); err != nil {
		return errors.Join(err, f.Close())
	}
	s.file = f
	return nil
}

// count takes the files' sizes and numbers of lines.
func (s *Store) count() (err error) {
	if s.older, s.olderSize, err = countLines(filepath.Join(s.dir, olderName)); err != nil {
		return err
	}
	if s.lines, s.size, err = countLines(filepath.Join(s.dir, fileName)); err != nil {
		return err
	}
	s.gauge()
	return nil
}

// Look has Stats tell of what earlier processes left before there is anything to
// add. It leaves errors to Add.
func (s *Store) Look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil && !s.closed {
		_ = s.count()
	}
}

// rotate makes the file the older one and begins another.
func (s *Store) rotate() error {
	path := filepath.Join(s.dir, fileName)
	if err := os.Rename(path, filepath.Join(s.dir, olderName)); err != nil {
		return err
	}
	s.dropped += s.older
	s.visitors = nil // else it would grow for ever
	s.older, s.olderSize = s.lines, s.size
	err := s.file.Close()
	s.file, s.size, s.lines = nil, 0, 0
	f, errOpen := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if errOpen != nil {
		return errors.Join(err, errOpen)
	}
	s.file = f
	return errors.Join(err, fsx.SyncDir(s.dir))
}

func (s *Store) gauge() {
	s.gauges.Store(&Stats{Kept: s.lines + s.older, Bytes: s.size + s.olderSize, Dropped: s.dropped})
}

// Stats returns what is kept, without waiting.
func (s *Store) Stats() Stats {
	if g := s.gauges.Load(); g != nil {
		return *g
	}
	return Stats{}
}

// Close does not wait for a write that hangs: the line it writes is whole or will
// be repaired, and its event is still in the log.
func (s *Store) Close() error {
	if !s.mu.TryLock() {
		return errors.New("dead letters: a write has not finished")
	}
	defer s.mu.Unlock()
	s.closed = true
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}
