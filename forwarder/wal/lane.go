package wal

// maxLanes bounds the lanes of one log, so that a ledger always fits its slot.
const maxLanes = 4096

// lane is one ordered sequence of records. Log.mu guards it.
type lane struct {
	name   string
	id     uint16 // 0 until the writer has given it one
	last   uint64 // the highest sequence ever given out
	synced uint64 // the highest sequence that is durable
	acked  uint64 // the cursor: the highest acknowledged sequence
	lost   []span // gone and not yet passed by the cursor; ascending, apart
	head   int64  // Unix ms of about the oldest unacknowledged record; 0 when none
	news   chan struct{}

	// While the writer builds a group, the lane's entries in it as a chain; -1
	// when there is none. Only the writer uses them.
	chainHead, chainTail int
}

// span is a range of sequences, both ends included.
type span struct{ first, last uint64 }

// lane returns the lane of that name, made if need be; nil when it may not be.
// Log.mu must be held.
func (l *Log) lane(name string) *lane {
	if ln := l.lanes[name]; ln != nil {
		return ln
	}
	if name == "" || len(name) > 255 || len(l.lanes) >= maxLanes {
		return nil
	}
	ln := &lane{name: name, news: make(chan struct{}, 1), chainHead: -1}
	l.lanes[name] = ln
	return ln
}

// Wait returns the channel that receives a signal when lane may have something
// new to read. Signals are not counted: read until Read returns nothing. A name
// that cannot be a lane yields a channel that never receives.
func (l *Log) Wait(name string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ln := l.lane(name); ln != nil {
		return ln.news
	}
	return nil
}

// Acked returns the lane's cursor: the highest acknowledged sequence, 0 at first.
// Before the directory has been opened it is 0 as well.
func (l *Log) Acked(name string) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ln := l.lanes[name]; ln != nil {
		return ln.acked
	}
	return 0
}

// Ack acknowledges all records of lane up to seq. It never moves backwards nor
// past what is committed. It is written to disk within a second.
func (l *Log) Ack(name string, seq uint64) {
	l.mu.Lock()
	ln := l.lanes[name]
	if ln == nil || min(seq, ln.synced) <= ln.acked {
		l.mu.Unlock()
		return
	}
	ln.acked = min(seq, ln.synced)
	l.ackedLocked(ln)
	l.mu.Unlock()
}

// ackedLocked follows up a cursor that has moved.
func (l *Log) ackedLocked(ln *lane) {
	ln.passLost()
	if ln.acked >= ln.synced {
		ln.head = 0
	}
	if !l.acksDirty.Swap(true) {
		nudge(l.wake)
	}
	if l.drainedLocked() {
		nudge(l.tidyUp)
	}
	if l.active != nil && l.active.bytes.Load() >= l.drainedBytes() && l.idleLocked() {
		nudge(l.wake)
	}
}

// idleLocked reports whether nothing committed awaits an acknowledgement.
func (l *Log) idleLocked() bool {
	for _, ln := range l.lanes {
		if ln.acked < ln.synced {
			return false
		}
	}
	return true
}

// lose records that s cannot be delivered and counts what was not known before.
// Log.mu must be held.
func (l *Log) lose(ln *lane, s span, cause LossCause) {
	n := ln.addLost(s)
	if n == 0 {
		return
	}
	l.counts.addLost(cause, n)
	l.log.Error("records of the queue are lost", "lane", ln.name, "cause", string(cause),
		"records", n, "first", s.first, "last", s.last)
	if before := ln.acked; ln.passLost() != before {
		l.ackedLocked(ln)
	}
}

// addLost merges s into the lost ranges and returns how many sequences of it
// were neither lost nor acknowledged before.
func (ln *lane) addLost(s span) uint64 {
	s.first = max(s.first, ln.acked+1)
	if s.first > s.last {
		return 0
	}
	n := s.last - s.first + 1
	merged := make([]span, 0, len(ln.lost)+1)
	for i, o := range ln.lost {
		if o.last+1 < s.first {
			merged = append(merged, o)
			continue
		}
		if s.last+1 < o.first {
			merged = append(merged, s)
			ln.lost = append(merged, ln.lost[i:]...)
			return n
		}
		if lo, hi := max(o.first, s.first), min(o.last, s.last); lo <= hi {
			n -= hi - lo + 1
		}
		s = span{min(s.first, o.first), max(s.last, o.last)}
	}
	ln.lost = append(merged, s)
	return n
}

// without returns the parts of s that are neither lost nor acknowledged.
func (ln *lane) without(s span) (parts []span) {
	s.first = max(s.first, ln.acked+1)
	for _, o := range ln.lost {
		if o.last < s.first || o.first > s.last {
			continue
		}
		if o.first > s.first {
			parts = append(parts, span{s.first, o.first - 1})
		}
		s.first = o.last + 1
	}
	if s.first <= s.last {
		parts = append(parts, s)
	}
	return parts
}

// passLost moves the cursor over lost ranges that follow it and returns it.
func (ln *lane) passLost() uint64 {
	for len(ln.lost) > 0 && ln.lost[0].first <= ln.acked+1 {
		ln.acked = max(ln.acked, ln.lost[0].last)
		ln.lost = ln.lost[1:]
	}
	return ln.acked
}

// skipLost returns the position from which a read after seq really begins.
func (ln *lane) skipLost(seq uint64) uint64 {
	for _, s := range ln.lost {
		if s.first <= seq+1 && seq < s.last {
			seq = s.last
		}
	}
	return seq
}

// backlog counts the lane's records that are committed, readable as far as is
// known, and not acknowledged.
func (ln *lane) backlog() uint64 {
	n := ln.synced - ln.acked
	for _, s := range ln.lost {
		n -= s.last - s.first + 1
	}
	return n
}
