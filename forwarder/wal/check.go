package wal

import (
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// compare holds what g's database really has against what the ledger says of
// it. Ranges that the ledger does not know are taken over, ends that are
// missing are counted as lost; then damaged is true. Holes inside a range are
// found and counted when they are read. g.mu must be held alone and g be open.
func (l *Log) compare(g *generation) (damaged bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: badger panicked: %v", errDamaged, p)
		}
	}()
	txn := g.db.NewTransaction(false)
	defer txn.Discard()
	names, err := laneNames(txn)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errDamaged, err)
	}
	found := make(map[uint16]span, len(names))
	for id := range names {
		s, ok, err := heldRange(txn, id, l.keys)
		if err != nil {
			return false, err
		}
		if ok {
			found[id] = s
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, name := range names {
		known := l.byID[id] != nil
		ln := l.adoptLane(id, name)
		if ln == nil {
			return false, fmt.Errorf("%w: its lanes are not those of the ledger", errDamaged)
		}
		g.named[id] = true
		s, ok := found[id]
		if !ok {
			continue
		}
		if !known {
			ln.acked = s.first - 1
		}
		r, listed := g.ranges[id]
		if !listed || r.last < s.last {
			if listed {
				s.first = r.first
			}
			g.ranges[id] = s
		}
		ln.synced = max(ln.synced, s.last, ln.acked)
		ln.last = max(ln.last, ln.synced)
	}
	for id, r := range g.ranges {
		s, ok := found[id]
		if !ok {
			s.last = r.first - 1
		}
		if s.last < r.last {
			damaged = true
			l.lose(l.byID[id], span{s.last + 1, r.last}, LostMissing)
		}
	}
	for _, ln := range l.byID {
		ln.head = l.headLocked(ln)
	}
	return damaged, nil
}

// laneNames reads a generation's table of lanes.
func laneNames(txn *badger.Txn) (map[uint16]string, error) {
	names := make(map[uint16]string)
	it := txn.NewIterator(laneIterator(0, false))
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		_, id, ok := parseKey(it.Item().Key())
		if !ok || id == 0 || id > 1<<16-1 {
			return nil, fmt.Errorf("bad key in the table of lanes")
		}
		v, err := it.Item().ValueCopy(nil)
		if err != nil {
			return nil, fmt.Errorf("read the table of lanes: %w", err)
		}
		named, name, sound := parseName(v)
		if !sound || uint64(named) != id {
			return nil, fmt.Errorf("bad name in the table of lanes")
		}
		names[named] = name
	}
	return names, nil
}

// heldRange returns the first and the last sequence that a lane's sound packs
// reach; false when there are none. The error is ErrKey when its last pack is
// sealed with a key that keys lack.
func heldRange(txn *badger.Txn, id uint16, keys *Keyring) (s span, ok bool, err error) {
	fwd := txn.NewIterator(laneIterator(id, false))
	defer fwd.Close()
	fwd.Rewind()
	if !fwd.Valid() {
		return span{}, false, nil
	}
	_, first, keyOK := parseKey(fwd.Item().Key())
	if !keyOK {
		return span{}, false, nil
	}
	back := txn.NewIterator(laneIterator(id, true))
	defer back.Close()
	for back.Seek(packKey(id, 1<<64-1)); back.Valid(); back.Next() {
		h, err := itemHeader(back.Item(), keys)
		if errors.Is(err, ErrKey) {
			return span{}, false, err
		}
		if err == nil {
			return span{first, h.last()}, true, nil
		}
	}
	return span{}, false, nil
}

// laneIterator are the options for going over one lane's packs.
func laneIterator(id uint16, reverse bool) badger.IteratorOptions {
	return badger.IteratorOptions{Prefix: packKey(id, 0)[:2], Reverse: reverse}
}

// itemHeader reads and checks the header of the pack at item. The error is
// ErrKey when the pack is sound and sealed with a key that keys lack.
func itemHeader(item *badger.Item, keys *Keyring) (h header, err error) {
	id, first, ok := parseKey(item.Key())
	if !ok {
		return header{}, errPack
	}
	vErr := item.Value(func(v []byte) error {
		if h, err = parseHeader(v); err == nil && (h.lane != id || h.first != first) {
			err = errPack
		}
		if err == nil && h.sealed && !keys.has([4]byte(v[headerSize:])) {
			err = ErrKey
		}
		return err
	})
	if err == nil {
		err = vErr
	}
	return h, err
}
