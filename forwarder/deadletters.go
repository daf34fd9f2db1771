package forwarder

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Names of the files of dead letters in the data directory. The older file is
// the one that was full before.
const (
	deadLetterFile      = "dead-letters.jsonl"
	olderDeadLetterFile = "dead-letters.1.jsonl"
)

// DeadLetter is an event that Intilery will not take, as it is kept on disk.
type DeadLetter struct {
	Time        time.Time       `json:"time"`
	Destination string          `json:"destination"`
	Reason      string          `json:"reason"`
	Status      int             `json:"status"`
	Message     string          `json:"message,omitempty"` // the receiver's word
	Event       json.RawMessage `json:"event"`
}

// deadLetters appends to the file, one JSON object per line, and returns when
// the line is on disk. When the file has half of the allowed size it becomes
// the older one; the older one before it is dropped and its lines are counted.
type deadLetters struct {
	dir   string
	limit atomic.Int64 // for one file
	keys  sealer       // nil: lines are written as they are

	gauges atomic.Pointer[DeadLetterStats] // so that Stats never waits on the disk
	upkeep sync.Mutex                      // held by replay, purge and erase; before mu

	mu        sync.Mutex
	closed    bool
	file      *os.File
	size      int64
	lines     uint64 // in the file
	olderSize int64
	older     uint64 // lines in the older file
	dropped   uint64
}

func newDeadLetters(dir string, bytes int64, keys sealer) *deadLetters {
	d := &deadLetters{dir: dir, keys: keys}
	d.limit.Store(bytes / 2)
	return d
}

// add writes a dead letter and syncs it, unless that is not allowed when it is
// its turn; nil allows it. After an error nothing of it is left.
func (d *deadLetters) add(l DeadLetter, allowed func() bool) (added bool, err error) {
	line, err := d.encode(l)
	if err != nil {
		return false, fmt.Errorf("dead letter: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if allowed != nil && !allowed() {
		return false, nil
	}
	if err := d.open(); err != nil {
		return false, fmt.Errorf("dead letters: %w", err)
	}
	if d.size > 0 && d.size+int64(len(line)) > d.limit.Load() {
		if err := d.rotate(); err != nil {
			return false, fmt.Errorf("dead letters: %w", err)
		}
	}
	_, err = d.file.WriteAt(line, d.size)
	if err == nil {
		err = d.file.Sync()
	}
	if err != nil {
		_ = d.file.Truncate(d.size) // else the next line overwrites it
		return false, fmt.Errorf("dead letters: %w", err)
	}
	d.size += int64(len(line))
	d.lines++
	d.gauge()
	return true, nil
}

// open opens the file at first use, and looks at what earlier processes left.
func (d *deadLetters) open() error {
	if d.closed {
		return ErrClosed
	}
	if d.file != nil {
		return nil
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	if err := d.count(); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(d.dir, deadLetterFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	// A line without its end was cut off by a crash: it was never counted, and
	// its event is still in the log.
	if err := errors.Join(f.Truncate(d.size), syncDir(d.dir)); err != nil {
		return errors.Join(err, f.Close())
	}
	d.file = f
	return nil
}

// count takes the files' sizes and numbers of lines.
func (d *deadLetters) count() (err error) {
	if d.older, d.olderSize, err = countLines(filepath.Join(d.dir, olderDeadLetterFile)); err != nil {
		return err
	}
	if d.lines, d.size, err = countLines(filepath.Join(d.dir, deadLetterFile)); err != nil {
		return err
	}
	d.gauge()
	return nil
}

// look lets Stats tell of what earlier processes left before there is anything
// to add. It leaves errors to add.
func (d *deadLetters) look() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file == nil && !d.closed {
		_ = d.count()
	}
}

// rotate makes the file the older one and begins another.
func (d *deadLetters) rotate() error {
	path := filepath.Join(d.dir, deadLetterFile)
	if err := os.Rename(path, filepath.Join(d.dir, olderDeadLetterFile)); err != nil {
		return err
	}
	d.dropped += d.older
	d.older, d.olderSize = d.lines, d.size
	err := d.file.Close()
	d.file, d.size, d.lines = nil, 0, 0
	f, errOpen := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if errOpen != nil {
		return errors.Join(err, errOpen)
	}
	d.file = f
	return errors.Join(err, syncDir(d.dir))
}

// DeadLetterStats are gauges of the dead letters on disk.
type DeadLetterStats struct {
	Lines uint64 // kept
	Bytes int64
	// Dropped counts those that had to make room for younger ones since the
	// process began.
	Dropped uint64
}

func (d *deadLetters) gauge() {
	d.gauges.Store(&DeadLetterStats{Lines: d.lines + d.older, Bytes: d.size + d.olderSize, Dropped: d.dropped})
}

func (d *deadLetters) stats() DeadLetterStats {
	if g := d.gauges.Load(); g != nil {
		return *g
	}
	return DeadLetterStats{}
}

// close does not wait for a write that hangs: the line it writes is whole or
// will be repaired, and its event is still in the log.
func (d *deadLetters) close() error {
	if !d.mu.TryLock() {
		return errors.New("dead letters: a write has not finished")
	}
	defer d.mu.Unlock()
	d.closed = true
	if d.file == nil {
		return nil
	}
	err := d.file.Close()
	d.file = nil
	return err
}
