package erasure

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/internal/fsx"
)

// retireEvery bounds how often Retire looks whether tombstones have done their part.
const retireEvery = time.Minute

// tombstone says that a visitor's events up to a place in each lane must not be
// sent.
type tombstone struct {
	Time   time.Time                 `json:"time"`
	Kind   string                    `json:"kind"`
	Digest string                    `json:"digest"`
	Upto   map[string]queue.Position `json:"upto"` // by lane

	passed bool // all cursors were past it when Retire looked last
}

// Tombstones is a list that does not change.
type Tombstones struct {
	digests digests
	list    []tombstone
}

// Register is the tombstones of a data directory and its audit file. Its methods
// may be called by any number of goroutines.
type Register struct {
	dir string
	log *slog.Logger

	now atomic.Pointer[Tombstones] // nil until Load has succeeded

	mu      sync.Mutex
	digests digests
	retired time.Time // when Retire looked last
}

// New returns the register of a data directory. It does no I/O.
func New(dir string, log *slog.Logger) *Register {
	return &Register{dir: dir, log: log, digests: digests{dir: dir}}
}

// Load reads the tombstones that earlier processes left, once. No event may be
// sent before it has returned nil. A damaged file is set aside and reported: its
// erasures have to be repeated.
func (r *Register) Load() error {
	if r.now.Load() != nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.loadLocked()
}

func (r *Register) loadLocked() error {
	if r.now.Load() != nil {
		return nil
	}
	path := filepath.Join(r.dir, tombstoneFile)
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the erasures: %w", err)
	}
	var list []tombstone
	if err == nil {
		err = json.Unmarshal(text, &list)
		if err == nil && len(list) > 0 {
			err = r.digests.load()
			if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errKey) {
				return fmt.Errorf("read the erasures' key: %w", err)
			}
		}
		if err != nil {
			aside := path + time.Now().UTC().Format(".damaged-20060102T150405Z")
			if err := os.Rename(path, aside); err != nil {
				return fmt.Errorf("set damaged erasures aside: %w", err)
			}
			r.log.Error("the list of erasures is damaged: repeat those of the last days", "set_aside", aside, "error", err)
			list = nil
		}
	}
	r.now.Store(&Tombstones{r.digests, list})
	return nil
}

// Add makes a tombstone durable, for the events of a visitor up to a place in
// each lane.
func (r *Register) Add(s Subject, upto map[string]queue.Position) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.loadLocked(); err != nil {
		return err
	}
	kind, id := s.kindAndID()
	digest, err := r.digests.of(kind, id)
	if err != nil || len(upto) == 0 {
		return err
	}
	return r.storeLocked(append(slices.Clone(r.now.Load().list), tombstone{Time: time.Now().UTC(), Kind: kind, Digest: digest, Upto: upto}))
}

// storeLocked replaces the list on disk and then in memory.
func (r *Register) storeLocked(list []tombstone) error {
	text, err := json.Marshal(list)
	if err == nil {
		err = fsx.ReplaceFile(filepath.Join(r.dir, tombstoneFile), text)
	}
	if err != nil {
		return fmt.Errorf("write the erasures: %w", err)
	}
	r.now.Store(&Tombstones{r.digests, list})
	return nil
}

// Now returns the tombstones at present; nil until Load has succeeded. It is
// another one after each change.
func (r *Register) Now() *Tombstones { return r.now.Load() }

// Empty reports whether there are no tombstones. A nil list is empty.
func (t *Tombstones) Empty() bool { return t == nil || len(t.list) == 0 }

// Cover reports whether an event at a place in a lane was erased. IDs returns
// the event's anonymousId and userId; it is called only where a tombstone may
// cover the place.
func (t *Tombstones) Cover(lane string, at queue.Position, ids func() (anonymousID, userID string)) bool {
	if t.Empty() {
		return false
	}
	var anonymousID, userID string
	for i := range t.list {
		s := &t.list[i]
		if upto, ok := s.Upto[lane]; !ok || !upto.Covers(at) {
			continue
		}
		if anonymousID == "" && userID == "" {
			a, u := ids()
			anonymousID, userID = t.digests.sum(byAnonymousID, a), t.digests.sum(byUserID, u)
		}
		if s.Kind == byUserID && s.Digest == userID || s.Kind == byAnonymousID && s.Digest == anonymousID {
			return true
		}
	}
	return false
}

// Retire drops the tombstones that have nothing older left to cover, now and
// then. A cursor reaches the disk a moment after it has moved, and a crash sets
// it back: so they go when the cursors were past them the time before as well.
// Cursor returns that of a lane; a lane that the log does not know has nothing
// left. Errors are left to the next time.
func (r *Register) Retire(cursor func(lane string) (at queue.Position, known bool)) {
	if r.Now().Empty() || !r.mu.TryLock() {
		return
	}
	defer r.mu.Unlock()
	now := time.Now()
	if now.Sub(r.retired) < retireEvery {
		return
	}
	r.retired = now
	before := r.now.Load().list
	var list []tombstone
	for _, t := range before {
		passed := true
		for lane, upto := range t.Upto {
			at, known := cursor(lane)
			passed = passed && (!known || at.Covers(upto) || !upto.Covers(at))
		}
		if passed && t.passed {
			continue
		}
		t.passed = passed
		list = append(list, t)
	}
	if len(list) == len(before) {
		r.now.Store(&Tombstones{r.digests, list})
		return
	}
	if err := r.storeLocked(list); err != nil {
		r.log.Warn("an erasure that is done cannot be taken off the list", "error", err)
	}
}
