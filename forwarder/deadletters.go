package forwarder

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
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

// deadLetter is one line of the file: an event that Intilery will not take.
type deadLetter struct {
	Time        time.Time       `json:"time"`
	Destination string          `json:"destination"`
	Reason      string          `json:"reason"`
	Status      int             `json:"status"`
	Message     string          `json:"message,omitempty"`
	Event       json.RawMessage `json:"event"`
}

// deadLetters appends to the file, one JSON object per line, and returns when
// the line is on disk. When the file has half of the allowed size it becomes
// the older one; the older one before it is dropped and its lines are counted.
type deadLetters struct {
	dir   string
	limit int64 // for one file

	gauges atomic.Pointer[DeadLetterStats] // so that Stats never waits on the disk

	mu        sync.Mutex
	closed    bool
	file      *os.File
	size      int64
	lines     uint64 // in the file
	olderSize int64
	older     uint64 // lines in the older file
	dropped   uint64
}

func newDeadLetters(dir string, bytes int64) *deadLetters {
	return &deadLetters{dir: dir, limit: bytes / 2}
}

// add writes a dead letter and syncs it. After an error nothing of it is left.
func (d *deadLetters) add(l deadLetter) error {
	line, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("dead letter: %w", err)
	}
	line = append(line, '\n')
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.open(); err != nil {
		return fmt.Errorf("dead letters: %w", err)
	}
	if d.size > 0 && d.size+int64(len(line)) > d.limit {
		if err := d.rotate(); err != nil {
			return fmt.Errorf("dead letters: %w", err)
		}
	}
	_, err = d.file.WriteAt(line, d.size)
	if err == nil {
		err = d.file.Sync()
	}
	if err != nil {
		_ = d.file.Truncate(d.size) // else the next line overwrites it
		return fmt.Errorf("dead letters: %w", err)
	}
	d.size += int64(len(line))
	d.lines++
	d.gauges.Store(&DeadLetterStats{Lines: d.lines + d.older, Bytes: d.size + d.olderSize, Dropped: d.dropped})
	return nil
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
	older, olderSize, err := countLines(filepath.Join(d.dir, olderDeadLetterFile))
	if err != nil {
		return err
	}
	path := filepath.Join(d.dir, deadLetterFile)
	// A line without its end was cut off by a crash: it was never counted, and
	// its event is still in the log.
	lines, size, err := countLines(path)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(size), syncDir(d.dir)); err != nil {
		return errors.Join(err, f.Close())
	}
	d.file, d.size, d.lines = f, size, lines
	d.older, d.olderSize = older, olderSize
	return nil
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

// DeadLetterStats are gauges of the dead letters on disk. They are zero until
// the first one is written.
type DeadLetterStats struct {
	Lines uint64 // kept
	Bytes int64
	// Dropped counts those that had to make room for younger ones since the
	// process began.
	Dropped uint64
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

// countLines returns the number of whole lines of a file and their bytes; none
// when there is no file.
func countLines(path string) (lines uint64, size int64, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	buf := make([]byte, 64<<10)
	var read int64
	for {
		n, err := f.Read(buf)
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			lines += uint64(bytes.Count(buf[:n], []byte{'\n'}))
			size = read + int64(i) + 1
		}
		read += int64(n)
		if err == io.EOF {
			return lines, size, nil
		}
		if err != nil {
			return 0, 0, err
		}
	}
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
