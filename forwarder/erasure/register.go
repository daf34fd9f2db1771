package erasure

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// retireEvery bounds how often Retire looks whether tombstones have done their part.
const retireEvery = time.Minute

// ErrFull: there are as many tombstones as the caller of Add allows.
var ErrFull = errors.New("too many erased visitors still have events in the queue")

// Register is the tombstones of a data directory and its audit file. Its methods
// may be called by any number of goroutines.
type Register struct {
	dir string
	log *slog.Logger

	loaded  atomic.Bool
	version atomic.Uint64

	mu      sync.Mutex // held by those that change something, in memory or on disk
	digests digests
	file    journal
	places  int       // of all tombstones
	retired time.Time // when Retire looked last

	// Those that hold mu change these under state, and need it for nothing else:
	// so readers never wait for the disk.
	state      sync.RWMutex
	key        []byte // of digests, once there are tombstones
	tombstones map[Digest]*tombstone
	// reach is how far the tombstones of a lane reach, for each incarnation of the
	// log: events behind it need not be looked into.
	reach map[string][]queue.Position
}

// New returns the register of a data directory. It does no I/O.
func New(dir string, log *slog.Logger) *Register {
	return &Register{
		dir: dir, log: log, digests: digests{dir: dir}, file: journal{path: filepath.Join(dir, tombstoneFile)},
		tombstones: make(map[Digest]*tombstone), reach: make(map[string][]queue.Position),
	}
}

// Load reads the tombstones that earlier processes left, once. No event may be
// sent before it has returned nil. A damaged file is set aside and reported: those
// of its erasures that cannot be read have to be repeated.
func (r *Register) Load() error {
	if r.loaded.Load() {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.loadLocked()
}

func (r *Register) loadLocked() error {
	if r.loaded.Load() {
		return nil
	}
	list, err := r.file.read()
	if err != nil && !errors.Is(err, errDamaged) {
		return fmt.Errorf("read the erasures: %w", err)
	}
	if len(list) > 0 && r.digests.key == nil { // a shared one's is given
		switch keyErr := r.digests.load(); {
		case errors.Is(keyErr, fs.ErrNotExist), errors.Is(keyErr, errKey):
			list, err = nil, errors.Join(err, keyErr)
		case keyErr != nil:
			return fmt.Errorf("read the erasures' key: %w", keyErr)
		}
	}
	all := make(map[Digest]*tombstone, len(list))
	for _, t := range list {
		all[t.Digest] = t
	}
	if err != nil {
		aside := r.file.path + time.Now().UTC().Format(".damaged-20060102T150405Z")
		if err := os.Rename(r.file.path, aside); err != nil {
			return fmt.Errorf("set damaged erasures aside: %w", err)
		}
		if err := r.file.replace(all); err != nil {
			return fmt.Errorf("write the erasures: %w", errors.Join(err, os.Rename(aside, r.file.path)))
		}
		r.log.Error("the list of erasures is damaged; repeat the erasures of the last days", "set_aside", aside, "error", err)
	}
	r.setLocked(all)
	r.loaded.Store(true)
	return nil
}

// setLocked puts other tombstones in place of those at present.
func (r *Register) setLocked(all map[Digest]*tombstone) {
	r.state.Lock()
	defer r.state.Unlock()
	r.key, r.tombstones, r.places = r.digests.key, all, 0
	clear(r.reach)
	for _, t := range all {
		r.places += len(t.Upto)
		r.extend(t)
	}
	r.version.Add(1)
}

// extend has reach cover a tombstone.
func (r *Register) extend(t *tombstone) {
next:
	for lane, upto := range t.Upto {
		for i, p := range r.reach[lane] {
			if p.Covers(upto) {
				continue next
			}
			if upto.Covers(p) {
				r.reach[lane][i] = upto
				continue next
			}
		}
		r.reach[lane] = append(r.reach[lane], upto)
	}
}

// Add makes a tombstone durable, for the events of a visitor up to a place in
// each lane. An earlier one of the same ID goes; one that says the same stays. All
// tombstones together may have so many places; 0 stands for any number. Errors:
// ErrFull, and those of the disk.
func (r *Register) Add(s Subject, upto map[string]queue.Position, maxPlaces int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.loadLocked(); err != nil {
		return err
	}
	kind, id := s.kindAndID()
	d, err := r.digests.of(kind, id)
	if err != nil || len(upto) == 0 {
		return err
	}
	t := &tombstone{Time: time.Now().UTC(), Kind: kind, Digest: d, Upto: upto}
	places := r.places + len(upto)
	if before := r.tombstones[d]; before != nil {
		// A lane that the log does not know any more can come back with a crash.
		t.Upto = maps.Clone(before.Upto)
		maps.Copy(t.Upto, upto)
		if maps.Equal(t.Upto, before.Upto) {
			return nil
		}
		places = r.places + len(t.Upto) - len(before.Upto)
	}
	if maxPlaces > 0 && places > maxPlaces {
		return ErrFull
	}
	return r.writeLocked(t)
}

// Version is another one after each change by which an event may be covered that
// was not covered before.
func (r *Register) Version() uint64 { return r.version.Load() }

// Empty reports whether there are no tombstones, or Load has not succeeded yet.
func (r *Register) Empty() bool {
	r.state.RLock()
	defer r.state.RUnlock()
	return len(r.tombstones) == 0
}

// Cover reports whether an event at a place in a lane was erased. IDs returns
// the event's anonymousId and userId; it is called only where a tombstone may
// cover the place.
func (r *Register) Cover(lane string, at queue.Position, ids func() (anonymousID, userID string)) bool {
	r.state.RLock()
	defer r.state.RUnlock()
	for _, p := range r.reach[lane] {
		if p.Covers(at) {
			anonymousID, userID := ids()
			return r.covers(byAnonymousID, anonymousID, lane, at) || r.covers(byUserID, userID, lane, at)
		}
	}
	return false
}

func (r *Register) covers(kind, id, lane string, at queue.Position) bool {
	if id == "" {
		return false
	}
	t := r.tombstones[sum(r.key, kind, id)]
	if t == nil {
		return false
	}
	upto, ok := t.Upto[lane]
	return ok && upto.Covers(at)
}

// Retire drops the tombstones that have nothing older left to cover, now and
// then. A cursor reaches the disk a moment after it has moved, and a crash sets
// it back: so they go when the cursors were past them the time before as well.
// Cursor returns that of a lane; a lane that the log does not know has nothing
// left. Errors are left to the next time.
func (r *Register) Retire(cursor func(lane string) (at queue.Position, known bool)) {
	if r.Empty() || !r.mu.TryLock() {
		return
	}
	defer r.mu.Unlock()
	now := time.Now()
	if now.Sub(r.retired) < retireEvery {
		return
	}
	r.retired = now
	left := make(map[Digest]*tombstone)
	for d, t := range r.tombstones {
		before := t.passed
		t.passed = t.behind(cursor)
		if !before || !t.passed {
			left[d] = t
		}
	}
	if len(left) == len(r.tombstones) {
		return
	}
	if err := r.file.replace(left); err != nil {
		r.log.Warn("a finished erasure cannot be removed from the list", "error", err)
		return
	}
	r.setLocked(left)
}

// behind reports whether all cursors are past a tombstone.
func (t *tombstone) behind(cursor func(lane string) (at queue.Position, known bool)) bool {
	for lane, upto := range t.Upto {
		if at, known := cursor(lane); known && !at.Covers(upto) && upto.Covers(at) {
			return false
		}
	}
	return true
}
