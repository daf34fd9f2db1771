package wal

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// The cap on bytes counts allocated blocks of the whole directory, quarantine
// included, in sixteenths of MaxBytes. Records of packs on disk cannot be given
// up one by one, so what comes in is refused by class well before the cap, and
// only when that does not help, the oldest generation goes as a whole. The last
// sixteenth is for what Badger writes until the directory is weighed again.
const (
	capParts    = 16
	refusePages = 13 // class 0 is refused from here on
	refuseAll   = 14 // so is class 1; class 2 never is
	dropOldest  = 15 // what is oldest goes
	weighParts  = 128
)

// weigh measures the directory when enough was written since last time, and
// does what the cap asks for. The writer calls it.
func (l *Log) weigh() error {
	if !l.weighDue.Load() && l.w.unweighed < l.opt.MaxBytes/weighParts {
		return nil
	}
	l.weighDue.Store(false)
	l.w.unweighed = 0
	for {
		used := l.usage(l.opt.Dir)
		part := l.opt.MaxBytes / capParts
		var refused uint8
		switch {
		case used >= part*refuseAll:
			refused = 2
		case used >= part*refusePages:
			refused = 1
		}
		l.mu.Lock()
		before := l.refused
		l.refused = refused
		l.mu.Unlock()
		if refused != before {
			l.log.Warn("the queue's size has changed what it takes", "bytes", used, "max_bytes", l.opt.MaxBytes, "refused_classes", refused)
		}
		if used < part*dropOldest {
			return nil
		}
		if more, err := l.dropOne(); err != nil || !more {
			return err
		}
	}
}

// dropOne removes what is oldest: quarantined generations first, for their
// records are counted as lost already. False says that nothing is left.
func (l *Log) dropOne() (bool, error) {
	if old := quarantines(l.opt.Dir); len(old) > 0 {
		l.log.Error("a quarantined generation goes, for the queue is at its cap", "dir", old[0])
		if err := os.RemoveAll(filepath.Join(l.opt.Dir, old[0])); err != nil {
			return false, fmt.Errorf("remove a quarantined generation: %w", err)
		}
		l.mu.Lock()
		l.counts.quarantined = len(old) - 1
		l.mu.Unlock()
		return true, nil
	}
	l.mu.Lock()
	var g *generation
	if len(l.gens) > 0 {
		g = l.gens[0]
	}
	only := g == l.active
	l.mu.Unlock()
	if g == nil || only && g.bytes.Load() == 0 {
		return false, nil
	}
	if only {
		if err := l.createGeneration(); err != nil {
			return false, err
		}
	}
	if err := l.expel(g, LostCapBytes, nil); err != nil {
		return false, err
	}
	return true, l.removeGeneration(g)
}

// quarantines returns the names of the quarantined generations, oldest first.
func quarantines(dir string) (names []string) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, f := range files {
		if strings.HasPrefix(f.Name(), quarantinePrefix) {
			names = append(names, f.Name())
		}
	}
	slices.Sort(names)
	return names
}

// expire drops what is older than MaxAge and says how long that is all.
//
// Age is running time as far as the process has seen it, so that a clock that
// is set does not expire anything: a generation's age comes from the monotonic
// clock, and a pack's place in it from the clocks' times, at most GenerationAge.
func (l *Log) expire(now time.Time) time.Duration {
	l.mu.Lock()
	gens := slices.Clone(l.gens)
	l.mu.Unlock()
	next := l.opt.MaxAge
	for _, g := range gens {
		if wait := l.opt.MaxAge - now.Sub(g.born); wait >= 0 {
			next = min(next, wait+1)
			continue
		}
		l.mu.Lock()
		idle := l.isDrainedLocked(g) || g.unchecked
		l.mu.Unlock()
		if idle {
			continue
		}
		var soonest time.Duration = l.opt.MaxAge
		born := l.wall().Add(-now.Sub(g.born)).UnixMilli()
		err := l.expel(g, LostExpired, func(h header) bool {
			at := time.Duration(min(max(h.time-born, 0), l.opt.GenerationAge.Milliseconds())) * time.Millisecond
			wait := l.opt.MaxAge - (now.Sub(g.born) - at)
			if wait >= 0 {
				soonest = min(soonest, wait+1)
			}
			return wait < 0
		})
		if err != nil {
			l.log.Warn("a generation's old records cannot be dropped now", "error", err)
			soonest = min(soonest, time.Minute)
		}
		next = min(next, soonest)
	}
	return max(next, time.Second)
}

// expelled is what a lane loses.
type expelled struct {
	lane *lane
	id   uint16
	from uint64
	upTo uint64
}

// expel drops the unacknowledged records of g, lane by lane from its first pack
// for as long as old says so (nil: all of it), and counts them by class. A batch
// that a reader holds at this moment counts as dropped, delivered or not.
func (l *Log) expel(g *generation, cause LossCause, old func(header) bool) error {
	return l.use(g, func() error {
		txn := g.db.NewTransaction(false)
		defer txn.Discard()
		var lanes []expelled
		l.mu.Lock()
		for id, r := range g.ranges {
			if ln := l.byID[id]; ln.acked < r.last {
				lanes = append(lanes, expelled{ln, id, max(ln.acked+1, r.first), r.last})
			}
		}
		l.mu.Unlock()
		slices.SortFunc(lanes, func(a, b expelled) int { return cmp.Compare(a.id, b.id) })
		for _, e := range lanes {
			if old != nil {
				e.upTo = oldEnd(txn, e.id, e.from, l.keys, old)
			}
			l.mu.Lock()
			from := max(e.lane.acked+1, g.ranges[e.id].first)
			gone := e.lane.without(span{from, e.upTo})
			for _, s := range gone {
				e.lane.addLost(s)
			}
			if before := e.lane.acked; e.lane.passLost() != before {
				l.ackedLocked(e.lane)
			}
			l.mu.Unlock()
			for _, s := range gone {
				if err := l.countGone(txn, e.id, s, cause); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// countGone counts the records of s by class, under cause, and those that cannot
// be read as what they are.
func (l *Log) countGone(txn *badger.Txn, id uint16, want span, cause LossCause) error {
	var counts [Classes]uint64
	unread := want.last - want.first + 1
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for c, n := range counts {
			unread -= n
			l.counts.addDropped(uint8(c), cause, n)
		}
		l.counts.addLost(LostMissing, unread)
		l.log.Error("records of the queue are dropped", "cause", string(cause), "lane", id,
			"by_class", counts, "unreadable", unread)
	}()
	it := txn.NewIterator(laneIterator(id, false))
	defer it.Close()
	for seekPack(txn, it, id, want.first); it.Valid(); it.Next() {
		err := it.Item().Value(func(v []byte) error {
			h, err := parseHeader(v)
			if err != nil || h.lane != id || h.last() < want.first {
				return nil
			}
			if h.first >= want.first && h.last() <= want.last {
				for c, n := range h.counts {
					counts[c] += uint64(n)
				}
				return nil
			}
			recs, err := l.dec.unpack(h, v)
			for _, r := range recs {
				if r.Seq >= want.first && r.Seq <= want.last {
					counts[r.Class]++
				}
			}
			return err
		})
		if err != nil && !errors.Is(err, errPack) {
			return err
		}
		if _, first, ok := parseKey(it.Item().Key()); !ok || first > want.last {
			break
		}
	}
	return nil
}

// oldEnd returns the last sequence before a lane's first pack that is not old.
func oldEnd(txn *badger.Txn, id uint16, from uint64, keys *Keyring, old func(header) bool) (end uint64) {
	it := txn.NewIterator(laneIterator(id, false))
	defer it.Close()
	for seekPack(txn, it, id, from); it.Valid(); it.Next() {
		h, err := itemHeader(it.Item(), keys)
		if err != nil {
			continue
		}
		if !old(h) {
			break
		}
		end = h.last()
	}
	return end
}

// dirUsage returns the bytes allocated to dir and what is in it.
func dirUsage(dir string) int64 {
	n := dirBytes(dir)
	files, err := os.ReadDir(dir)
	if err != nil {
		return n
	}
	for _, f := range files {
		if f.IsDir() {
			n += dirBytes(filepath.Join(dir, f.Name()))
		}
	}
	return n
}
