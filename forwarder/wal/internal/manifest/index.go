package manifest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"

	"github.com/intilery/caddy-intilery/internal/fsx"
)

// An index says which sequences of which lanes a segment holds that has ended.
// It is written once, beside the segment.
//
//	0        4      8
//	+--------+------+- - - -+
//	| "IWX1" | sum  | body  |
//	+--------+------+- - - -+
//
// Sum is the CRC32C of body: the length and the text of the key's ID, then
// uvarints of the incarnation, of the numbers of the first and the last block, of
// the number of lanes, and of each lane's ID, first sequence and number of
// records.
const indexMagic = "IWX1"

// Range is a range of a lane's sequences, both ends included.
type Range struct{ First, Last uint64 }

// Index is what a segment holds.
type Index struct {
	Key         string // ID of the key that encrypts it, if any
	Incarnation uint64
	First, Last uint64 // numbers of its blocks
	Lanes       map[uint32]Range
}

// Append adds the index as it is written to b.
func (x *Index) Append(b []byte) []byte {
	start := len(b)
	b = append(append(b, indexMagic...), 0, 0, 0, 0)
	b = append(uvarints(b, uint64(len(x.Key))), x.Key...)
	b = uvarints(b, x.Incarnation, x.First, x.Last, uint64(len(x.Lanes)))
	for id, r := range x.Lanes {
		b = uvarints(b, uint64(id), r.First, r.Last-r.First+1)
	}
	binary.BigEndian.PutUint32(b[start+4:], crc32.Checksum(b[start+8:], castagnoli))
	return b
}

// WriteIndex writes an index durably.
func WriteIndex(path string, x *Index) error {
	if err := fsx.ReplaceFile(path, x.Append(nil)); err != nil {
		return fmt.Errorf("write a segment's index: %w", err)
	}
	return nil
}

// ReadIndex reads an index. It returns nil when there is none, or a damaged one.
func ReadIndex(path string) (*Index, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read a segment's index: %w", err)
	}
	return parseIndex(b), nil
}

// parseIndex reads an index. Any bytes may be given.
func parseIndex(b []byte) *Index {
	if len(b) < 8 || string(b[:4]) != indexMagic || binary.BigEndian.Uint32(b[4:]) != crc32.Checksum(b[8:], castagnoli) {
		return nil
	}
	d := decoder{b: b[8:]}
	x := &Index{Key: d.string(64), Incarnation: d.uvarint(), First: d.uvarint(), Last: d.uvarint(), Lanes: make(map[uint32]Range)}
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		id, first, count := d.uint32(), d.uvarint(), d.uvarint()
		r := Range{first, first + count - 1}
		if id == 0 || first == 0 || count == 0 || r.Last < r.First {
			return nil
		}
		x.Lanes[id] = r
	}
	if d.bad || len(d.b) > 0 {
		return nil
	}
	return x
}
