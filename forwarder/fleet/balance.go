package fleet

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"
)

// balance takes lanes that nobody owns, up to this node's fair share, and gives back
// what it has more. The share is that of each destination, among the nodes that
// serve it.
func (f *Fleet) balance() {
	session := f.session.current()
	f.mu.Lock()
	defer f.mu.Unlock()
	if session == "" || !f.synced || f.closing {
		return
	}
	mine := make(map[string][]string, len(f.serving)) // by destination
	for lane, o := range f.lanes {
		if !o.leaving {
			destination, _, _ := strings.Cut(lane, "/")
			mine[destination] = append(mine[destination], lane)
		}
	}
	for _, destination := range f.serving {
		f.balanceLocked(destination, mine[destination], session)
		delete(mine, destination)
	}
	for _, lanes := range mine { // destinations that are not served any more
		for _, lane := range lanes {
			f.releaseLocked(f.lanes[lane])
		}
	}
}

// balanceLocked does that for one destination, of which this node has some lanes.
func (f *Fleet) balanceLocked(destination string, mine []string, session string) {
	var free []string
	over := make(map[string]uint64) // the revisions of their leases
	left := make(map[string]uint64) // of this node's, from a try that failed
	busy := 0                       // lanes that this node has, takes or gives back
	for n := range lanes {
		lane := destination + "/" + strconv.Itoa(n)
		if f.lanes[lane] != nil {
			busy++
			continue
		}
		if l, live := f.view.holder(lane); !live || l.value.Session == session {
			free = append(free, lane)
			over[lane] = l.revision
			if live {
				left[lane] = l.revision
			}
		}
	}
	nodes := max(f.view.serving(destination, f.o.Node), 1)
	share := (lanes + nodes - 1) / nodes
	n := max(min(share-busy, len(free)), 0)
	f.rank(free)
	for _, lane := range free[:n] {
		f.acquireLocked(lane, session, over[lane])
	}
	for _, lane := range free[n:] {
		if revision := left[lane]; revision != 0 {
			f.work.Go(func() { f.unlease(lane, revision) })
		}
	}
	if n := len(mine) - share; n > 0 {
		f.rank(mine)
		for _, lane := range mine[len(mine)-n:] {
			f.releaseLocked(f.lanes[lane])
		}
	}
}

// unlease lets other nodes have a lane.
func (f *Fleet) unlease(lane string, revision uint64) {
	ctx, cancel := context.WithTimeout(f.ctx, requestWait)
	defer cancel()
	_ = f.b.Delete(ctx, laneKey(leasePrefix, lane), revision) // balance tries again
}

// rank sorts lanes so that each node has an order of its own, and nodes seldom try
// to take the same one.
func (f *Fleet) rank(lanes []string) {
	score := func(lane string) uint64 {
		h := fnv.New64a()
		h.Write([]byte(f.o.Node + "\x00" + lane))
		return h.Sum64()
	}
	slices.SortFunc(lanes, func(a, b string) int { return cmp.Compare(score(a), score(b)) })
}

// acquireLocked begins to take a lane, over the lease of a revision that does not
// count: 0 when there is none.
func (f *Fleet) acquireLocked(lane, session string, over uint64) {
	o := newOwned(f, lane)
	f.lanes[lane] = o
	f.work.Go(func() {
		if err := f.acquire(o, session, over); err != nil {
			if !errors.Is(err, errConflict) && !errors.Is(err, errTakenOver) && f.ctx.Err() == nil {
				f.troubles.note(f, "lanes", lane, err)
				wait(f.ctx, f.o.Lease/10)
			} else {
				wait(f.ctx, conflictWait) // until the view knows who has it
			}
			o.stop()
			f.forget(o)
			return
		}
		f.troubles.note(f, "lanes", lane, nil)
	})
}

// conflictWait is how long a lane is left alone that another node has just taken.
const conflictWait = 20 * time.Millisecond

func (f *Fleet) acquire(o *owned, session string, over uint64) error {
	ctx, cancel := context.WithTimeout(o.ctx, requestWait)
	defer cancel()
	text, err := json.Marshal(leaseValue{f.o.Node, session})
	if err != nil {
		return err
	}
	if o.lease, err = f.b.Put(ctx, laneKey(leasePrefix, o.lane), text, over, 0); err != nil {
		return err // if it was done, balance sees a lease of this node that is left
	}
	o.cursor.owner = session
	for {
		err = o.cursor.take(ctx)
		if !errors.Is(err, errTakenOver) && !errors.Is(err, errConflict) {
			break // else its owner before has moved it meanwhile
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.session.current() != session || f.closing || o.ctx.Err() != nil {
		return errTakenOver
	}
	o.begin()
	o.running = true
	f.delivery.Own(o.lane, o)
	f.toldLocked(o.lane)
	return nil
}

// release gives a lane back in order: what is under way comes to its end, and the
// cursor is written.
func (f *Fleet) releaseLocked(o *owned) {
	if o.leaving || !o.running {
		return
	}
	o.leaving = true
	idle := f.delivery.Disown(o.lane)
	f.work.Go(func() {
		select {
		case <-idle:
		case <-f.ctx.Done():
		}
		ctx, cancel := context.WithTimeout(f.ctx, requestWait)
		defer cancel()
		err := o.save(ctx)
		for err != nil && !errors.Is(err, errTakenOver) && !errors.Is(err, errRolledBack) && wait(ctx, requestWait/100) {
			err = o.save(ctx)
		}
		o.fence()
		<-o.gone
		if err == nil {
			// After this, another node begins behind the cursor.
			_ = f.b.Delete(ctx, laneKey(leasePrefix, o.lane), o.lease)
		}
		f.forget(o)
	})
}

// lose gives a lane up that may be another node's already: what is under way is
// left to itself, and does not count any more. Why is nil when that was told.
func (f *Fleet) lose(o *owned, why error) {
	o.fence()
	f.mu.Lock()
	defer f.mu.Unlock()
	if o.leaving || f.lanes[o.lane] != o {
		return
	}
	if why != nil {
		f.log.Warn("this node has lost a lane", "lane", o.lane, "reason", why)
	}
	o.leaving = true
	if !o.running {
		return // acquire sees to it
	}
	idle := f.delivery.Disown(o.lane)
	f.work.Go(func() {
		select {
		case <-idle: // this node does not begin with the lane again before
		case <-f.ctx.Done():
		}
		<-o.gone
		f.forget(o)
	})
}

// leased gives a lane up that was this node's and has another one's lease now.
func (f *Fleet) leased(e entry) {
	if e.revision == 0 || !strings.HasPrefix(e.key, leasePrefix) {
		return
	}
	f.mu.Lock()
	o := f.lanes[laneOfKey(leasePrefix, e.key)]
	mine := o == nil || !o.running || e.revision <= o.lease
	f.mu.Unlock()
	if !mine {
		f.lose(o, errTakenOver)
	}
}

// forget takes a lane off the list of those that are this node's.
func (f *Fleet) forget(o *owned) {
	f.mu.Lock()
	if f.lanes[o.lane] == o {
		delete(f.lanes, o.lane)
	}
	f.mu.Unlock()
	nudge(f.poke)
}
