package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"
)

const (
	generationPrefix = "gen-"
	removedPrefix    = "removed-"
	quarantinePrefix = "quarantine-"
	sentinelName     = "OPENING"
)

// maxCrashes is how often Badger may take the process down while it opens a
// generation before that generation is put aside. Not at the first time: a kill
// from outside that hits this moment must not put good records aside.
const maxCrashes = 2

// lastChance is how long records that are overdue at start may still be taken.
// It also covers for a clock that is wrong when a machine starts.
const lastChance = 10 * time.Minute

var (
	errLocked = errors.New("another process has it open")
	errHeld   = errors.New("free space is below the floor")
	// errDamaged marks errors that lie in a generation's files.
	errDamaged = errors.New("damaged generation")
)

// prepare takes the directory and reads what it holds, short of the newest
// generation. It is called until it succeeds and then never again.
func (l *Log) prepare() error {
	if l.lock == nil {
		if err := os.MkdirAll(l.opt.Dir, 0o700); err != nil {
			return fmt.Errorf("create the directory: %w", err)
		}
		lock, err := lockDir(filepath.Join(l.opt.Dir, "lock"))
		if err != nil {
			return err
		}
		l.lock = lock
	}
	if err := l.checkKeys(); err != nil {
		return err
	}
	if !l.w.loaded {
		if err := l.load(); err != nil {
			return err
		}
		l.w.loaded = true
	}
	// The newest is checked when it becomes the active one.
	for {
		l.mu.Lock()
		var g *generation
		for _, o := range l.gens[:max(0, len(l.gens)-1)] {
			if o.unchecked {
				g = o
				break
			}
		}
		l.mu.Unlock()
		if g == nil {
			break
		}
		if err := l.check(g, false); err != nil {
			return err
		}
	}
	l.mu.Lock()
	l.prepared = true
	l.weighDue.Store(true)
	for _, ln := range l.lanes {
		nudge(ln.news)
	}
	l.mu.Unlock()
	nudge(l.tidyUp)
	return nil
}

// checkKeys returns ErrKey when there is a generation that the keys do not open.
// It comes before anything is touched.
func (l *Log) checkKeys() error {
	if l.keys == nil {
		k, err := NewKeyring(l.opt.Keys)
		if err != nil {
			return err
		}
		l.keys, l.dec.keys = k, k
	}
	files, err := os.ReadDir(l.opt.Dir)
	if err != nil {
		return fmt.Errorf("list the directory: %w", err)
	}
	for _, f := range files {
		if strings.HasPrefix(f.Name(), generationPrefix) && !l.keys.opens(filepath.Join(l.opt.Dir, f.Name())) {
			return fmt.Errorf("%s: %w", f.Name(), ErrKey)
		}
	}
	return nil
}

// load reads the ledger and the directory.
func (l *Log) load() error {
	st, found, whole, err := l.ledger.load()
	if err != nil {
		return err
	}
	files, err := os.ReadDir(l.opt.Dir)
	if err != nil {
		return fmt.Errorf("list the directory: %w", err)
	}
	onDisk := make(map[uint64]bool)
	quarantined := 0
	for _, f := range files {
		name := f.Name()
		if strings.HasPrefix(name, removedPrefix) {
			if err := os.RemoveAll(filepath.Join(l.opt.Dir, name)); err != nil {
				l.log.Warn("a drained generation cannot be removed", "dir", name, "error", err)
			}
		}
		if strings.HasPrefix(name, quarantinePrefix) {
			quarantined++
		}
		if num, ok := strings.CutPrefix(name, generationPrefix); ok && f.IsDir() {
			if n, err := strconv.ParseUint(num, 10, 64); err == nil && genName(n) == name {
				onDisk[n] = true
			}
		}
	}
	if found && !whole {
		l.log.Error("a part of the queue's ledger is damaged; it is made up from the generations", "dir", l.opt.Dir)
	}
	if st == nil {
		st = &state{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.quarantined = quarantined
	l.nextGen = max(st.nextGen, 1)
	l.w.skip = st.loose
	for _, s := range st.lanes {
		ln := l.adoptLane(s.id, s.name)
		if ln == nil {
			return fmt.Errorf("%w: more lanes than allowed, or two of one name", errLedger)
		}
		ln.acked, ln.synced, ln.last = s.acked, s.synced, s.last
	}
	for i, s := range st.gens {
		age := min(max(l.wall().Sub(time.Unix(s.born, 0)), 0), l.opt.MaxAge-min(lastChance, l.opt.MaxAge))
		g := l.newGeneration(s.n, l.now().Add(-age))
		for id, r := range s.ranges {
			if l.byID[id] != nil {
				g.ranges[id], g.synced[id] = r, r.last
			}
		}
		if !onDisk[s.n] {
			for id, r := range g.ranges {
				l.lose(l.byID[id], r, LostMissing)
			}
			continue
		}
		delete(onDisk, s.n)
		// The last one took writes when the ledger was written, and more since,
		// even if there is a newer one that the ledger does not know.
		g.unchecked = !whole || st.loose || i == len(st.gens)-1
		l.gens = append(l.gens, g)
	}
	for n := range onDisk {
		g := l.newGeneration(n, l.now())
		g.unchecked = true
		l.gens = append(l.gens, g)
	}
	sort.Slice(l.gens, func(i, j int) bool { return l.gens[i].n < l.gens[j].n })
	for i, g := range l.gens {
		g.bytes.Store(dirBytes(g.dir))
		l.nextGen = max(l.nextGen, g.n+1)
		g.unchecked = g.unchecked || i == len(l.gens)-1
	}
	for _, ln := range l.byID {
		ln.head = l.headLocked(ln)
	}
	return nil
}

// headLocked returns the best lower bound known of when the lane's oldest
// unacknowledged record was appended, as Unix ms; 0 when there is none.
func (l *Log) headLocked(ln *lane) int64 {
	for _, g := range l.gens {
		if r, ok := g.ranges[ln.id]; ok && r.last > ln.acked {
			return l.wall().Add(-l.now().Sub(g.born)).UnixMilli()
		}
	}
	return 0
}

// adoptLane returns the lane that has this id and name, made if need be; nil
// when either belongs to another one.
func (l *Log) adoptLane(id uint16, name string) *lane {
	ln := l.lane(name)
	if ln == nil || ln.id != 0 && ln.id != id || l.byID[id] != nil && l.byID[id] != ln {
		return nil
	}
	ln.id = id
	l.byID[id] = ln
	return ln
}

// check opens g and compares it with the ledger. A generation that cannot be
// opened for reasons of its own is quarantined; err is then nil as for success.
func (l *Log) check(g *generation, write bool) error {
	g.mu.Lock()
	err := l.openGeneration(g, write)
	damaged := false
	if err == nil {
		damaged, err = l.compare(g)
	}
	if err == nil {
		err = l.vouch(g)
	}
	g.mu.Unlock()
	if errors.Is(err, errDamaged) {
		l.w.skip = true
		return l.quarantine(g, err)
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	g.unchecked = false
	l.mu.Unlock()
	if damaged {
		l.w.skip = true
	}
	return nil
}

// openGeneration opens g for reading, or also for writing. A closed generation
// that Badger has left without a memtable is opened read-only where possible:
// that writes nothing. The error is errDamaged when g's files are at fault.
// g.mu must be held alone.
func (l *Log) openGeneration(g *generation, write bool) error {
	g.used.Store(l.now().UnixNano())
	if g.db != nil {
		return nil
	}
	if g.gone {
		return errDamaged
	}
	sealed, err := isSealed(g.dir)
	if err != nil {
		return err
	}
	readOnly := sealed && !write && runtime.GOOS != "windows"
	if !readOnly && l.spaceLow() {
		return errHeld
	}
	sentinel := filepath.Join(g.dir, sentinelName)
	crashes := readSentinel(sentinel)
	if crashes >= maxCrashes {
		return fmt.Errorf("%w: the process has died %d times while opening it", errDamaged, crashes)
	}
	if err := writeSentinel(sentinel, crashes+1); err != nil {
		return err
	}
	db, err := l.tryOpen(g.dir, readOnly)
	if err != nil && strings.Contains(err.Error(), newFileText) {
		l.log.Debug("a generation did not open at once; trying again", "generation", g.n)
		db, err = l.tryOpen(g.dir, readOnly)
	}
	// A sentinel that stays for lack of anything but crashes counts as one.
	if rmErr := os.Remove(sentinel); rmErr != nil {
		l.log.Warn("an opening mark cannot be removed", "error", rmErr)
	}
	if err != nil {
		if isPassing(err) {
			return err
		}
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	g.db, g.readOnly = db, readOnly
	return nil
}

// tryOpen clears what Badger stumbles over and opens dir. A panic becomes an error.
func (l *Log) tryOpen(dir string, readOnly bool) (db *badger.DB, err error) {
	if !readOnly {
		if err := clearEmpty(dir); err != nil {
			return nil, err
		}
	}
	defer func() {
		if p := recover(); p != nil {
			db, err = nil, fmt.Errorf("badger panicked: %v", p)
		}
	}()
	return l.openDB(badgerOptions(dir, readOnly, l.log))
}

// clearEmpty removes files with no bytes that a crash has left in the making.
func clearEmpty(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("list a generation: %w", err)
	}
	for _, f := range files {
		ext := filepath.Ext(f.Name())
		if ext != ".mem" && ext != ".vlog" {
			continue
		}
		if fi, err := f.Info(); err == nil && fi.Size() == 0 {
			if err := os.Remove(filepath.Join(dir, f.Name())); err != nil {
				return fmt.Errorf("clear a generation: %w", err)
			}
		}
	}
	return nil
}

// isSealed reports whether Badger can open dir without writing: it has a
// manifest and no memtable to replay.
func isSealed(dir string) (bool, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return false, fmt.Errorf("list a generation: %w", err)
	}
	manifest, mem := false, false
	for _, f := range files {
		manifest = manifest || f.Name() == badger.ManifestFilename
		mem = mem || filepath.Ext(f.Name()) == ".mem"
	}
	return manifest && !mem, nil
}

func readSentinel(path string) int {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 1 // the crash was that of the sentinel's own writing, or of the disk
	}
	return n
}

func writeSentinel(path string, n int) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("mark a generation: %w", err)
	}
	_, err = f.WriteString(strconv.Itoa(n))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("mark a generation: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// spaceLow reports whether writing must wait. What cannot be asked does not
// hold the log up: if the disk is bad, the write will say so.
func (l *Log) spaceLow() bool {
	free, err := l.freeSpace(l.opt.Dir)
	return err == nil && free < l.opt.FreeSpaceFloor
}
