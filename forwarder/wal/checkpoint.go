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
	next := l.w.ledgerAt
	if !l.w.groupAt.IsZero() && (next.IsZero() || l.w.groupAt.Before(next)) {
		next = l.w.groupAt
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
	s := state{nextGen: l.nextGen}
	for id, ln := range l.byID {
		s.lanes = append(s.lanes, laneState{id, ln.name, ln.acked, ln.synced, ln.last})
	}
	for _, g := range l.gens {
		gs := genState{n: g.n, born: g.born.Unix(), ranges: make(map[uint16]span, len(g.ranges))}
		for id, r := range g.ranges {
			gs.ranges[id] = r
		}
		s.gens = append(s.gens, gs)
	}
	l.mu.Unlock()
	return l.ledger.write(&s, sync)
}
