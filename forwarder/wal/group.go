package wal

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

const (
	// maxGroup bounds a group's cost in bytes, so that even incompressible
	// records stay below Badger's limit of 15 % of memTableSize (1,258,291).
	// Each record's overhead in the ring covers a pack of its own.
	maxGroup = 1000 << 10
	// maxGroupRecords keeps the number of keys below Badger's limit for one
	// transaction, about 12,000, even when each record needs a pack and a lane.
	maxGroupRecords = 4096
	// laneCost is what a lane's first record adds: its entry in the table of lanes.
	laneCost = 300
	// packApart is the cost in bytes from which a group's lanes are packed by
	// several goroutines.
	packApart = 64 << 10
	// maxPackers bounds these, because the site needs the cores more.
	maxPackers = 2
)

// group is what one transaction commits. Once built, it does not change: when a
// commit fails, the same packs are written again, into another generation, so
// that what the failed one may have left on disk is the same and not more.
type group struct {
	oldest   uint64 // order of its first record
	at       int64  // Unix ms of its first record
	cost     int64  // its part of ring.bytes
	records  uint64
	packs    []pack
	newLanes bool // it has lanes that no ledger on disk knows

	entries []entry // until packs are made; order is the sequence
	next    []int   // chains entries of one lane
	lanes   []*lane // those touched, in order of appearance
	encoded chan struct{}
	err     error // of encoding
}

// pack is one key of the transaction.
type pack struct {
	lane  *lane
	span  span
	at    int64
	value []byte
}

// takeLocked moves a group's worth of records out of the ring, gives them their
// sequences and begins to encode them beside the caller; encoded is closed when
// packs is there. Log.mu must be held, and groups taken before be encoded.
func (l *Log) takeLocked() *group {
	gr := &group{entries: l.w.entries[:0], encoded: make(chan struct{})}
	var size int64
	for len(gr.entries) < maxGroupRecords {
		q := l.ring.next()
		if q == nil {
			break
		}
		e := q.peek()
		cost := e.cost()
		if e.lane.chainHead < 0 {
			cost += laneCost
		}
		if size+cost > maxGroup && size > 0 {
			break
		}
		size += cost
		rec := q.pop()
		if len(gr.entries) == 0 {
			gr.oldest, gr.at = rec.order, rec.at
		}
		gr.cost += rec.cost()
		ln := rec.lane
		if ln.id == 0 {
			ln.id = l.freeIDLocked()
			l.byID[ln.id] = ln
			gr.newLanes = true
		}
		ln.last++
		rec.order = ln.last
		i := len(gr.entries)
		gr.entries = append(gr.entries, rec)
		gr.next = append(gr.next, -1)
		if ln.chainHead < 0 {
			ln.chainHead = i
			gr.lanes = append(gr.lanes, ln)
		} else {
			gr.next[ln.chainTail] = i
		}
		ln.chainTail = i
	}
	gr.records = uint64(len(gr.entries))
	l.ring.taken += gr.cost
	if l.group == nil {
		l.group = gr
	} else {
		l.ahead = gr
	}
	l.w.entries = gr.entries
	go func() {
		defer close(gr.encoded)
		gr.encode(l.w.packers)
		if cap(l.w.entries) > 1024 && gr.records < 256 {
			l.w.entries = nil // the flood is over
			for _, p := range l.w.packers {
				p.frames, p.buf = nil, nil
			}
		}
	}()
	return gr
}

func (l *Log) freeIDLocked() uint16 {
	id := uint16(len(l.byID) + 1)
	for l.byID[id] != nil || id == 0 {
		id++
	}
	return id
}

// encode makes the group's packs: one for each lane, or more where a lane has
// more than fits one. It frees the records. Lanes of a large group are packed
// side by side.
func (gr *group) encode(packers []*packer) {
	if gr.cost < packApart {
		packers = packers[:1]
	}
	made := make([]packed, len(gr.lanes))
	var next atomic.Int64
	work := func(p *packer) {
		for i := next.Add(1) - 1; i < int64(len(made)); i = next.Add(1) - 1 {
			made[i] = gr.encodeLane(p, gr.lanes[i])
		}
	}
	var others sync.WaitGroup
	for _, p := range packers[1:] {
		others.Go(func() { work(p) })
	}
	work(packers[0])
	others.Wait()
	for _, m := range made {
		gr.packs = append(gr.packs, m.packs...)
		gr.err = errors.Join(gr.err, m.err)
	}
	clear(gr.entries)
	gr.entries, gr.next, gr.lanes = nil, nil, nil
}

// packed is what became of one lane's records.
type packed struct {
	packs []pack
	err   error
}

func (gr *group) encodeLane(p *packer, ln *lane) (made packed) {
	p.frames = p.frames[:0]
	h := header{lane: ln.id}
	finish := func() {
		v, err := p.pack(h, p.frames)
		made.err = errors.Join(made.err, err)
		made.packs = append(made.packs, pack{lane: ln, span: span{h.first, h.last()}, at: h.time, value: v})
	}
	for i := ln.chainHead; i >= 0; i = gr.next[i] {
		e := &gr.entries[i]
		if len(p.frames) > 0 && len(p.frames)+len(e.data)+frameMax > maxPackRaw {
			finish()
			p.frames, h.counts = p.frames[:0], [Classes]uint32{}
		}
		if len(p.frames) == 0 {
			h.first, h.time = e.order, e.at
		}
		h.counts[e.class]++
		p.frames = appendFrame(p.frames, e.class, e.data)
	}
	finish()
	ln.chainHead = -1
	return made
}

// commit writes the group in one transaction. After an error it is not known
// whether the group, or a part of it, is on disk.
func (l *Log) commit(g *generation, gr *group) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("badger panicked: %v", p)
		}
	}()
	g.mu.RLock()
	defer g.mu.RUnlock()
	txn := g.db.NewTransaction(true)
	defer txn.Discard()
	for i := range gr.packs {
		p := &gr.packs[i]
		if !g.named[p.lane.id] {
			if err := txn.Set(packKey(0, uint64(p.lane.id)), appendName(nil, p.lane.id, p.lane.name)); err != nil {
				return fmt.Errorf("name a lane: %w", err)
			}
		}
		if err := txn.Set(packKey(p.lane.id, p.span.first), p.value); err != nil {
			return fmt.Errorf("add a pack: %w", err)
		}
	}
	if err := txn.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if l.opt.Sync == SyncGroup {
		if err := l.syncMems(g); err != nil {
			return err
		}
	}
	for i := range gr.packs {
		g.named[gr.packs[i].lane.id] = true
	}
	return nil
}

// committedLocked takes over that gr is committed in g.
func (l *Log) committedLocked(g *generation, gr *group) {
	var size int64
	for i := range gr.packs {
		p := &gr.packs[i]
		ln := p.lane
		r, ok := g.ranges[ln.id]
		if !ok {
			r.first = p.span.first
		}
		r.last = p.span.last
		g.ranges[ln.id] = r
		if l.opt.Sync == SyncGroup {
			g.synced[ln.id] = r.last
		}
		if ln.head == 0 {
			ln.head = p.at
		}
		ln.synced = p.span.last
		size += int64(len(p.value))
	}
	g.bytes.Add(size)
	l.w.unweighed += size
	l.counts.committed += gr.records
	l.ring.bytes -= gr.cost
	l.ring.taken -= gr.cost
	l.group, l.ahead = l.ahead, nil
}
