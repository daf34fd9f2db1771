// Package block is the format of a block: records of one or more lanes that were
// committed together, compressed and, with keys, encrypted. A block says itself
// what it is and proves it by checksums, so it can be found in the bytes of a
// damaged file.
//
// All numbers of the header are big-endian; those of the table are uvarints.
//
//	0      4       5        6       8        16            24     32    36     40      44     48
//	+------+-------+--------+-------+--------+-------------+------+-----+------+-------+------+- - - -+- - - - +
//	|"IWB2"| codec | sealed | lanes | number | incarnation | time | raw | size | table | sums | table | stored |
//	+------+-------+--------+-------+--------+-------------+------+-----+------+-------+------+- - - -+- - - - +
//	                                                                                    44: CRC of the header and the table
//	                                                                                    48: CRC of stored
//
//	codec        how the frames are stored: 0 as they are, 1 zstd, 2 S2 (as one block)
//	sealed       1 when what is stored is encrypted (package seal), with the header's bytes 0-43 and the table as context
//	lanes        number of entries of the table, at least 1
//	number       of the block; rises over all lanes
//	incarnation  of the log
//	time         Unix ms at which the first record was appended
//	raw, size    bytes of the frames; bytes of stored
//	table        bytes of the table. For each lane: ID, bytes of its name and the name, first
//	             sequence, number of records of each class, bytes of its frames
//	stored       the frames, lane by lane in the table's order
//
//	frame   +-------+---------+- - - - +
//	        | class | length  | record |
//	        +-------+---------+- - - - +
//	        1 byte   uvarint
package block

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/intilery/caddy-intilery/forwarder/queue"
)

const (
	magic      = "IWB2"
	headerSize = 52
	headSumAt  = 44
	bodySumAt  = 48

	codecNone = 0
	codecZstd = 1
	codecS2   = 2
)

// Bounds of a block.
const (
	MaxRaw   = 1 << 20 // bytes of frames
	maxName  = 255     // bytes of a lane's name
	maxTable = 4 << 20
)

// ErrDamaged: the bytes are not a block, or not what was written.
var ErrDamaged = errors.New("damaged block")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Lane is what a block holds of one lane: consecutive records.
type Lane struct {
	ID    uint32
	Name  string
	First uint64 // sequence of the first record
	Count uint64 // of records

	counts [queue.Classes]uint32
	raw    uint32 // bytes of its frames
}

// Last is the sequence of the last record.
func (l *Lane) Last() uint64 { return l.First + l.Count - 1 }

// Header is a block without its records.
type Header struct {
	Number, Incarnation uint64
	Time                int64 // Unix ms at which the first record was appended
	Lanes               []Lane

	codec  uint8
	sealed bool
	raw    uint32
	size   uint32
	table  uint32
}

// Size is the number of bytes of the whole block.
func (h *Header) Size() int { return headerSize + int(h.table) + int(h.size) }

// Lane returns the place of a lane in the table, or -1.
func (h *Header) Lane(id uint32) int {
	for i := range h.Lanes {
		if h.Lanes[i].ID == id {
			return i
		}
	}
	return -1
}

// append adds the header and the table, without checksums.
func (h *Header) append(v []byte) []byte {
	start := len(v)
	v = append(v, magic...)
	v = append(v, h.codec, 0)
	if h.sealed {
		v[start+5] = 1
	}
	v = binary.BigEndian.AppendUint16(v, uint16(len(h.Lanes)))
	v = binary.BigEndian.AppendUint64(v, h.Number)
	v = binary.BigEndian.AppendUint64(v, h.Incarnation)
	v = binary.BigEndian.AppendUint64(v, uint64(h.Time))
	v = binary.BigEndian.AppendUint32(v, h.raw)
	v = binary.BigEndian.AppendUint32(v, h.size)
	v = append(v, make([]byte, headerSize-40)...)
	for i := range h.Lanes {
		l := &h.Lanes[i]
		v = binary.AppendUvarint(v, uint64(l.ID))
		v = binary.AppendUvarint(v, uint64(len(l.Name)))
		v = append(v, l.Name...)
		v = binary.AppendUvarint(v, l.First)
		for _, n := range l.counts {
			v = binary.AppendUvarint(v, uint64(n))
		}
		v = binary.AppendUvarint(v, uint64(l.raw))
	}
	binary.BigEndian.PutUint32(v[start+40:], uint32(len(v)-start-headerSize))
	return v
}

// context is what encryption binds a block's records to.
func context(v []byte, table uint32) []byte {
	return append(append(make([]byte, 0, headSumAt+int(table)), v[:headSumAt]...), v[headerSize:headerSize+table]...)
}

// headSum is the checksum of the header and the table.
func headSum(v []byte, table uint32) uint32 {
	return crc32.Update(crc32.Checksum(v[:headSumAt], castagnoli), castagnoli, v[bodySumAt:headerSize+table])
}

// ParseHeader reads the header of the block at the beginning of v, which may go
// on behind it, and checks it. Any bytes may be given. Error: ErrDamaged.
func ParseHeader(v []byte) (*Header, error) {
	if len(v) < headerSize || string(v[:4]) != magic || v[4] > codecS2 || v[5] > 1 {
		return nil, ErrDamaged
	}
	h := &Header{
		codec:       v[4],
		sealed:      v[5] == 1,
		Number:      binary.BigEndian.Uint64(v[8:]),
		Incarnation: binary.BigEndian.Uint64(v[16:]),
		Time:        int64(binary.BigEndian.Uint64(v[24:])),
		raw:         binary.BigEndian.Uint32(v[32:]),
		size:        binary.BigEndian.Uint32(v[36:]),
		table:       binary.BigEndian.Uint32(v[40:]),
	}
	lanes := int(binary.BigEndian.Uint16(v[6:]))
	if h.raw > MaxRaw || h.size > MaxRaw+1024 || h.table > maxTable || lanes == 0 || h.Size() > len(v) ||
		binary.BigEndian.Uint32(v[headSumAt:]) != headSum(v, h.table) {
		return nil, ErrDamaged
	}
	if !h.parseTable(v[headerSize:headerSize+h.table], lanes) {
		return nil, ErrDamaged
	}
	return h, nil
}

func (h *Header) parseTable(t []byte, lanes int) bool {
	uvarint := func(limit uint64) (uint64, bool) {
		n, size := binary.Uvarint(t)
		if size <= 0 || n > limit {
			return 0, false
		}
		t = t[size:]
		return n, true
	}
	h.Lanes = make([]Lane, 0, min(lanes, len(t)/6+1))
	var raw, count uint64
	for range lanes {
		id, ok := uvarint(1<<32 - 1)
		name, nameOK := uvarint(maxName)
		if !ok || !nameOK || id == 0 || name == 0 || name > uint64(len(t)) {
			return false
		}
		l := Lane{ID: uint32(id), Name: string(t[:name])}
		t = t[name:]
		if l.First, ok = uvarint(1<<64 - 1); !ok || l.First == 0 {
			return false
		}
		for c := range l.counts {
			n, ok := uvarint(MaxRaw)
			if !ok {
				return false
			}
			l.counts[c] = uint32(n)
			l.Count += n
		}
		n, ok := uvarint(MaxRaw)
		if !ok || l.Count == 0 || l.Last() < l.First {
			return false
		}
		l.raw = uint32(n)
		raw, count = raw+n, count+l.Count
		h.Lanes = append(h.Lanes, l)
	}
	return len(t) == 0 && raw == uint64(h.raw) && count <= raw/2
}

// Check returns nil when v is a whole block, and the block is what was written.
// Any bytes may be given. Error: ErrDamaged.
func Check(v []byte) (*Header, error) {
	h, err := ParseHeader(v)
	if err != nil || !h.Whole(v) {
		return nil, ErrDamaged
	}
	return h, nil
}

// Whole reports whether v, of which h is the header, is the whole block and what
// was written.
func (h *Header) Whole(v []byte) bool {
	return h.Size() == len(v) && binary.BigEndian.Uint32(v[bodySumAt:]) == crc32.Checksum(v[headerSize+h.table:], castagnoli)
}

// Find returns the first whole block in b, and where it begins; nil when there
// is none. Damaged counts the places before it that begin like a block.
func Find(b []byte) (h *Header, at, damaged int) {
	for {
		n := bytes.Index(b[at:], []byte(magic))
		if n < 0 {
			return nil, len(b), damaged
		}
		at += n
		if h, err := ParseHeader(b[at:]); err == nil && h.Whole(b[at:at+h.Size()]) {
			return h, at, damaged
		}
		damaged++
		at += len(magic)
	}
}
