package wal

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ErrLocked says that a running log has the directory.
var ErrLocked = errLocked

// SalvageReport says what Salvage found.
type SalvageReport struct {
	Generations, Packs int    // directories looked into, sound packs in them
	Records            uint64 // yielded
	Missing            uint64 // sequences known to have been there, by the ledger or as gaps, and not found
	Corrupt            int    // places that begin like a pack and are none: torn, overwritten or flipped
	Sealed             int    // packs left out for want of their key
}

// Salvage yields every record that can still be made out in dir, which is one
// generation (offline or in quarantine) or a log's whole directory, lane by lane
// in order. It changes nothing and does not use Badger, which may fail or crash
// over damaged files: it looks for packs in the bytes of its files, each of
// which proves itself by its checksum. Records that were acknowledged and not
// yet removed are yielded too. A lane whose name is lost is named "lane-<id>".
//
// Keys are those of Options. An error of each ends it and is returned; others
// are ErrLocked and those of reading the files.
func Salvage(dir string, keys [][]byte, each func(lane string, seq uint64, class uint8, rec []byte) error) (SalvageReport, error) {
	ring, err := NewKeyring(keys)
	if err != nil {
		return SalvageReport{}, err
	}
	s := salvage{names: make(map[uint16]string), dec: unpacker{keys: ring}}
	defer s.dec.close()
	if err := s.find(dir); err != nil {
		return s.report, err
	}
	err = s.yield(each)
	return s.report, err
}

// found is a sound pack and where it is.
type found struct {
	h    header
	path string
	at   int64
}

type salvage struct {
	report SalvageReport
	dec    unpacker
	names  map[uint16]string
	packs  []found
	want   map[uint16][]span // what the ledger says that there was
}

// find looks through dir, or the generations below it.
func (s *salvage) find(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("salvage: %w", err)
	}
	var gens []string
	for _, e := range entries {
		if e.IsDir() && (strings.HasPrefix(e.Name(), generationPrefix) || strings.HasPrefix(e.Name(), quarantinePrefix)) {
			gens = append(gens, filepath.Join(dir, e.Name()))
		}
	}
	if gens == nil {
		gens = []string{dir}
	} else {
		release, err := lockIfThere(filepath.Join(dir, "lock"))
		if err != nil {
			return fmt.Errorf("salvage %s: %w", dir, err)
		}
		defer release()
		s.readLedger(dir)
	}
	for _, gen := range gens {
		s.report.Generations++
		if err := s.findIn(gen); err != nil {
			return err
		}
	}
	return nil
}

// lockIfThere takes the lock of a directory that has one. A lock file that may
// not be written is no reason to fail: nothing is written.
func lockIfThere(path string) (release func(), err error) {
	if _, err := os.Stat(path); err != nil {
		return func() {}, nil
	}
	lock, err := lockDir(path)
	if errors.Is(err, errLocked) {
		return nil, err
	}
	if err != nil {
		return func() {}, nil
	}
	return func() { lock.release() }, nil
}

func (s *salvage) readLedger(dir string) {
	ld := ledger{path: filepath.Join(dir, "ledger")}
	st, _, _, err := ld.load()
	if err != nil || st == nil {
		return
	}
	for _, ln := range st.lanes {
		s.names[ln.id] = ln.name
	}
	s.want = make(map[uint16][]span)
	for _, g := range st.gens {
		for id, r := range g.ranges {
			s.want[id] = append(s.want[id], r)
		}
	}
}

// findIn looks through the files of one generation.
func (s *salvage) findIn(gen string) error {
	files, err := os.ReadDir(gen)
	if err != nil {
		return fmt.Errorf("salvage: %w", err)
	}
	for _, f := range files {
		if ext := filepath.Ext(f.Name()); ext != ".mem" && ext != ".sst" && ext != ".vlog" {
			continue
		}
		path := filepath.Join(gen, f.Name())
		b, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("salvage: %w", err)
		}
		s.carve(path, b)
	}
	return nil
}

// carve finds the packs and lane names in b, the contents of a file of Badger's.
func (s *salvage) carve(path string, b []byte) {
	prefix := []byte(packMagic[:2]) // both magics begin so
	for i := 0; ; {
		n := bytes.Index(b[i:], prefix)
		if n < 0 {
			return
		}
		i += n
		if id, name, ok := parseName(b[i:]); ok {
			if s.names[id] == "" {
				s.names[id] = name
			}
			i += nameOverhead + len(name)
			continue
		}
		h, err := readHeader(b[i:])
		if err == nil && headerSize+int(h.size) <= len(b)-i {
			end := i + headerSize + int(h.size)
			if _, err = parseHeader(b[i:end]); err == nil {
				s.packs = append(s.packs, found{h, path, int64(i)})
				i = end
				continue
			}
		}
		if bytes.HasPrefix(b[i:], []byte(packMagic)) {
			s.report.Corrupt++
		}
		i += len(prefix)
	}
}

// yield gives out the records of what was found, once each.
func (s *salvage) yield(each func(string, uint64, uint8, []byte) error) error {
	name := func(id uint16) string {
		if n := s.names[id]; n != "" {
			return n
		}
		return fmt.Sprintf("lane-%d", id)
	}
	slices.SortFunc(s.packs, func(a, b found) int {
		return cmp.Or(cmp.Compare(name(a.h.lane), name(b.h.lane)), cmp.Compare(a.h.lane, b.h.lane), cmp.Compare(a.h.first, b.h.first))
	})
	s.report.Packs = len(s.packs)
	var next uint64 // the lane's next sequence
	for i, p := range s.packs {
		if i == 0 || p.h.lane != s.packs[i-1].h.lane {
			next = 0
		}
		if p.h.last() < next {
			continue // it is in a memtable and in a table, or in two generations
		}
		recs, err := s.unpack(p)
		if errors.Is(err, ErrKey) {
			s.report.Sealed++
			continue
		}
		if errors.Is(err, errPack) {
			s.report.Corrupt++
			continue
		}
		if err != nil {
			return err
		}
		if next != 0 && p.h.first > next && p.h.first-next < seqSkip && s.want == nil {
			s.report.Missing += p.h.first - next
		}
		for _, r := range recs {
			if r.Seq < next {
				continue
			}
			s.report.Records++
			s.take(p.h.lane, r.Seq)
			if err := each(name(p.h.lane), r.Seq, r.Class, r.Data); err != nil {
				return err
			}
		}
		next = p.h.last() + 1
	}
	for _, ranges := range s.want {
		for _, r := range ranges {
			if r.first <= r.last {
				s.report.Missing += r.last - r.first + 1
			}
		}
	}
	return nil
}

// take strikes a sequence off what the ledger says that there was; sequences
// come in order.
func (s *salvage) take(id uint16, seq uint64) {
	for i := range s.want[id] {
		if r := &s.want[id][i]; r.first <= seq && seq <= r.last {
			s.report.Missing += seq - r.first
			r.first = seq + 1
		}
	}
}

func (s *salvage) unpack(p found) ([]Record, error) {
	f, err := os.Open(p.path)
	if err != nil {
		return nil, fmt.Errorf("salvage: %w", err)
	}
	defer f.Close()
	v := make([]byte, headerSize+int(p.h.size))
	if _, err := f.ReadAt(v, p.at); err != nil {
		return nil, fmt.Errorf("salvage: %w", err)
	}
	if binary.BigEndian.Uint32(v[sumAt:]) != packSum(v) {
		return nil, errPack
	}
	return s.dec.unpack(p.h, v)
}
