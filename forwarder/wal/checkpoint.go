package wal

import (
	"time"
)

// keepLedger writes the ledger when it is due and says when something is next.
func (l *Log) keepLedger(now time.Time) time.Duration {
	if l.acksDirty.Load() && l.w.ledgerAt.IsZero() {
		l.w.ledgerAt = now.Add(ackDelay)
	}
	if !l.w.ledgerAt.IsZero() && !now.Before(l.w.ledgerAt) {
		l.w.ledgerAt = time.Time{}
		l.acksDirty.Store(false)
		if err := l.saveLedger(true); err != nil {
			l.log.Warn("the queue's ledger cannot be written", "error", err)
		}
	}
	var next time.Time
	for _, at := range []time.Time{l.w.ledgerAt, l.w.groupAt, l.w.syncAt} {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if next.IsZero() {
		return forever
	}
	return max(next.Sub(now), 0)
}

// saveLedger writes what the log knows, durably if sync.
func (l *Log) saveLedger(sync bool) error {
	l.ledger.mu.Lock()
	defer l.ledger.mu.Unlock()
	l.mu.Lock()
	s := state{nextGen: l.nextGen, loose: l.opt.Sync != SyncGroup && !l.w.ended}
	for id, ln := range l.byID {
		synced := ln.acked
		for _, g := range l.gens {
			if r, ok := g.ranges[id]; ok {
				if r, ok = g.vouchedLocked(id, r); ok {
					synced = max(synced, r.last)
				}
			}
		}
		s.lanes = append(s.lanes, laneState{id, ln.name, ln.acked, synced, ln.last})
	}
	for _, g := range l.gens {
		gs := genState{n: g.n, born: l.wall().Add(-l.now().Sub(g.born)).Unix(), ranges: make(map[uint16]span, len(g.ranges))}
		for id, r := range g.ranges {
			if r, ok := g.vouchedLocked(id, r); ok {
				gs.ranges[id] = r
			}
		}
		s.gens = append(s.gens, gs)
	}
	l.mu.Unlock()
	return l.ledger.write(&s, sync)
}
