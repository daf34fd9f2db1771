package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// The ledger says, outside Badger, what the log must hold: for each lane its
// name, its cursor and its highest durable sequence, and for each generation
// the range of sequences of each lane. Badger can lose synced data without an
// error; against the ledger such a loss becomes a number.
//
// The file has two slots, at 0 and at 1 MiB. Numbers are big-endian.
//
//	slot     0        4        8        16     20
//	         +--------+--------+--------+------+- - - - -+
//	         | "IWL1" | length | epoch  | crc  | payload |
//	         +--------+--------+--------+------+- - - - -+
//
//	length   of payload, in bytes
//	epoch    rises with each write; the valid slot with the higher one counts
//	crc      CRC32C of the slot's bytes 0-15 and of payload
//
//	payload  uvarints: 1 if loose, else 0; next generation number;
//	         number of lanes, each: id, length of name, name, acked,
//	           synced - acked, given out - synced;
//	         number of generations, each: number, Unix s of its beginning,
//	           number of ranges, each: lane id, first, count
//
// Loose says that records may have been committed which neither ledger nor disk
// know of after a power cut: the policy is not SyncGroup and the log was not
// closed. Sequences then jump at open, and every generation is looked into.
//
// When it is written: after each group commit into the current slot without a
// sync, which costs microseconds and survives the death of the process; with a
// sync, after which the other slot becomes current, at most every ledgerSync
// while there are commits, before a new lane's or generation's first commit,
// before a generation is removed, and at Close. So there is always one complete
// synced slot, and it never claims more than Badger had synced by then. A power
// cut can make the ledger lag by ledgerSync: records of that time that Badger
// still holds are found again at open; those that Badger lost in the same cut
// are not counted.
const (
	ledgerMagic  = "IWL1"
	ledgerHeader = 20
	slotSize     = 1 << 20
	ledgerSync   = 250 * time.Millisecond
	ackDelay     = time.Second
)

var errLedger = errors.New("damaged ledger")

// state is what the ledger holds.
type state struct {
	loose   bool
	nextGen uint64
	lanes   []laneState
	gens    []genState
}

type laneState struct {
	id                  uint16
	name                string
	acked, synced, last uint64
}

type genState struct {
	n      uint64
	born   int64
	ranges map[uint16]span
}

func (s *state) encode() []byte {
	b := []byte{0}
	if s.loose {
		b[0] = 1
	}
	b = binary.AppendUvarint(b, s.nextGen)
	b = binary.AppendUvarint(b, uint64(len(s.lanes)))
	for _, ln := range s.lanes {
		b = binary.AppendUvarint(b, uint64(ln.id))
		b = binary.AppendUvarint(b, uint64(len(ln.name)))
		b = append(b, ln.name...)
		b = binary.AppendUvarint(b, ln.acked)
		b = binary.AppendUvarint(b, ln.synced-ln.acked)
		b = binary.AppendUvarint(b, ln.last-ln.synced)
	}
	b = binary.AppendUvarint(b, uint64(len(s.gens)))
	for _, g := range s.gens {
		b = binary.AppendUvarint(b, g.n)
		b = binary.AppendUvarint(b, uint64(g.born))
		b = binary.AppendUvarint(b, uint64(len(g.ranges)))
		for id, r := range g.ranges {
			b = binary.AppendUvarint(b, uint64(id))
			b = binary.AppendUvarint(b, r.first)
			b = binary.AppendUvarint(b, r.last-r.first+1)
		}
	}
	return b
}

// decodeState is the inverse of encode. Any bytes may be given.
func decodeState(b []byte) (*state, error) {
	d := decoder{b: b}
	flags := d.uvarint()
	s := &state{loose: flags == 1, nextGen: d.uvarint()}
	if flags > 1 {
		d.bad = true
	}
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		ln := laneState{id: d.uint16(), name: d.string(255)}
		ln.acked = d.uvarint()
		ln.synced = ln.acked + d.uvarint()
		ln.last = ln.synced + d.uvarint()
		if ln.id == 0 || ln.name == "" || ln.synced < ln.acked || ln.last < ln.synced {
			d.bad = true
		}
		s.lanes = append(s.lanes, ln)
	}
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		g := genState{n: d.uvarint(), born: int64(d.uvarint()), ranges: make(map[uint16]span)}
		for m := d.uvarint(); m > 0 && !d.bad; m-- {
			id, first, count := d.uint16(), d.uvarint(), d.uvarint()
			r := span{first, first + count - 1}
			if id == 0 || first == 0 || count == 0 || r.last < first {
				d.bad = true
			}
			g.ranges[id] = r
		}
		s.gens = append(s.gens, g)
	}
	if d.bad || len(d.b) != 0 {
		return nil, errLedger
	}
	return s, nil
}

// decoder takes numbers off b; once something is wrong, bad stays set.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) uint16() uint16 {
	v := d.uvarint()
	if v > 1<<16-1 {
		d.bad = true
	}
	return uint16(v)
}

func (d *decoder) string(limit uint64) string {
	n := d.uvarint()
	if n > limit || n > uint64(len(d.b)) {
		d.bad = true
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}

// ledger is the file.
type ledger struct {
	path string

	mu    sync.Mutex // held from snapshot to write, so that epochs follow time
	f     *os.File
	epoch uint64
	slot  int64 // the one to write next: 0 or 1
	dirty bool  // written, not synced
}

// load reads the newer valid slot. Found is false when there is no file, and
// whole is false when a slot that held something is damaged, so that the
// returned state may be old; it is nil when no slot is valid.
func (ld *ledger) load() (s *state, found, whole bool, err error) {
	f, err := os.Open(ld.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, true, nil
	}
	if err != nil {
		return nil, false, false, fmt.Errorf("open the ledger: %w", err)
	}
	defer f.Close()
	whole = true
	var epoch uint64
	for slot := range int64(2) {
		b := make([]byte, slotSize)
		n, err := f.ReadAt(b, slot*slotSize)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, false, false, fmt.Errorf("read the ledger: %w", err)
		}
		if n == 0 {
			continue // the second slot has never been written
		}
		found = true
		e, st, err := decodeSlot(b[:n])
		if err != nil {
			whole = false
			continue
		}
		if s == nil || e > epoch {
			s, epoch = st, e
			ld.epoch, ld.slot = e, 1-slot
		}
	}
	return s, found, whole && (s != nil || !found), nil
}

// decodeSlot checks and reads a slot. Any bytes may be given.
func decodeSlot(b []byte) (epoch uint64, s *state, err error) {
	if len(b) < ledgerHeader || string(b[:4]) != ledgerMagic {
		return 0, nil, errLedger
	}
	n := uint64(binary.BigEndian.Uint32(b[4:]))
	if n > uint64(len(b)-ledgerHeader) {
		return 0, nil, errLedger
	}
	b = b[:ledgerHeader+n]
	if binary.BigEndian.Uint32(b[16:]) != slotSum(b) {
		return 0, nil, errLedger
	}
	s, err = decodeState(b[ledgerHeader:])
	return binary.BigEndian.Uint64(b[8:]), s, err
}

func slotSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:16], castagnoli), castagnoli, b[ledgerHeader:])
}

// write puts s into the current slot. With sync it is durable on return, and
// the next write goes to the other slot. ld.mu must be held.
func (ld *ledger) write(s *state, sync bool) error {
	if ld.f == nil {
		f, err := os.OpenFile(ld.path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return fmt.Errorf("open the ledger: %w", err)
		}
		// The newer slot may be one that a crash left unsynced: it must be
		// safe before the other one is overwritten.
		if err := errors.Join(f.Sync(), syncDir(filepath.Dir(ld.path))); err != nil {
			f.Close()
			return fmt.Errorf("sync the ledger: %w", err)
		}
		ld.f = f
	}
	b := make([]byte, ledgerHeader, 1024)
	b = append(b, s.encode()...)
	if len(b) > slotSize {
		return fmt.Errorf("write the ledger: %d bytes do not fit a slot", len(b))
	}
	ld.epoch++
	copy(b, ledgerMagic)
	binary.BigEndian.PutUint32(b[4:], uint32(len(b)-ledgerHeader))
	binary.BigEndian.PutUint64(b[8:], ld.epoch)
	binary.BigEndian.PutUint32(b[16:], slotSum(b))
	if _, err := ld.f.WriteAt(b, ld.slot*slotSize); err != nil {
		return fmt.Errorf("write the ledger: %w", err)
	}
	ld.dirty = true
	if !sync {
		return nil
	}
	if err := ld.f.Sync(); err != nil {
		return fmt.Errorf("sync the ledger: %w", err)
	}
	ld.dirty = false
	ld.slot = 1 - ld.slot
	return nil
}

func (ld *ledger) close() error {
	ld.mu.Lock()
	defer ld.mu.Unlock()
	if ld.f == nil {
		return nil
	}
	err := ld.f.Close()
	ld.f = nil
	return err
}
