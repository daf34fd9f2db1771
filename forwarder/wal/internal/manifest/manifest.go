// Package manifest says, outside of Badger, what a log must hold: its lanes with
// their cursors, and its segments. Against it a loss becomes a number.
//
// There are two files, of which the one with the higher epoch counts. A file is
// a list of updates, the first of which is the whole state; what changes is
// appended. When a file is full, the whole state begins the other one. So what
// is written for a commit does not grow with the number of lanes or segments.
//
// All numbers are big-endian.
//
//	file     0        4       12      16
//	         +--------+-------+-------+- - - - -+- - - - -+
//	         | "IWM1" | epoch | sum   | record  | record  | ...
//	         +--------+-------+-------+- - - - -+- - - - -+
//
//	record   0        4       8
//	         +--------+-------+- - - - - +
//	         | length | sum   | update   |
//	         +--------+-------+- - - - - +
//
// The header's sum is the CRC32C of what is before it; a record's sum is the
// CRC32C of the epoch, the record's place in the file, its length and its
// update, so that what is left of an earlier epoch is not taken for a record.
//
// Files are as large as they will become from the start on, so that appending
// needs no space: cursors are kept on a full disk too.
package manifest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/intilery/caddy-intilery/internal/fsx"
)

const (
	magic      = "IWM1"
	headerSize = 16
	recordHead = 8
	// minSize is the least size of a file, and growth how many times the whole
	// state it has room for.
	minSize = 256 << 10
	growth  = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrFull: the file has no room for the update; Rewrite makes some.
var ErrFull = errors.New("manifest file is full")

// names of the two files in the log's directory.
var names = [2]string{"manifest-0", "manifest-1"}

// Manifest is the pair of files. One goroutine at a time may use it.
type Manifest struct {
	dir   string
	files [2]*os.File
	sizes [2]int64 // as reserved
	now   int      // the one in use
	epoch uint64
	end   int64
	buf   []byte
}

// Load reads what the manifest in dir says. The state is nil when there is no
// manifest, or none that can be read. Damaged is true when a file is not what
// was written: then the state may be old, or nil.
func Load(dir string) (s *State, damaged bool, err error) {
	f, damaged, err := load(dir)
	return f.state, damaged, err
}

// loaded is the file that counts.
type loaded struct {
	state *State
	file  int
	epoch uint64 // the highest that was found
}

func load(dir string) (f loaded, damaged bool, err error) {
	var counts uint64
	for i, name := range names {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return loaded{}, false, fmt.Errorf("read the manifest: %w", err)
		}
		state, epoch, whole := parse(b)
		damaged = damaged || !whole
		if state != nil && (f.state == nil || epoch > counts) {
			f.state, f.file, counts = state, i, epoch
		}
		f.epoch = max(f.epoch, epoch)
	}
	return f, damaged, nil
}

// parse reads a file. Any bytes may be given. Whole is false when it begins with
// something else than a state; a file of zeros has never been used.
func parse(b []byte) (s *State, epoch uint64, whole bool) {
	if len(b) < headerSize || string(b[:4]) != magic || binary.BigEndian.Uint32(b[12:]) != crc32.Checksum(b[:12], castagnoli) {
		for _, c := range b {
			if c != 0 {
				return nil, 0, false
			}
		}
		return nil, 0, true
	}
	epoch = binary.BigEndian.Uint64(b[4:])
	for at := int64(headerSize); int64(len(b))-at >= recordHead; {
		n := int64(binary.BigEndian.Uint32(b[at:]))
		if n == 0 || n > int64(len(b))-at-recordHead {
			break
		}
		update := b[at+recordHead : at+recordHead+n]
		if binary.BigEndian.Uint32(b[at+4:]) != recordSum(epoch, at, update) {
			break
		}
		if s == nil {
			s = newState()
		}
		if s.apply(update) != nil {
			return nil, epoch, false
		}
		at += recordHead + n
	}
	return s, epoch, s != nil
}

func recordSum(epoch uint64, at int64, update []byte) uint32 {
	var b [20]byte
	binary.BigEndian.PutUint64(b[:], epoch)
	binary.BigEndian.PutUint64(b[8:], uint64(at))
	binary.BigEndian.PutUint32(b[16:], uint32(len(update)))
	return crc32.Update(crc32.Checksum(b[:], castagnoli), castagnoli, update)
}

// Open makes the manifest in dir say all of an update, durably, whatever it said
// before.
func Open(dir string, all *Update) (*Manifest, error) {
	f, _, err := load(dir)
	if err != nil {
		return nil, err
	}
	m := &Manifest{dir: dir, now: f.file, epoch: f.epoch}
	err = m.Rewrite(all)
	if err == nil {
		err = m.grow(1-m.now, m.end) // it may be needed when the disk is full
	}
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// Rewrite puts the whole state into the other file, durably, and goes on there.
func (m *Manifest) Rewrite(all *Update) error {
	next := 1 - m.now
	m.epoch++
	b := append(m.buf[:0], magic...)
	b = binary.BigEndian.AppendUint64(b, m.epoch)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	b = appendRecord(b, m.epoch, headerSize, all)
	m.buf = b
	if err := m.grow(next, int64(len(b))); err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	if _, err := m.files[next].WriteAt(b, 0); err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	if err := m.files[next].Sync(); err != nil {
		return fmt.Errorf("sync the manifest: %w", err)
	}
	m.now, m.end = next, int64(len(b))
	if cap(m.buf) > 1<<20 {
		m.buf = nil
	}
	return nil
}

// grow opens a file and sees to it that it is reserved for a state of n bytes
// and the updates that follow.
func (m *Manifest) grow(i int, n int64) error {
	if m.files[i] == nil {
		f, err := os.OpenFile(filepath.Join(m.dir, names[i]), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		m.files[i] = f
		if err := fsx.SyncDir(m.dir); err != nil {
			return err
		}
	}
	size := max(m.sizes[i], minSize)
	for size < growth*n {
		size *= 2
	}
	if size == m.sizes[i] {
		return nil
	}
	if err := fsx.Reserve(m.files[i], size); err != nil {
		return err
	}
	m.sizes[i] = size
	return nil
}

// appendRecord adds the record of an update, to be written at a place.
func appendRecord(b []byte, epoch uint64, at int64, u *Update) []byte {
	start := len(b)
	b = u.append(append(b, make([]byte, recordHead)...))
	update := b[start+recordHead:]
	binary.BigEndian.PutUint32(b[start:], uint32(len(update)))
	binary.BigEndian.PutUint32(b[start+4:], recordSum(epoch, at, update))
	return b
}

// Append notes what has changed, durably. Error: ErrFull.
func (m *Manifest) Append(u *Update) error {
	m.buf = appendRecord(m.buf[:0], m.epoch, m.end, u)
	n := int64(len(m.buf))
	if m.end+n > m.sizes[m.now] {
		return ErrFull
	}
	if _, err := m.files[m.now].WriteAt(m.buf, m.end); err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	m.end += n
	if err := fsx.Datasync(m.files[m.now]); err != nil {
		return fmt.Errorf("sync the manifest: %w", err)
	}
	return nil
}

// Close closes the files.
func (m *Manifest) Close() error {
	var errs []error
	for i, f := range m.files {
		if f != nil {
			errs = append(errs, f.Close())
			m.files[i] = nil
		}
	}
	return errors.Join(errs...)
}
