package block

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/internal/seal"
	"github.com/intilery/caddy-intilery/internal/seal/sealtest"
)

// sample is a block of two lanes, with a record of each class.
func sample(t testing.TB, keys *seal.Keyring, fast bool) []byte {
	t.Helper()
	e, err := NewEncoder(keys)
	if err != nil {
		t.Fatal(err)
	}
	e.Begin(fast)
	e.Lane(3, "shop/3", 9)
	e.Add(2, []byte("hello"))
	e.Add(0, bytes.Repeat([]byte("x"), 300))
	e.Lane(70000, "shop/4", 1<<40)
	e.Add(1, nil)
	v, err := e.End(7, 0xabc, 1_700_000_000_000)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestRoundTrip(t *testing.T) {
	for name, c := range map[string]struct {
		keys *seal.Keyring
		fast bool
	}{"clear": {}, "encrypted": {keys: sealtest.Keyring(t, 1)}, "fast": {fast: true}, "fast and encrypted": {sealtest.Keyring(t, 1), true}} {
		t.Run(name, func(t *testing.T) {
			keys := c.keys
			v := sample(t, keys, c.fast)
			if keys != nil && bytes.Contains(v, []byte("hello")) {
				t.Error("a record can be read")
			}
			h, err := Check(v)
			if err != nil {
				t.Fatal(err)
			}
			if h.Number != 7 || h.Incarnation != 0xabc || h.Time != 1_700_000_000_000 || len(h.Lanes) != 2 || h.Size() != len(v) {
				t.Errorf("header %+v", h)
			}
			if l := h.Lanes[0]; l.ID != 3 || l.Name != "shop/3" || l.First != 9 || l.Last() != 10 {
				t.Errorf("first lane %+v", l)
			}
			if l := h.Lanes[1]; l.ID != 70000 || l.Name != "shop/4" || l.First != 1<<40 || l.Count != 1 {
				t.Errorf("second lane %+v", l)
			}
			if h.Lane(70000) != 1 || h.Lane(4) != -1 {
				t.Error("lanes are not found by their ID")
			}
			got, err := NewDecoder(keys).Records(h, v)
			want := [][]queue.Record{
				{{Position: queue.At(0xabc, 9), Class: 2, Data: []byte("hello")}, {Position: queue.At(0xabc, 10), Class: 0, Data: bytes.Repeat([]byte("x"), 300)}},
				{{Position: queue.At(0xabc, 1<<40), Class: 1, Data: []byte{}}},
			}
			if d := cmp.Diff(want, got, cmp.AllowUnexported(queue.Position{})); err != nil || d != "" {
				t.Errorf("%v, records differ:\n%s", err, d)
			}
		})
	}
}

func TestKeys(t *testing.T) {
	v := sample(t, sealtest.Keyring(t, 1), false)
	h, err := Check(v)
	if err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string]*seal.Keyring{"none": nil, "another": sealtest.Keyring(t, 2)} {
		d := NewDecoder(keys)
		if d.Opens(h, v) {
			t.Errorf("%s: says that it has the key", name)
		}
		if _, err := d.Records(h, v); !errors.Is(err, seal.ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A lane's number that was changed, under right checksums, does not open.
	forged := bytes.Clone(v)
	forged[headerSize] = 4
	binary.BigEndian.PutUint32(forged[headSumAt:], headSum(forged, h.table))
	h, err = Check(forged)
	if err != nil || h.Lanes[0].ID != 4 {
		t.Fatalf("%+v, %v", h, err)
	}
	if _, err := NewDecoder(sealtest.Keyring(t, 1)).Records(h, forged); !errors.Is(err, ErrDamaged) {
		t.Errorf("a forged table opens: %v", err)
	}
}

// One wrong byte anywhere is noticed.
func TestChecksums(t *testing.T) {
	v := sample(t, nil, false)
	for i := range v {
		v[i] ^= 0x10
		if _, err := Check(v); err == nil {
			t.Errorf("a flip in byte %d passes", i)
		}
		v[i] ^= 0x10
		if _, err := Check(v[:i]); err == nil {
			t.Errorf("a cut to %d bytes passes", i)
		}
	}
	if _, err := Check(append(v, 0)); err == nil {
		t.Error("a byte too many passes")
	}
}

func TestFind(t *testing.T) {
	v := sample(t, nil, false)
	torn := bytes.Clone(v)
	torn[len(torn)-1] ^= 1
	junk := []byte("some IWB2 and IWB bytes")
	b := append(append(append(append([]byte{}, junk...), v...), torn...), v...)
	h, at, damaged := Find(b)
	if h == nil || at != len(junk) || damaged != 1 {
		t.Fatalf("first at %d, %d damaged", at, damaged)
	}
	h, at, damaged = Find(b[len(junk)+len(v):])
	if h == nil || at != len(v) || damaged != 1 {
		t.Errorf("second at %d, %d damaged", at, damaged)
	}
	if h, at, damaged := Find(torn); h != nil || at != len(torn) || damaged != 1 {
		t.Errorf("a torn block is found at %d, %d damaged", at, damaged)
	}
}

func TestIncompressible(t *testing.T) {
	e, err := NewEncoder(nil)
	if err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 100<<10)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	for _, fast := range []bool{false, true} {
		e.Begin(fast)
		e.Lane(1, "a", 1)
		e.Add(1, noise)
		v, err := e.End(1, 1, 1)
		if err != nil || len(v) > len(noise)+200 {
			t.Fatalf("fast %v: %d bytes, %v", fast, len(v), err)
		}
		h, err := Check(v)
		if err != nil {
			t.Fatal(err)
		}
		recs, err := NewDecoder(nil).Records(h, v)
		if err != nil || !bytes.Equal(recs[0][0].Data, noise) {
			t.Errorf("fast %v: %v", fast, err)
		}
	}
}

// Any bytes under right checksums: what a fault of ours, or a forger, could write.
func FuzzBlock(f *testing.F) {
	f.Add(sample(f, nil, false))
	f.Add(sample(f, nil, true))
	f.Add(sample(f, sealtest.Keyring(f, 1), false))
	f.Add([]byte{})
	f.Add(make([]byte, headerSize))
	f.Add([]byte(magic))
	d := NewDecoder(sealtest.Keyring(f, 1))
	f.Cleanup(d.Close)
	f.Fuzz(func(t *testing.T, v []byte) {
		if h, at, _ := Find(v); h != nil {
			if _, err := Check(v[at : at+h.Size()]); err != nil {
				t.Fatalf("found at %d: %v", at, err)
			}
		}
		if len(v) >= headerSize && string(v[:4]) == magic {
			v = bytes.Clone(v)
			if table := binary.BigEndian.Uint32(v[40:]); int(table) <= len(v)-headerSize {
				binary.BigEndian.PutUint32(v[bodySumAt:], crc32.Checksum(v[headerSize+table:], castagnoli))
				binary.BigEndian.PutUint32(v[headSumAt:], headSum(v, table))
			}
		}
		h, err := Check(v)
		if err != nil {
			return
		}
		recs, err := d.Records(h, v)
		if err != nil {
			return
		}
		size := 0
		for i, l := range h.Lanes {
			if len(recs[i]) != int(l.Count) {
				t.Fatalf("%d records in lane %+v", len(recs[i]), l)
			}
			if got, want := recs[i][0].Position, queue.At(h.Incarnation, l.First); got != want {
				t.Fatal(fmt.Sprint("position ", got, ", want ", want))
			}
			for _, r := range recs[i] {
				size += len(r.Data)
			}
		}
		if size > MaxRaw {
			t.Fatalf("%d bytes out of one block", size)
		}
	})
}
