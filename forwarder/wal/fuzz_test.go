package wal

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"testing"
)

// Any bytes under a right checksum: what a fault of ours, or a forger, could write.
func FuzzPack(f *testing.F) {
	p, err := newPacker(nil)
	if err != nil {
		f.Fatal(err)
	}
	frames := appendFrame(appendFrame(nil, 2, []byte("hello")), 0, bytes.Repeat([]byte("x"), 300))
	h := header{lane: 3, first: 9, counts: [Classes]uint32{1, 0, 1}, time: 1}
	pack := func(v []byte, err error) []byte {
		if err != nil {
			f.Fatal(err)
		}
		return v
	}
	f.Add(pack(p.pack(h, frames)))
	f.Add(pack(p.pack(header{lane: 3, first: 9, counts: [Classes]uint32{0, 1, 0}, time: 1}, appendFrame(nil, 1, nil))))
	f.Add([]byte{})
	f.Add(make([]byte, headerSize))
	f.Add(append(pack(p.pack(h, frames))[:headerSize], frames...))
	u := new(unpacker)
	f.Cleanup(u.close)
	f.Fuzz(func(t *testing.T, v []byte) {
		if _, err := parseHeader(v); err != nil && len(v) >= headerSize {
			v = bytes.Clone(v)
			binary.BigEndian.PutUint32(v[sumAt:], packSum(v))
		}
		h, err := parseHeader(v)
		if err != nil {
			return
		}
		recs, err := u.unpack(h, v)
		if err != nil {
			return
		}
		if len(recs) != int(h.count()) || recs[0].Seq != h.first || recs[len(recs)-1].Seq != h.last() {
			t.Fatalf("%d records from %d, header %+v", len(recs), recs[0].Seq, h)
		}
		size := 0
		for _, r := range recs {
			size += len(r.Data)
		}
		if size > maxPackRaw {
			t.Fatalf("%d bytes out of one pack", size)
		}
	})
}

// One wrong byte anywhere in a pack is noticed.
func TestPackChecksum(t *testing.T) {
	p, err := newPacker(nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := p.pack(header{lane: 3, first: 9, counts: [Classes]uint32{0, 1, 0}, time: 1}, appendFrame(nil, 1, bytes.Repeat([]byte("ab"), 200)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseHeader(v); err != nil {
		t.Fatal(err)
	}
	for i := range v {
		v[i] ^= 0x10
		if _, err := parseHeader(v); err == nil {
			t.Errorf("a flip in byte %d passes", i)
		}
		v[i] ^= 0x10
		if _, err := parseHeader(v[:i]); err == nil {
			t.Errorf("a cut to %d bytes passes", i)
		}
	}
}

func FuzzLedger(f *testing.F) {
	s := state{loose: true, nextGen: 4,
		lanes: []laneState{{1, "d/0", 3, 8, 8}, {2, "d/1", 0, 0, 1 << 20}},
		gens:  []genState{{3, 1700000000, map[uint16]span{1: {1, 8}}}}}
	f.Add(s.encode())
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		slot := make([]byte, ledgerHeader, ledgerHeader+len(b))
		copy(slot, ledgerMagic)
		binary.BigEndian.PutUint32(slot[4:], uint32(len(b)))
		slot = append(slot, b...)
		binary.BigEndian.PutUint32(slot[16:], slotSum(slot))
		_, s, err := decodeSlot(slot)
		if _, _, rawErr := decodeSlot(b); rawErr == nil && len(b) < ledgerHeader {
			t.Fatal("a slot without a header passes")
		}
		if err != nil {
			return
		}
		again, err := decodeState(s.encode())
		if err != nil || !reflect.DeepEqual(again, s) {
			t.Fatalf("%+v became %+v, %v", s, again, err)
		}
	})
}
