package manifest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func sample() *Update {
	return &Update{
		Log:   &Log{Incarnation: 7, NextSegment: 4, NextLane: 3, Floor: 2},
		Lanes: []Lane{{1, "d/0", 3, 8}, {2, "d/1", 0, 1 << 40}},
		Segments: []Segment{
			{Number: 2, Begun: 1_700_000_000, Ended: 1_700_003_600, First: 1, Last: 9},
			{Number: 3, Begun: 1_700_003_600, First: 10, Last: 12, Lanes: map[uint32]uint64{1: 7}},
		},
	}
}

func mustOpen(t testing.TB, dir string, u *Update) *Manifest {
	t.Helper()
	m, err := Open(dir, u)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func mustLoad(t testing.TB, dir string) *State {
	t.Helper()
	s, damaged, err := Load(dir)
	if err != nil || damaged || s == nil {
		t.Fatalf("%+v, damaged %v, %v", s, damaged, err)
	}
	return s
}

func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	if s, damaged, err := Load(dir); s != nil || damaged || err != nil {
		t.Fatalf("none: %+v, %v, %v", s, damaged, err)
	}
	m := mustOpen(t, dir, sample())
	for _, u := range []*Update{
		{Lanes: []Lane{{1, "d/0", 8, 9}}, Segments: []Segment{{Number: 3, Begun: 1_700_003_600, First: 10, Last: 13, Lanes: map[uint32]uint64{2: 5}}}},
		{Forgotten: []uint32{2}, Removed: []uint64{2}, Log: &Log{Incarnation: 7, NextSegment: 5, NextLane: 3, Floor: 1 << 40, Clean: true}},
		{Segments: []Segment{{Number: 4, Begun: 1_700_007_200}}},
	} {
		if err := m.Append(u); err != nil {
			t.Fatal(err)
		}
	}
	want := &State{
		Log:   Log{Incarnation: 7, NextSegment: 5, NextLane: 3, Floor: 1 << 40, Clean: true},
		Lanes: map[uint32]Lane{1: {1, "d/0", 8, 9}},
		Segments: map[uint64]Segment{
			3: {Number: 3, Begun: 1_700_003_600, First: 10, Last: 13, Lanes: map[uint32]uint64{1: 7, 2: 5}},
			4: {Number: 4, Begun: 1_700_007_200, Lanes: map[uint32]uint64{}},
		},
	}
	if d := cmp.Diff(want, mustLoad(t, dir)); d != "" {
		t.Errorf("after appending:\n%s", d)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	m = mustOpen(t, dir, mustLoad(t, dir).All())
	if d := cmp.Diff(want, mustLoad(t, dir)); d != "" {
		t.Errorf("after opening again:\n%s", d)
	}
	if err := m.Append(&Update{Forgotten: []uint32{1}}); err != nil || len(mustLoad(t, dir).Lanes) != 0 {
		t.Errorf("appended to what was opened again: %v", err)
	}
}

// The file that counts is never written over: a crash in the middle of the next
// state leaves it.
func TestRewriteTakesTheOtherFile(t *testing.T) {
	dir := t.TempDir()
	m := mustOpen(t, dir, sample())
	for i := range 6 {
		before, err := os.ReadFile(filepath.Join(dir, names[m.now]))
		if err != nil {
			t.Fatal(err)
		}
		name := names[m.now]
		if i%2 == 0 {
			if err := m.Rewrite(sample()); err != nil {
				t.Fatal(err)
			}
		} else {
			m.Close()
			m = mustOpen(t, dir, sample())
		}
		if after, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(before, after) {
			t.Errorf("rewrite %d has changed %s, which counted: %v", i, name, err)
		}
	}
}

// When a file is full, all goes into the other one, and what is left in it from
// before is not read.
func TestFull(t *testing.T) {
	dir := t.TempDir()
	m := mustOpen(t, dir, sample())
	rewritten := 0
	for i := uint64(1); i <= 60_000; i++ {
		u := &Update{Lanes: []Lane{{1, "d/0", i, i + 5}}}
		err := m.Append(u)
		if errors.Is(err, ErrFull) {
			rewritten++
			s := mustLoad(t, dir)
			s.Lanes[1] = u.Lanes[0]
			err = m.Rewrite(s.All())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if rewritten < 2 {
		t.Errorf("rewritten %d times: this shows nothing", rewritten)
	}
	if got := mustLoad(t, dir).Lanes[1]; got != (Lane{1, "d/0", 60_000, 60_005}) {
		t.Errorf("%+v", got)
	}
	for _, name := range names {
		if fi, err := os.Stat(filepath.Join(dir, name)); err != nil || fi.Size() > minSize {
			t.Errorf("%s has %d bytes, %v", name, fi.Size(), err)
		}
	}
}

// What an update costs does not depend on how much the manifest says.
func TestAppendIsSmall(t *testing.T) {
	var sizes [2]int64
	for i, n := range []int{8, 40_000} {
		u := sample()
		for id := range n {
			u.Lanes = append(u.Lanes, Lane{uint32(id + 10), fmt.Sprint("destination/", id), 1000, 2000})
		}
		m := mustOpen(t, t.TempDir(), u)
		before := m.end
		if err := m.Append(&Update{Lanes: []Lane{{10, "destination/0", 1500, 2500}}}); err != nil {
			t.Fatal(err)
		}
		sizes[i] = m.end - before
	}
	if sizes[0] != sizes[1] || sizes[0] > 64 {
		t.Errorf("an update takes %v bytes", sizes)
	}
}

func TestDamage(t *testing.T) {
	dir := t.TempDir()
	m := mustOpen(t, dir, sample())
	if err := m.Append(&Update{Forgotten: []uint32{1}}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, names[m.now])
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	state := int(m.end)
	for i := range state {
		b := bytes.Clone(whole)
		b[i] ^= 0x10
		s, _, ok := parse(b)
		switch {
		case i < headerSize && ok:
			t.Errorf("a flip in byte %d of the header passes", i)
		case s != nil && len(s.Lanes) == 1:
			t.Errorf("a flip in byte %d passes", i)
		}
		if s, _, _ := parse(whole[:i]); s != nil && len(s.Lanes) == 1 {
			t.Errorf("a cut to %d bytes passes", i)
		}
	}
	// A record that was torn is as if it had never been written.
	if s, _, ok := parse(whole[:state-1]); !ok || len(s.Lanes) != 2 {
		t.Errorf("a torn record: %+v, %v", s, ok)
	}
	if err := os.WriteFile(path, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, damaged, err := Load(dir); s != nil || !damaged || err != nil {
		t.Errorf("%+v, %v, %v", s, damaged, err)
	}
}

func TestIndex(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	if x, err := ReadIndex(path); x != nil || err != nil {
		t.Errorf("none: %+v, %v", x, err)
	}
	want := &Index{Key: "0a0b0c0d", Incarnation: 7, First: 3, Last: 99, Lanes: map[uint32]Range{1: {5, 9}, 70000: {1 << 40, 1 << 41}}}
	if err := WriteIndex(path, want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadIndex(path)
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v\n%s", err, d)
	}
	b := want.Append(nil)
	for i := range b {
		b[i] ^= 0x10
		if parseIndex(b) != nil {
			t.Errorf("a flip in byte %d passes", i)
		}
		b[i] ^= 0x10
		if parseIndex(b[:i]) != nil {
			t.Errorf("a cut to %d bytes passes", i)
		}
	}
}

// Any bytes under right checksums.
func FuzzManifest(f *testing.F) {
	f.Add(sample().append(nil))
	f.Add((&Update{Forgotten: []uint32{1}, Removed: []uint64{2}}).append(nil))
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 64))
	f.Fuzz(func(t *testing.T, update []byte) {
		b := append([]byte(magic), make([]byte, headerSize-4)...)
		binary.BigEndian.PutUint64(b[4:], 3)
		binary.BigEndian.PutUint32(b[12:], crc32.Checksum(b[:12], castagnoli))
		b = binary.BigEndian.AppendUint32(b, uint32(len(update)))
		b = binary.BigEndian.AppendUint32(b, recordSum(3, headerSize, update))
		s, epoch, whole := parse(append(b, update...))
		if s != nil && whole {
			again := newState()
			if err := again.apply(s.All().append(nil)); err != nil || epoch != 3 {
				t.Fatalf("%v, epoch %d", err, epoch)
			}
			if d := cmp.Diff(s, again); d != "" {
				t.Fatal(d)
			}
		}
		if s, _, _ := parse(update); s != nil && len(update) < headerSize {
			t.Fatal("a file without a header passes")
		}
		x := append(append([]byte(indexMagic), make([]byte, 4)...), update...)
		binary.BigEndian.PutUint32(x[4:], crc32.Checksum(x[8:], castagnoli))
		if got := parseIndex(x); got != nil {
			if again := parseIndex(got.Append(nil)); !cmp.Equal(got, again) {
				t.Fatalf("%+v became %+v", got, again)
			}
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	for _, lanes := range []int{8, 80, 800} {
		b.Run(fmt.Sprint("lanes=", lanes), func(b *testing.B) {
			u := sample()
			for id := range lanes {
				u.Lanes = append(u.Lanes, Lane{uint32(id + 10), fmt.Sprint("destination/", id), 1000, 2000})
			}
			m := mustOpen(b, b.TempDir(), u)
			change := &Update{Lanes: u.Lanes[2:10]}
			for b.Loop() {
				if err := m.Append(change); errors.Is(err, ErrFull) {
					if err := m.Rewrite(u); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// All returns the update that makes an empty state this one.
func (s *State) All() *Update {
	u := &Update{Log: &s.Log}
	for _, l := range s.Lanes {
		u.Lanes = append(u.Lanes, l)
	}
	for _, g := range s.Segments {
		u.Segments = append(u.Segments, g)
	}
	slices.SortFunc(u.Lanes, func(a, b Lane) int { return int(a.ID) - int(b.ID) })
	return u
}
