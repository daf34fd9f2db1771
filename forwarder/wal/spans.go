package wal

import (
	"cmp"
	"slices"
)

// span is a range of a lane's sequences in one segment, both ends included.
type span struct {
	seg         *segmentInfo
	first, last uint64
}

func (s span) count() uint64 { return s.last - s.first + 1 }

// spans are the sequences of a lane that are committed, not lost and not
// acknowledged: ascending, apart from each other. What is pending is counted by
// them, so it does not matter where sequences jump.
type spans []span

// add appends a range behind all others.
func (l *spans) add(s span) {
	if n := len(*l); n > 0 {
		tail := &(*l)[n-1]
		if tail.seg == s.seg && tail.last+1 == s.first {
			tail.last = s.last
			return
		}
		s.first = max(s.first, tail.last+1) // a group may have reached two segments
	}
	if s.first <= s.last {
		*l = append(*l, s)
	}
}

// find returns the place of the first range that goes beyond a sequence.
func (l spans) find(after uint64) int {
	i, _ := slices.BinarySearchFunc(l, after, func(s span, after uint64) int {
		if s.last <= after {
			return -1
		}
		return 1
	})
	return i
}

// cut removes the sequences from first to last and returns how many of them
// there were.
func (l *spans) cut(first, last uint64) (n uint64) {
	for i := l.find(first - 1); i < len(*l) && (*l)[i].first <= last; {
		s := &(*l)[i]
		lo, hi := max(s.first, first), min(s.last, last)
		n += hi - lo + 1
		switch {
		case lo == s.first && hi == s.last:
			*l = slices.Delete(*l, i, i+1)
			continue
		case lo == s.first:
			s.first = hi + 1
		case hi == s.last:
			s.last = lo - 1
		default:
			rest := span{s.seg, hi + 1, s.last}
			s.last = lo - 1
			*l = slices.Insert(*l, i+1, rest)
			return n
		}
		i++
	}
	return n
}

// holds reports whether a range of the segment is left.
func (l spans) holds(seg *segmentInfo) bool {
	_, ok := l.in(seg)
	return ok
}

// in returns the place of the first range of the segment, if one is left.
func (l spans) in(seg *segmentInfo) (i int, ok bool) {
	i, _ = slices.BinarySearchFunc(l, seg.number, func(s span, n uint64) int { return cmp.Compare(s.seg.number, n) })
	return i, i < len(l) && l[i].seg == seg
}
