package erasure

import (
	"fmt"
	"maps"
	"os"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// Share has the register's digests made with a key that several nodes share, in
// place of one of the directory's own. Such a register is told digests, and not
// IDs; Add and Audit are not for it.
func (r *Register) Share(key []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.Lock()
	defer r.state.Unlock()
	r.digests.key, r.key = key, key
}

// Digest returns what stands for a visitor's ID in a shared register.
func (r *Register) Digest(s Subject) (kind string, d Digest) {
	kind, id := s.kindAndID()
	r.state.RLock()
	defer r.state.RUnlock()
	return kind, sum(r.key, kind, id)
}

// Tombstone is an erasure as a shared register is told it.
type Tombstone struct {
	Kind   string // of the ID
	Digest Digest
	Lane   string                    // for its user; the register does not look at it
	Upto   map[string]queue.Position // by lane
}

// Any returns a function that reports whether an event with these IDs is about the
// visitor of any of the tombstones.
func (r *Register) Any(list []Tombstone) func(anonymousID, userID string) bool {
	r.state.RLock()
	key := r.key
	r.state.RUnlock()
	wanted := make(map[Digest]bool, len(list))
	for _, t := range list {
		wanted[t.Digest] = true
	}
	return func(anonymousID, userID string) bool {
		return anonymousID != "" && wanted[sum(key, byAnonymousID, anonymousID)] || userID != "" && wanted[sum(key, byUserID, userID)]
	}
}

// Has reports whether there is a tombstone of a digest.
func (r *Register) Has(d Digest) bool {
	r.state.RLock()
	defer r.state.RUnlock()
	return r.tombstones[d] != nil
}

// manyTombstones is how many are written at once, in place of one by one.
const manyTombstones = 16

// AddShared makes tombstones durable in a shared register. Places of an earlier one
// stay where the new one has none for the lane.
func (r *Register) AddShared(list []Tombstone) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.loadLocked(); err != nil {
		return err
	}
	added := make(map[Digest]*tombstone, len(list))
	for _, s := range list {
		t := &tombstone{Time: time.Now().UTC(), Kind: s.Kind, Digest: s.Digest, Upto: maps.Clone(s.Upto)}
		before := r.tombstones[s.Digest]
		if earlier := added[s.Digest]; earlier != nil {
			before = earlier
		}
		if before != nil {
			t.Upto = maps.Clone(before.Upto)
			maps.Copy(t.Upto, s.Upto)
			if maps.Equal(t.Upto, before.Upto) {
				continue
			}
		}
		added[s.Digest] = t
	}
	if len(added) < manyTombstones {
		for _, t := range added {
			if err := r.writeLocked(t); err != nil {
				return err
			}
		}
		return nil
	}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return fmt.Errorf("write the erasures: %w", err)
	}
	all := maps.Clone(r.tombstones)
	maps.Copy(all, added)
	if err := r.file.replace(all); err != nil {
		return fmt.Errorf("write the erasures: %w", err)
	}
	r.setLocked(all)
	return nil
}

// Retain drops the tombstones that are older than an age, but for those that are
// wanted.
func (r *Register) Retain(age time.Duration, wanted func(Digest) bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.loadLocked(); err != nil {
		return err
	}
	left := maps.Clone(r.tombstones)
	maps.DeleteFunc(left, func(d Digest, t *tombstone) bool { return !wanted(d) && time.Since(t.Time) > age })
	if len(left) == len(r.tombstones) {
		return nil
	}
	if err := r.file.replace(left); err != nil {
		return fmt.Errorf("write the erasures: %w", err)
	}
	r.setLocked(left)
	return nil
}

// writeLocked makes a tombstone durable and puts it in place of an earlier one.
func (r *Register) writeLocked(t *tombstone) (err error) {
	places := r.places + len(t.Upto)
	if before := r.tombstones[t.Digest]; before != nil {
		places -= len(before.Upto)
	}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return fmt.Errorf("write the erasures: %w", err)
	}
	if r.file.lines >= 2*len(r.tombstones)+spareLines || !r.file.intact() {
		all := maps.Clone(r.tombstones)
		all[t.Digest] = t
		err = r.file.replace(all)
	} else {
		err = r.file.add(t)
	}
	if err != nil {
		return fmt.Errorf("write the erasures: %w", err)
	}
	r.state.Lock()
	defer r.state.Unlock()
	r.key, r.places, r.tombstones[t.Digest] = r.digests.key, places, t
	r.extend(t)
	r.version.Add(1)
	return nil
}
