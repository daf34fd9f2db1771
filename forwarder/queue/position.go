package queue

import (
	"cmp"
	"fmt"
)

// Position is a place in a lane. It is opaque: positions of one log are ordered,
// but nothing can be counted by them, since a lane may leave any number out.
// Each log has an incarnation, and its positions carry it: a log whose directory
// was removed begins anew under another one, and positions kept elsewhere do not
// match those of the new log. The zero Position is before all others.
type Position struct{ incarnation, offset uint64 }

// At is for a log: it makes the position at an offset, which rises within a lane.
func At(incarnation, offset uint64) Position { return Position{incarnation, offset} }

// Offset is for a log: it returns the offset of a position of its incarnation.
// Of the zero Position, and of those of other incarnations, it is 0.
func (p Position) Offset(incarnation uint64) uint64 {
	if p.incarnation != incarnation {
		return 0
	}
	return p.offset
}

// Compare returns -1, 0 or +1 as p is before, at or after q, both of one log.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.incarnation, q.incarnation), cmp.Compare(p.offset, q.offset))
}

// IsZero reports whether p is the position before all others.
func (p Position) IsZero() bool { return p == Position{} }

// Covers reports whether a record at q is of the same log as p, and at p or
// before it.
func (p Position) Covers(q Position) bool {
	return p.incarnation == q.incarnation && q.offset <= p.offset
}

// SameLog reports whether two positions are of one incarnation of a log.
func (p Position) SameLog(q Position) bool { return p.incarnation == q.incarnation }

// Log tells the incarnations of logs apart.
func (p Position) Log() uint64 { return p.incarnation }

// MarshalText writes the position as it is kept in files.
func (p Position) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%016x-%016x", p.incarnation, p.offset), nil
}

// UnmarshalText reads what MarshalText wrote.
func (p *Position) UnmarshalText(text []byte) error {
	var q Position
	if n, err := fmt.Sscanf(string(text), "%016x-%016x", &q.incarnation, &q.offset); err != nil || n != 2 || len(text) != 33 {
		return fmt.Errorf("%q is not a position", text)
	}
	*p = q
	return nil
}
