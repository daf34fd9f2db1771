package wal

import (
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// Record is one record as read from a lane.
type Record struct {
	Seq   uint64
	Class uint8
	Data  []byte // the reader's own
}

// Read returns committed records of lane with sequences above after, in order:
// at least one if there is any, and then as many as fit into maxBytes of data,
// but not always all that would. It returns nil when there is none. A lane that
// is acknowledged to its end is answered without touching the disk. Records
// that turn out to be lost are counted and passed over. An error says that the
// records are there but cannot be had now; a signal on Wait follows when the
// state changes.
func (l *Log) Read(name string, after uint64, maxBytes int) ([]Record, error) {
	for {
		l.mu.Lock()
		ln := l.lanes[name]
		if ln == nil || !l.prepared {
			l.mu.Unlock()
			return nil, nil
		}
		if l.closed {
			l.mu.Unlock()
			return nil, ErrClosed
		}
		after = ln.skipLost(after)
		if after >= ln.synced {
			l.mu.Unlock()
			return nil, nil
		}
		g, r := l.locateLocked(ln.id, after)
		if g == nil {
			l.lose(ln, span{after + 1, ln.synced}, LostMissing)
			l.mu.Unlock()
			return nil, nil
		}
		id := ln.id
		l.mu.Unlock()

		res, err := l.readGeneration(g, id, span{max(after+1, r.first), r.last}, maxBytes)
		if errors.Is(err, errDamaged) {
			g.broken.Store(true)
			nudge(l.tidyUp)
			nudge(l.wake)
		}
		if errors.Is(err, errGone) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", genName(g.n), err)
		}
		l.mu.Lock()
		for _, hole := range res.missing {
			l.lose(ln, hole, LostMissing)
		}
		for _, hole := range res.corrupt {
			l.lose(ln, hole, LostCorrupt)
		}
		if len(res.recs) > 0 && after == ln.acked {
			ln.head = res.time
		}
		l.mu.Unlock()
		if len(res.recs) > 0 {
			return res.recs, nil
		}
		after = r.last
	}
}

// errGone says that a generation went while the reader was on its way to it.
var errGone = errors.New("the generation is gone")

// locateLocked returns the generation that holds the sequence that follows
// after, or the next one that there is, and its range.
func (l *Log) locateLocked(id uint16, after uint64) (*generation, span) {
	for _, g := range l.gens {
		if r, ok := g.ranges[id]; ok && r.last > after {
			return g, r
		}
	}
	return nil, span{}
}

// result is what reading a range of a generation gave.
type result struct {
	recs             []Record
	time             int64  // of the first pack
	missing, corrupt []span // holes before the end of recs; to the end of the range when recs is empty
}

func (l *Log) readGeneration(g *generation, id uint16, want span, maxBytes int) (res result, err error) {
	err = l.use(g, func() error {
		txn := g.db.NewTransaction(false)
		defer txn.Discard()
		s := scan{dec: &l.dec, want: want, maxBytes: maxBytes}
		res, err = s.run(txn, id)
		return err
	})
	return res, err
}

// use runs f while g is open, and opens it before if need be. The error is
// errGone when g is not there any more, errDamaged when Badger cannot cope.
func (l *Log) use(g *generation, f func() error) (err error) {
	l.reads.Add(1)
	g.mu.RLock()
	for g.db == nil {
		gone := g.gone
		g.mu.RUnlock()
		if gone {
			return errGone
		}
		g.mu.Lock()
		if !g.gone {
			err = l.openGeneration(g, false)
		}
		g.mu.Unlock()
		if err != nil {
			return err
		}
		nudge(l.tidyUp)
		g.mu.RLock()
	}
	defer g.mu.RUnlock()
	g.used.Store(l.now().UnixNano())
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: badger panicked: %v", errDamaged, p)
		}
	}()
	return f()
}

// scan reads the packs of one lane over a range.
type scan struct {
	dec      *unpacker
	want     span // first is the next sequence to come
	maxBytes int
	size     int
	damaged  bool // a pack that could not be read lies before want.first
	res      result
}

func (s *scan) run(txn *badger.Txn, id uint16) (result, error) {
	it := txn.NewIterator(laneIterator(id, false))
	defer it.Close()
	seekPack(txn, it, id, s.want.first)
	for ; it.Valid(); it.Next() {
		_, first, ok := parseKey(it.Item().Key())
		if !ok {
			continue
		}
		if first > s.want.last {
			break
		}
		full := false
		err := it.Item().Value(func(v []byte) error {
			h, err := parseHeader(v)
			if err != nil || h.lane != id || h.first != first {
				return errPack
			}
			full, err = s.take(h, v)
			return err
		})
		switch {
		case errors.Is(err, errPack):
			s.damaged = true
		case err != nil:
			return result{}, err
		case full:
			return s.res, nil
		}
	}
	s.hole(s.want.last)
	return s.res, nil
}

// seekPack places it at the pack that holds seq, or else after it. Readers
// nearly always go on at the beginning of a pack; only when they do not, a
// second iterator looks for the pack around.
func seekPack(txn *badger.Txn, it *badger.Iterator, id uint16, seq uint64) {
	key := packKey(id, seq)
	it.Seek(key)
	if it.Valid() {
		if _, first, ok := parseKey(it.Item().Key()); ok && first == seq {
			return
		}
	}
	back := txn.NewIterator(laneIterator(id, true))
	defer back.Close()
	back.Seek(key)
	if back.Valid() {
		it.Seek(back.Item().KeyCopy(nil))
	}
}

// take adds the records of a pack that are wanted and fit; full says that no
// more should follow.
func (s *scan) take(h header, v []byte) (full bool, err error) {
	if h.last() < s.want.first {
		return false, nil
	}
	if len(s.res.recs) > 0 && (s.size+int(h.raw) > s.maxBytes || h.first > s.want.first) {
		return true, nil // what lies before the pack is seen to when it is its turn
	}
	recs, err := s.dec.unpack(h, v)
	if err != nil {
		return false, err
	}
	if h.first > s.want.first {
		s.hole(h.first - 1)
	}
	if len(s.res.recs) == 0 {
		s.res.time = h.time
	}
	for _, r := range recs {
		if r.Seq < s.want.first {
			continue
		}
		if r.Seq > s.want.last || len(s.res.recs) > 0 && s.size+len(r.Data) > s.maxBytes {
			return true, nil
		}
		s.res.recs = append(s.res.recs, r)
		s.size += len(r.Data)
		s.want.first = r.Seq + 1
	}
	s.damaged = false
	return s.size >= s.maxBytes || s.want.first > s.want.last, nil
}

// hole records that nothing can be had up to last. After records, it is left
// to the next read, which begins there.
func (s *scan) hole(last uint64) {
	if len(s.res.recs) > 0 || s.want.first > last {
		return
	}
	hole := span{s.want.first, last}
	if s.damaged {
		s.res.corrupt = append(s.res.corrupt, hole)
	} else {
		s.res.missing = append(s.res.missing, hole)
	}
	s.want.first = last + 1
	s.damaged = false
}
