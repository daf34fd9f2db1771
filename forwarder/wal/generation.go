package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// generation is one Badger directory. The newest takes writes; the others are
// only read, until every lane's cursor has passed what they hold.
type generation struct {
	n    uint64
	dir  string
	born time.Time

	ranges map[uint16]span // by lane id: what it must hold; Log.mu guards it
	bytes  atomic.Int64    // about the size of what was written
	used   atomic.Int64    // Unix ns of the last use, for closing the idle ones
	broken atomic.Bool     // reading it has gone wrong beyond one pack

	synced    map[uint16]uint64 // by lane id: the last sequence that a power cut leaves; Log.mu guards it
	topMem    int               // number of the highest memtable at the last sync; the writer's
	unchecked bool              // not yet compared with the ledger; Log.mu guards it
	named     map[uint16]bool   // lanes whose name it holds; the writer's

	mu       sync.RWMutex // held shared while db is used, alone to open or close
	db       *badger.DB   // nil when not open
	readOnly bool
	gone     bool // removed or in quarantine
}

func (l *Log) newGeneration(n uint64, born time.Time) *generation {
	return &generation{
		n: n, dir: filepath.Join(l.opt.Dir, genName(n)), born: born,
		ranges: make(map[uint16]span), synced: make(map[uint16]uint64), named: make(map[uint16]bool),
	}
}

// createGeneration begins a new generation and makes it the active one.
func (l *Log) createGeneration() error {
	l.settleBefore("the next one begins")
	l.mu.Lock()
	g := l.newGeneration(l.nextGen, l.now())
	l.mu.Unlock()
	if err := os.Mkdir(g.dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("create a generation: %w", err)
	}
	if err := errors.Join(l.keys.writeKeyFile(g.dir), syncDir(l.opt.Dir)); err != nil {
		return err
	}
	g.mu.Lock()
	err := l.openGeneration(g, true)
	g.mu.Unlock()
	if err == nil {
		err = l.syncAll(g.dir)
	}
	if err != nil {
		// It holds nothing yet. The next attempt begins with a clean directory.
		g.mu.Lock()
		defer g.mu.Unlock()
		return errors.Join(err, l.closeGeneration(g), os.RemoveAll(g.dir))
	}
	l.mu.Lock()
	l.nextGen++
	l.gens = append(l.gens, g)
	l.active = g
	l.mu.Unlock()
	l.acksDirty.Store(false)
	if err := l.saveLedger(true); err != nil {
		l.log.Warn("the queue's ledger cannot be written", "error", err)
	}
	nudge(l.tidyUp)
	return nil
}

// rotationDue says whether the active generation has had its time.
func (l *Log) rotationDue(now time.Time) bool {
	g := l.active
	n := g.bytes.Load()
	if n >= l.opt.GenerationBytes || g.broken.Load() {
		return true
	}
	if n == 0 {
		return false
	}
	if now.Sub(g.born) >= l.opt.GenerationAge {
		return true
	}
	if n < l.drainedBytes() {
		return false
	}
	oldest := l.wall().Add(-keepsUp).UnixMilli()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ln := range l.lanes {
		if ln.head != 0 && ln.head < oldest {
			return false
		}
	}
	return true
}

// keepsUp is how old a record that is not acknowledged may be for its readers
// to count as keeping up.
const keepsUp = 2 * time.Second

// drainedBytes is the size from which the active generation is replaced when
// its readers keep up. It is removed soon after, and as it still fits Badger's
// memtable, what it holds has been written to disk once, and not a second time
// as a table. Below that size, the blocks it holds cost less than a new one.
func (l *Log) drainedBytes() int64 { return min(l.opt.GenerationBytes/2, memTableSize*3/4) }

// drainedLocked reports whether there is a generation to remove.
func (l *Log) drainedLocked() bool {
	for _, g := range l.gens {
		if g != l.active && l.isDrainedLocked(g) {
			return true
		}
	}
	return false
}

func (l *Log) isDrainedLocked(g *generation) bool {
	if g.unchecked {
		return false
	}
	for id, r := range g.ranges {
		if l.byID[id].acked < r.last {
			return false
		}
	}
	return true
}

// dropLocked takes g out of the log's list.
func (l *Log) dropLocked(g *generation) {
	for i, o := range l.gens {
		if o == g {
			l.gens = append(l.gens[:i:i], l.gens[i+1:]...)
		}
	}
	if l.active == g {
		l.active = nil
	}
}

// closeSpace is the free space in bytes that closing a generation may take:
// Badger then writes its memtables out as tables.
const closeSpace = 4 * memTableSize

var errNoCloseSpace = errors.New("too little free space to close a generation; it is replayed at the next start")

// closeGeneration closes the database of g, whose mu must be held alone. On a
// disk that is too full for it, g stays open: Badger would die of SIGBUS.
func (l *Log) closeGeneration(g *generation) error { return l.endGeneration(g, false) }

// discard is closeGeneration for a generation that nobody needs any more:
// Badger does not write its memtables out.
func (l *Log) discard(g *generation) error { return l.endGeneration(g, true) }

func (l *Log) endGeneration(g *generation, drop bool) (err error) {
	if g.db == nil {
		return nil
	}
	if !g.readOnly {
		if free, err := l.freeSpace(l.opt.Dir); err == nil && free < closeSpace {
			return errNoCloseSpace
		}
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("badger panicked while closing: %v", p)
		}
		g.db = nil
	}()
	if drop && !g.readOnly {
		if err := g.db.DropAll(); err != nil {
			l.log.Debug("a drained generation cannot be emptied", "generation", g.n, "error", err)
		}
	}
	if err := g.db.Close(); err != nil {
		return fmt.Errorf("close %s: %w", genName(g.n), err)
	}
	return nil
}

// removeGeneration deletes a drained generation. The acknowledgements are made
// durable in both slots of the ledger before, so that whatever slot survives a
// crash, the missing directory is not taken for a loss.
func (l *Log) removeGeneration(g *generation) error {
	for range 2 {
		if err := l.saveLedger(true); err != nil {
			return err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gone {
		return nil
	}
	if err := l.discard(g); errors.Is(err, errNoCloseSpace) {
		return err
	} else if err != nil {
		l.log.Warn("a drained generation does not close cleanly", "error", err)
	}
	away := filepath.Join(l.opt.Dir, fmt.Sprintf("%s%d", removedPrefix, g.n))
	if err := os.Rename(g.dir, away); err != nil {
		return fmt.Errorf("remove a drained generation: %w", err)
	}
	g.gone = true
	l.mu.Lock()
	l.dropLocked(g)
	l.mu.Unlock()
	l.weighDue.Store(true)
	nudge(l.wake)
	if err := syncDir(l.opt.Dir); err != nil {
		return err
	}
	if err := os.RemoveAll(away); err != nil {
		return fmt.Errorf("remove a drained generation: %w", err)
	}
	return nil
}

// quarantine moves a generation aside and counts what it held as lost.
func (l *Log) quarantine(g *generation, why error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gone {
		return nil
	}
	if err := l.closeGeneration(g); err != nil {
		l.log.Warn("a damaged generation does not close cleanly", "error", err)
	}
	name := fmt.Sprintf("%s%s-%s", quarantinePrefix, l.wall().UTC().Format("20060102T150405Z"), genName(g.n))
	if err := os.Rename(g.dir, filepath.Join(l.opt.Dir, name)); err != nil {
		return fmt.Errorf("quarantine %s: %w", genName(g.n), err)
	}
	g.gone = true
	l.log.Error("a generation of the queue is damaged and was moved aside; new events are not affected",
		"quarantine", name, "error", why)
	l.mu.Lock()
	l.dropLocked(g)
	l.counts.quarantined++
	for id, r := range g.ranges {
		l.lose(l.byID[id], r, LostQuarantined)
	}
	l.mu.Unlock()
	if err := syncDir(l.opt.Dir); err != nil {
		return err
	}
	return l.saveLedger(true)
}

// syncDir makes the entries of dir durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync a directory: %w", err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
