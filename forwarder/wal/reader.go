package wal

import (
	"errors"
	"fmt"

	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/forwarder/wal/internal/block"
	"github.com/intilery/caddy-intilery/forwarder/wal/internal/segment"
)

// Read implements queue.Source. A lane that was read to its end is answered
// without touching the disk. The errors are queue.ErrClosed and those of reading.
func (ln *Lane) Read(after queue.Position, maxBytes int) ([]queue.Record, error) {
	l, x := ln.log, ln.log.index
	for {
		x.mu.Lock()
		if l.isClosed() {
			x.mu.Unlock()
			return nil, queue.ErrClosed
		}
		offset := max(after.Offset(x.incarnation), ln.acked)
		i := ln.spans.find(offset)
		if i == len(ln.spans) {
			ln.unread = 0
			x.mu.Unlock()
			return nil, nil
		}
		s := scan{
			log: l, lane: ln, seg: ln.spans[i].seg, maxBytes: maxBytes,
			next: max(offset+1, ln.spans[i].first), last: ln.spans[i].last, lastBlock: ln.spans[i].seg.last,
		}
		s.block = ln.blockLocked(s.seg, s.next)
		head := s.next == ln.spans[0].first
		x.mu.Unlock()

		err := s.run()
		if errors.Is(err, errGone) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read segment %d: %w", s.seg.number, err)
		}
		if len(s.recs) == 0 {
			continue // it was all lost
		}
		x.mu.Lock()
		last := s.recs[len(s.recs)-1].Position.Offset(x.incarnation)
		ln.hints[ln.nextHint%len(ln.hints)] = hint{s.seg, last, s.block}
		ln.nextHint++
		if head {
			ln.headAt = s.time
		}
		if last > ln.readTo {
			ln.readTo = last
			ln.unread = max(ln.unread-int64(s.size), 0)
		}
		x.mu.Unlock()
		return s.recs, nil
	}
}

// blockLocked is the block of a segment in which the search for a sequence
// begins.
func (ln *Lane) blockLocked(seg *segmentInfo, next uint64) uint64 {
	b := seg.first
	for _, h := range ln.hints {
		if h.seg == seg && h.after < next {
			b = max(b, h.block)
		}
	}
	return b
}

// scan reads the records of a lane over a range of sequences in one segment.
type scan struct {
	log       *Log
	lane      *Lane
	seg       *segmentInfo
	maxBytes  int
	next      uint64 // the sequence that comes next
	last      uint64 // the one that comes last
	block     uint64 // the block to look into
	lastBlock uint64

	recs    []queue.Record
	size    int
	time    int64 // of the block of the first record
	corrupt bool  // a block that lies before next could not be read
}

// run reads on until the range, or the room, is at its end. Records that are not
// there are counted as lost.
func (s *scan) run() error {
	for ; s.block <= s.lastBlock; s.block++ {
		full, err := s.readBlock()
		if errors.Is(err, segment.ErrLost) {
			continue
		}
		if err != nil {
			return err
		}
		if full {
			return nil
		}
	}
	if len(s.recs) == 0 {
		s.hole(s.last)
	}
	return nil
}

// readBlock takes what a block has of the lane; full says that no more should
// follow, and that the reader goes on at this block.
func (s *scan) readBlock() (full bool, err error) {
	id := blockID{s.seg.number, s.block}
	recs, at, found := s.log.cache.get(id, s.lane.id)
	if !found {
		if recs, at, err = s.load(id); err != nil {
			return false, err
		}
	}
	if len(recs) == 0 {
		return false, nil
	}
	offset := func(r *queue.Record) uint64 { return r.Position.Offset(s.log.index.incarnation) }
	first, last := offset(&recs[0]), offset(&recs[len(recs)-1])
	switch {
	case last < s.next:
		return false, nil
	case first > s.last:
		return true, nil
	case len(s.recs) > 0 && first > s.next:
		return true, nil // what is missing before it is dealt with when it is its turn
	case first > s.next:
		s.hole(first - 1)
	}
	for i := int(s.next - first); i < len(recs); i++ {
		r := &recs[i]
		if len(s.recs) > 0 && s.size+len(r.Data) > s.maxBytes || offset(r) > s.last {
			return true, nil
		}
		if len(s.recs) == 0 {
			s.time = at
		}
		s.recs = append(s.recs, *r)
		s.size += len(r.Data)
		s.next = offset(r) + 1
	}
	s.corrupt = false
	s.log.cache.done(id)
	if s.size >= s.maxBytes || s.next > s.last {
		s.block++
		return true, nil
	}
	return false, nil
}

// load reads a block from its segment, if it has something of the lane. What it
// has of other lanes is kept for them.
func (s *scan) load(id blockID) (recs []queue.Record, at int64, err error) {
	err = s.log.segments.get(s.seg, id.number, func(v []byte) error {
		h, err := block.ParseHeader(v)
		if err != nil || h.Number != id.number {
			s.corrupt = true
			return segment.ErrLost
		}
		place := h.Lane(s.lane.id)
		if place < 0 || h.Lanes[place].Last() < s.next {
			return nil
		}
		all, err := s.decode(h, v)
		if errors.Is(err, block.ErrDamaged) {
			s.corrupt = true
			return segment.ErrLost
		}
		if err != nil {
			return err
		}
		recs, at = all[place], h.Time
		if len(all) > 1 {
			s.log.cache.add(id, cachedOf(h, all))
		}
		return nil
	})
	return recs, at, err
}

func (s *scan) decode(h *block.Header, v []byte) ([][]queue.Record, error) {
	if !h.Whole(v) {
		return nil, block.ErrDamaged
	}
	return s.log.decoder.Records(h, v)
}

func cachedOf(h *block.Header, all [][]queue.Record) cached {
	b := cached{lanes: make(map[uint32][]queue.Record, len(all)), left: len(all), at: h.Time}
	for i := range all {
		b.lanes[h.Lanes[i].ID] = all[i]
		for _, r := range all[i] {
			b.bytes += int64(len(r.Data)) + entryOverhead
		}
	}
	return b
}

// hole counts what lies before the records up to a sequence as lost.
func (s *scan) hole(last uint64) {
	cause := queue.LostMissing
	if s.corrupt {
		cause = queue.LostCorrupt
	}
	s.log.index.lose(s.lane, s.seg, s.next, last, cause)
	s.next = last + 1
	s.corrupt = false
}
