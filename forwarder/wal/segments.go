package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/wal/internal/block"
	"github.com/intilery/caddy-intilery/forwarder/wal/internal/manifest"
	"github.com/intilery/caddy-intilery/forwarder/wal/internal/segment"
	"github.com/intilery/caddy-intilery/internal/fsx"
)

// Names of the log's directories, each followed by a number; of the index of a
// segment, beside it; and of its lock.
const (
	segmentPrefix    = "seg-"
	quarantinePrefix = "quarantine-"
	indexSuffix      = ".index"
	lockName         = "lock"
)

// segmentInfo is one segment of the log, open or not.
type segmentInfo struct {
	number uint64
	path   string
	disk   atomic.Int64 // bytes allocated
	used   atomic.Int64 // Unix ns of the last read, to close those not read lately

	// index.mu guards these.
	begun, ended time.Time                 // ended is of those that have taken blocks in this process
	latest       time.Time                 // when it took its last block
	first, last  uint64                    // numbers of its blocks; 0 when there are none
	left         int                       // lanes with something pending in it
	damaged      bool                      // something in it was lost
	indexed      bool                      // its index is on disk
	lanes        map[uint32]manifest.Range // what it holds, until it is indexed
	unsaved      map[uint32]uint64         // of lanes: the first sequences that the manifest does not have

	mu   sync.RWMutex // held shared while it is read, alone to open or close it
	w    *segment.Writer
	r    *segment.Reader
	gone bool
}

// errGone says that a segment went while a reader was on its way to it.
var errGone = errors.New("the segment is gone")

// segments makes, opens and removes segments.
type segments struct {
	dir    string
	opt    segment.Options
	clock  func() time.Time
	reads  atomic.Uint64
	opened func() // tells the janitor that one more is open
}

func segmentName(n uint64) string { return segmentPrefix + strconv.FormatUint(n, 10) }

// segmentNumber is the inverse of segmentName.
func segmentNumber(name string) (n uint64, ok bool) {
	num, ok := strings.CutPrefix(name, segmentPrefix)
	n, err := strconv.ParseUint(num, 10, 64)
	return n, ok && err == nil && segmentName(n) == name
}

func (s *segments) info(n uint64, begun time.Time) *segmentInfo {
	return &segmentInfo{
		number: n, path: filepath.Join(s.dir, segmentName(n)), begun: begun, latest: begun,
		lanes: make(map[uint32]manifest.Range), unsaved: make(map[uint32]uint64),
	}
}

// create makes a segment that takes blocks.
func (s *segments) create(n uint64) (*segmentInfo, error) {
	seg := s.info(n, s.clock())
	w, err := segment.Create(seg.path, s.opt)
	if err != nil {
		return nil, err
	}
	seg.w = w
	seg.disk.Store(fsx.Usage(seg.path))
	return seg, nil
}

// findBlock is block.Find for segments.
func findBlock(b []byte) (number uint64, at, size int) {
	h, at, _ := block.Find(b)
	if h == nil {
		return 0, at, 0
	}
	return h.Number, at, h.Size()
}

// get calls f with a block of a segment, which is opened before if need be.
// Errors: segment.ErrLost, errGone, and those of reading files.
func (s *segments) get(seg *segmentInfo, number uint64, f func([]byte) error) error {
	s.reads.Add(1)
	seg.mu.RLock()
	if seg.w == nil && seg.r == nil && !seg.gone {
		seg.mu.RUnlock()
		seg.mu.Lock()
		if seg.w == nil && seg.r == nil && !seg.gone {
			seg.r = segment.Open(seg.path, s.opt)
			s.opened()
		}
		seg.mu.Unlock()
		seg.mu.RLock()
	}
	defer seg.mu.RUnlock()
	seg.used.Store(s.clock().UnixNano())
	switch {
	case seg.gone:
		return errGone
	case seg.w != nil:
		return seg.w.Get(number, f)
	case seg.r == nil:
		return errGone // closed in between; the caller looks again
	}
	return seg.r.Get(number, f)
}

// close closes a segment's files; it is opened again when it is read.
func (s *segments) close(seg *segmentInfo) error {
	seg.mu.Lock()
	defer seg.mu.Unlock()
	return s.closeLocked(seg)
}

func (s *segments) closeLocked(seg *segmentInfo) (err error) {
	if seg.w != nil {
		err = seg.w.Close()
		seg.w = nil
		seg.disk.Store(fsx.Usage(seg.path))
	}
	if seg.r != nil {
		err = errors.Join(err, seg.r.Close())
		seg.r = nil
	}
	return err
}

// takesBlocks reports whether a segment is open for blocks, and isOpen whether
// it is open at all.
func (seg *segmentInfo) takesBlocks() bool {
	seg.mu.RLock()
	defer seg.mu.RUnlock()
	return seg.w != nil
}

func (seg *segmentInfo) isOpen() bool {
	seg.mu.RLock()
	defer seg.mu.RUnlock()
	return seg.w != nil || seg.r != nil
}

// remove deletes a segment, or renames it when its files should be kept.
func (s *segments) remove(seg *segmentInfo, quarantine string) error {
	seg.mu.Lock()
	defer seg.mu.Unlock()
	if err := s.closeLocked(seg); err != nil {
		s.opt.Log.Warn("a segment of the queue does not close cleanly", "segment", seg.number, "error", err)
	}
	seg.gone = true
	if quarantine != "" {
		if err := os.Rename(seg.path, filepath.Join(s.dir, quarantine)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("set a damaged segment aside: %w", err)
		}
	} else if err := segment.Remove(seg.path); err != nil {
		return fmt.Errorf("remove a segment: %w", err)
	}
	if err := os.Remove(seg.path + indexSuffix); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove a segment's index: %w", err)
	}
	return fsx.SyncDir(s.dir)
}
