package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/erasure"
	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/internal/fsx"
)

// eraseValue is what the key of an erasure says; the key itself has the digest of
// the visitor's ID. It stays for as long as events wait that were captured before.
type eraseValue struct {
	Kind string            `json:"kind"`           // of the ID
	Lane string            `json:"lane,omitempty"` // the number of the visitor's lane; empty: any
	At   time.Time         `json:"at"`
	Upto map[string]uint64 `json:"upto,omitempty"` // sequences, by lane; empty until all nodes have applied it
}

// streamLane is what a lane's stream is called in tombstones, beside the lane of the
// same name in the node's log.
func streamLane(lane string) string { return "fleet:" + lane }

// erasures are the visitors that were erased from the whole fleet. Each node applies
// them to its own log before it hands anything over, and to the lanes that it owns.
type erasures struct {
	register *erasure.Register
	dir      string
	applied  chan struct{} // cap 1: the session is to be renewed at once

	turn     turn       // held while they are applied
	state    sync.Mutex // guards what follows
	noted    []entry    // to be applied, in order
	all      map[erasure.Digest]bool
	told     bool   // all is complete
	retained bool   // those that are not in all were dropped
	seen     uint64 // the highest revision that this watch has told
	watch    uint64 // counts them
}

// appliedFile remembers up to where erasures were applied to the node's log, so that
// a restart does not apply them to what was captured since.
const appliedFile = "applied.json"

type appliedValue struct {
	Revision uint64    `json:"revision"`
	At       time.Time `json:"at"`
}

// has reports whether an erasure was applied before. The broker may have lost
// revisions and give them out again, so the time counts as well.
func (a appliedValue) has(e entry, v eraseValue) bool {
	return e.revision <= a.Revision && !v.At.After(a.At)
}

// begin says that all erasures are told anew.
func (s *erasures) begin() {
	s.state.Lock()
	defer s.state.Unlock()
	s.noted, s.all, s.told, s.retained, s.seen = nil, make(map[erasure.Digest]bool), false, false, 0
	s.watch++
}

// toldAll says that all have been told.
func (s *erasures) toldAll() {
	s.state.Lock()
	defer s.state.Unlock()
	s.told = true
}

// note takes an erasure in, to be applied.
func (s *erasures) note(e entry) {
	s.state.Lock()
	defer s.state.Unlock()
	var d erasure.Digest
	if d.UnmarshalText([]byte(e.key[len(erasePrefix):])) != nil {
		return
	}
	if e.revision == 0 {
		delete(s.all, d)
	} else {
		s.all[d] = true
	}
	s.noted = append(s.noted, e)
	s.seen = max(s.seen, e.revision)
}

func (s *erasures) cover(lane string, at queue.Position, ids func() (anonymousID, userID string)) bool {
	return s.register.Cover(lane, at, ids)
}

// applyErasures applies what was noted. It returns false when that has to be done
// again.
func (f *Fleet) applyErasures() bool {
	s := f.erased
	s.turn.take()
	defer s.turn.give()
	failures := newBackoff()
	for f.ctx.Err() == nil {
		s.state.Lock()
		noted, seen, watch := s.noted, s.seen, s.watch
		var all map[erasure.Digest]bool // nil: nothing is dropped
		if s.told && !s.retained {
			all = maps.Clone(s.all)
		}
		s.noted = nil
		s.state.Unlock()
		err := f.apply(watch, noted, all)
		f.trouble("erase", err)
		if err == nil {
			f.work.Go(func() { f.reportApplied(watch, seen) })
			return true
		}
		s.state.Lock()
		s.noted = append(noted, s.noted...)
		s.state.Unlock()
		wait(f.ctx, failures.NextBackOff())
	}
	return false
}

// reportApplied says that erasures up to a revision are applied, once nothing is on its way to
// the broker any more that was read before.
func (f *Fleet) reportApplied(watch, seen uint64) {
	for _, m := range f.allMovers() {
		m.handing.take()
		m.handing.give()
		for m.unsure.Load() && wait(f.ctx, 20*time.Millisecond) {
			m.wake()
		}
	}
	f.dead.awaitAdds()
	f.erased.state.Lock()
	defer f.erased.state.Unlock()
	if f.erased.watch == watch && f.session.apply(seen) {
		nudge(f.erased.applied)
	}
}

// apply applies erasures, and drops the tombstones of those that are not among all.
func (f *Fleet) apply(watch uint64, noted []entry, all map[erasure.Digest]bool) error {
	s := f.erased
	if err := errors.Join(f.local.LoadErasures(), s.register.Load()); err != nil {
		return err
	}
	path := filepath.Join(s.dir, appliedFile)
	var before appliedValue
	if text, err := os.ReadFile(path); err == nil {
		_ = json.Unmarshal(text, &before) // applied again at worst
	}
	now := before
	var fresh []erasure.Tombstone // of what is in the node's log
	add := make([]erasure.Tombstone, 0, len(noted))
	gone := make(map[erasure.Digest]bool)
	for _, e := range noted {
		var d erasure.Digest
		var v eraseValue
		if d.UnmarshalText([]byte(e.key[len(erasePrefix):])) != nil {
			continue
		}
		if e.revision == 0 {
			gone[d] = true
			continue
		}
		delete(gone, d)
		if err := json.Unmarshal(e.value, &v); err != nil {
			f.log.Error("an erasure of the fleet cannot be read, and is not applied: repeat it", "key", e.key, "error", err)
			continue
		}
		t := erasure.Tombstone{Kind: v.Kind, Digest: d, Upto: make(map[string]queue.Position)}
		for lane, sequence := range v.Upto {
			t.Upto[streamLane(lane)] = at(sequence)
		}
		if !before.has(e, v) || !s.register.Has(d) {
			t.Lane = v.Lane
			fresh = append(fresh, t)
		}
		add = append(add, t)
		now.Revision = max(now.Revision, e.revision)
		if v.At.After(now.At) {
			now.At = v.At
		}
	}
	if len(fresh) > 0 {
		local, err := f.local.Erase(f.ctx, s.register.Any(fresh))
		if err != nil {
			return err
		}
		for _, t := range fresh {
			for lane, upto := range local {
				if t.Lane == "" || strings.HasSuffix(lane, "/"+t.Lane) {
					t.Upto[lane] = upto // t shares its map with the one in add
				}
			}
		}
	}
	if err := s.register.AddShared(add); err != nil {
		return err
	}
	if all != nil || len(gone) > 0 {
		err := s.register.Retain(f.o.MaxAge, func(d erasure.Digest) bool { return !gone[d] && (all == nil || all[d]) })
		if err != nil {
			return err
		}
		s.state.Lock()
		s.retained = s.retained || all != nil && s.told && s.watch == watch
		s.state.Unlock()
	}
	if now != before {
		text, err := json.Marshal(now)
		if err != nil {
			return err
		}
		if err := fsx.ReplaceFile(path, text); err != nil {
			return err
		}
	}
	return nil
}

// ErrApart: the broker is out of reach, so that nothing can be asked of the fleet.
var ErrApart = errors.New("the fleet's broker cannot be reached")

// eraseWait bounds how long Erase waits for the other nodes.
const eraseWait = 15 * time.Second

// Erase has the events of a visitor not sent any more by any node: what nodes have
// in their logs, what streams hold, and what is about to be sent. It removes the
// visitor's dead letters, and returns how many. A node that is away applies it when it
// is back, before it hands anything over. Destinations are those whose streams are
// looked into. Errors: ErrApart, deadletter.ErrEncrypted, and those of the broker; then
// some of the events may be left, and Erase should be called again.
func (f *Fleet) Erase(ctx context.Context, who erasure.Subject, destinations []string) (letters int, err error) {
	f.mu.Lock()
	synced := f.synced
	f.mu.Unlock()
	if !synced || f.session.current() == "" {
		return 0, ErrApart
	}
	destinations = f.view.destinations(destinations)
	if err := f.eraseEvents(ctx, who, destinations); err != nil {
		return 0, fmt.Errorf("erase in the fleet: %w", err)
	}
	if letters, err = f.dead.erase(ctx, who, destinations); err != nil {
		return letters, fmt.Errorf("erase in the fleet: %w", err)
	}
	return letters, nil
}

// eraseEvents returns when all nodes know of the erasure.
func (f *Fleet) eraseEvents(ctx context.Context, who erasure.Subject, destinations []string) error {
	ctx, cancel := context.WithTimeout(ctx, eraseWait)
	defer cancel()
	kind, d := f.erased.register.Digest(who)
	v := eraseValue{Kind: kind, At: time.Now().UTC()}
	if who.AnonymousID != "" {
		v.Lane = strconv.Itoa(event.Lane(who.AnonymousID, "", lanes))
	}
	if err := f.announce(ctx, d, v); err != nil {
		return err
	}
	v.Upto = make(map[string]uint64)
	for _, destination := range destinations {
		for n := range lanes {
			if who.AnonymousID != "" && n != event.Lane(who.AnonymousID, "", lanes) {
				continue
			}
			lane := destination + "/" + strconv.Itoa(n)
			if who.AnonymousID != "" {
				if err := f.b.Erase(ctx, lane, visitor(f.secret(), who.AnonymousID, "")); err != nil {
					return err
				}
			}
			s, err := f.b.State(ctx, lane)
			if err != nil {
				return err
			}
			v.Upto[lane] = s.last
		}
	}
	return f.announce(ctx, d, v)
}

// announce writes an erasure's key, and waits until all nodes have applied it.
func (f *Fleet) announce(ctx context.Context, d erasure.Digest, v eraseValue) error {
	hex, err := d.MarshalText()
	if err != nil {
		return err
	}
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	key := erasePrefix + string(hex)
	var revision uint64
	for revision == 0 {
		e, err := f.b.Get(ctx, key)
		if err != nil {
			return err
		}
		revision, err = f.b.Put(ctx, key, text, e.revision, f.o.MaxAge+ageReserve)
		if err != nil && !errors.Is(err, errConflict) && !errors.Is(err, errUnknown) || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
	}
	for !f.view.applied(revision) {
		if !wait(ctx, 10*time.Millisecond) {
			return fmt.Errorf("not all nodes have answered: %w", ctx.Err())
		}
	}
	return nil
}

// Erasures are the tombstones of lanes that are delivered.
type Erasures struct{ register *erasure.Register }

// Erasures returns those of the fleet.
func (f *Fleet) Erasures() Erasures { return Erasures{f.erased.register} }

// Load implements what delivery asks of erasures.
func (e Erasures) Load() error { return e.register.Load() }

// Version is explained at erasure.Register.
func (e Erasures) Version() uint64 { return e.register.Version() }

// Cover reports whether an event at a place in a lane's stream was erased.
func (e Erasures) Cover(lane string, at queue.Position, ids func() (anonymousID, userID string)) bool {
	return e.register.Cover(streamLane(lane), at, ids)
}

func (f *Fleet) allMovers() []*mover {
	f.moving.Lock()
	defer f.moving.Unlock()
	return slices.Collect(maps.Values(f.movers))
}
