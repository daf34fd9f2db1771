package erasure

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/internal/fsx"
)

// spareLines is how many lines that are out of date the journal may always have.
const spareLines = 256

// tombstone says that a visitor's events up to a place in each lane must not be
// sent.
type tombstone struct {
	Time   time.Time                 `json:"time"`
	Kind   string                    `json:"kind"`
	Digest Digest                    `json:"digest"`
	Upto   map[string]queue.Position `json:"upto"` // by lane

	passed bool // all cursors were past it when Retire looked last
}

// journal is the file of the tombstones, one JSON line each. Of two with the same
// digest the later one counts.
type journal struct {
	path  string
	lines int
	size  int64 // up to the end of the last whole line
}

// read returns the tombstones in the file, in order. With errDamaged it returns
// those that can be read. A last line without its end was cut off by a crash
// before it counted, and the next one takes its place.
func (j *journal) read() (list []*tombstone, err error) {
	text, err := os.ReadFile(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	for line := range bytes.Lines(text) {
		t := new(tombstone)
		if json.Unmarshal(line, t) != nil || t.Digest == (Digest{}) {
			err = errDamaged
			continue
		}
		list = append(list, t)
	}
	j.lines, j.size = len(list), int64(len(text))
	return list, err
}

var errDamaged = errors.New("lines that are not tombstones")

// intact reports whether the file has what was written to it: somebody may have
// removed it.
func (j *journal) intact() bool {
	fi, err := os.Stat(j.path)
	return err == nil && fi.Size() >= j.size || j.size == 0
}

// add makes a tombstone durable. After an error it does not count.
func (j *journal) add(t *tombstone) error {
	line, err := json.Marshal(t)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	f, err := os.OpenFile(j.path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err = f.Truncate(j.size); err == nil { // what a write that failed has left
		_, err = f.WriteAt(line, j.size)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if j.size == 0 {
		if err := fsx.SyncDir(filepath.Dir(j.path)); err != nil {
			return err
		}
	}
	j.lines++
	j.size += int64(len(line))
	return nil
}

// replace writes the file anew.
func (j *journal) replace(all map[Digest]*tombstone) error {
	var text []byte
	for _, t := range all {
		line, err := json.Marshal(t)
		if err != nil {
			return err
		}
		text = append(append(text, line...), '\n')
	}
	if err := fsx.ReplaceFile(j.path, text); err != nil {
		return err
	}
	j.lines, j.size = len(all), int64(len(text))
	return nil
}
