package wal

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/forwarder/wal/internal/block"
	"github.com/intilery/caddy-intilery/forwarder/wal/internal/manifest"
	"github.com/intilery/caddy-intilery/forwarder/wal/internal/segment"
	"github.com/intilery/caddy-intilery/internal/fsx"
	"github.com/intilery/caddy-intilery/internal/seal"
)

// Salvaged says what Salvage found.
type Salvaged struct {
	Segments, Blocks int    // directories looked into, sound blocks in them
	Records          uint64 // given out
	Missing          uint64 // records known to have been there, and not found
	Damaged          int    // places that begin like a block and are none: torn, overwritten or flipped
	Encrypted        int    // blocks left out for want of their key
}

// Salvage gives out every record that can still be made out in dir, which is one
// segment (of a log that does not run, or in quarantine) or a log's whole
// directory, each lane's in order. It changes nothing and does not use Badger,
// which may fail or crash over damaged files: it looks for blocks in the bytes of
// its files, each of which proves itself by its checksums. Records that were
// acknowledged and not yet removed are given out too.
//
// An error of each ends it and is returned; others are fsx.ErrLocked, when a
// running log has the directory, and those of reading the files.
func Salvage(dir string, keys *seal.Keyring, each func(lane string, class queue.Class, rec []byte) error) (Salvaged, error) {
	s := salvage{decoder: block.NewDecoder(keys), each: each, next: make(map[laneID]uint64)}
	defer s.decoder.Close()
	segs, logDir, err := segmentsIn(dir)
	if err != nil {
		return s.report, fmt.Errorf("salvage: %w", err)
	}
	if logDir == dir {
		s.readIndexes(dir)
	}
	release, err := lockIfThere(filepath.Join(logDir, lockName))
	if err != nil {
		return s.report, fmt.Errorf("salvage: %w", err)
	}
	defer release()
	for _, seg := range segs {
		s.report.Segments++
		if err := segment.Each(seg, s.find, s.block); err != nil {
			return s.report, fmt.Errorf("salvage: %w", err)
		}
	}
	for _, n := range s.must {
		s.report.Missing += n
	}
	return s.report, nil
}

// segmentsIn returns the segments in dir, those in quarantine too, by their
// numbers, and the directory of their log; dir may be one segment itself.
func segmentsIn(dir string) (segs []string, logDir string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, "", err
	}
	numbers := make(map[string]uint64)
	for _, e := range entries {
		name := e.Name()
		if i := strings.LastIndex(name, segmentPrefix); e.IsDir() && i >= 0 {
			if n, ok := segmentNumber(name[i:]); ok {
				path := filepath.Join(dir, name)
				segs, numbers[path] = append(segs, path), n
			}
		}
	}
	switch {
	case segs != nil:
		slices.SortFunc(segs, func(a, b string) int { return cmp.Compare(numbers[a], numbers[b]) })
		return segs, dir, nil
	case strings.HasPrefix(filepath.Base(dir), segmentPrefix):
		return []string{dir}, filepath.Dir(dir), nil
	}
	return []string{dir}, filepath.Join(dir, "none"), nil // in quarantine, or moved elsewhere
}

// lockIfThere takes the lock of a directory that has one. A lock file that may
// not be written is no reason to fail: nothing is written.
func lockIfThere(path string) (release func(), err error) {
	none := func() {}
	if _, err := os.Stat(path); err != nil {
		return none, nil
	}
	lock, err := fsx.LockFile(path)
	if errors.Is(err, fsx.ErrLocked) {
		return none, err
	}
	if err != nil {
		return none, nil
	}
	return func() { lock.Release() }, nil
}

// InUse reports whether a running log has dir. The error says why that cannot be
// known, such as a lock file that this user may not open.
func InUse(dir string) (bool, error) {
	path := filepath.Join(dir, lockName)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	lock, err := fsx.LockFile(path)
	if errors.Is(err, fsx.ErrLocked) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return false, lock.Release()
}

// salvage is one run of Salvage.
type salvage struct {
	report  Salvaged
	decoder *block.Decoder
	each    func(lane string, class queue.Class, rec []byte) error
	next    map[laneID]uint64 // the lane's next sequence
	must    map[uint32]uint64 // by lane: records that the indexes say there were, and were not found; nil without
}

// laneID tells lanes apart, also those of another log.
type laneID struct {
	incarnation uint64
	id          uint32
}

func (s *salvage) readIndexes(dir string) {
	s.must = make(map[uint32]uint64)
	paths, _ := filepath.Glob(filepath.Join(dir, segmentPrefix+"*"+indexSuffix))
	for _, path := range paths {
		if x, err := manifest.ReadIndex(path); err == nil && x != nil {
			for id, r := range x.Lanes {
				s.must[id] += r.Last - r.First + 1
			}
		}
	}
}

// find is findBlock, and counts what is damaged.
func (s *salvage) find(b []byte) (number uint64, at, size int) {
	h, at, damaged := block.Find(b)
	s.report.Damaged += damaged
	if h == nil {
		return 0, at, 0
	}
	s.report.Blocks++
	return h.Number, at, h.Size()
}

// block gives out the records of a block, if it was not in a segment before.
func (s *salvage) block(v []byte) error {
	h, err := block.Check(v)
	if err != nil {
		return err
	}
	all, err := s.decoder.Records(h, v)
	switch {
	case errors.Is(err, seal.ErrKey):
		s.report.Encrypted++
		return nil
	case errors.Is(err, block.ErrDamaged):
		s.report.Damaged++
		return nil
	case err != nil:
		return err
	}
	for i := range h.Lanes {
		l := &h.Lanes[i]
		id := laneID{h.Incarnation, l.ID}
		next := s.next[id]
		if l.Last() < next {
			continue
		}
		s.next[id] = l.Last() + 1
		if s.must == nil && next != 0 && l.First > next && l.First-next < jump {
			s.report.Missing += l.First - next
		}
		for _, r := range all[i][max(next, l.First)-l.First:] {
			s.report.Records++
			if n := s.must[l.ID]; n > 0 {
				s.must[l.ID] = n - 1
			}
			if err := s.each(l.Name, r.Class, r.Data); err != nil {
				return err
			}
		}
	}
	return nil
}
