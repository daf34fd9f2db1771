package forwarder

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/intilery/caddy-intilery/forwarder/wal"
)

// DeadLetterFilter chooses dead letters. The zero value chooses all.
type DeadLetterFilter struct {
	Destination string   // empty: any
	MessageIDs  []string // empty: any
}

func (f DeadLetterFilter) wants(l *DeadLetter) bool {
	if f.Destination != "" && f.Destination != l.Destination {
		return false
	}
	return len(f.MessageIDs) == 0 || slices.Contains(f.MessageIDs, messageIDOf(l.Event))
}

// DeadLetterList is a part of the dead letters.
type DeadLetterList struct {
	Letters []DeadLetter // the latest ones, oldest first
	Matched int          // how many the filter chooses, whatever the limit
	Damaged int          // lines that cannot be read; they stay where they are
}

// ErrNotStarted: no configuration has started the forwarder yet.
var ErrNotStarted = errors.New("forwarder not started")

// ErrShedding: the log sheds events at present, so it is no place for more.
var ErrShedding = errors.New("the queue has no room at present")

func (f *Forwarder) store() (*deadLetters, Log, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return nil, nil, ErrClosed
	case f.queue == nil:
		return nil, nil, ErrNotStarted
	}
	return f.letters, f.queue, nil
}

// DeadLetters lists the latest dead letters that filter chooses, at most limit
// of them. Errors: ErrSealed, ErrClosed, ErrNotStarted, and those of the disk.
func (f *Forwarder) DeadLetters(filter DeadLetterFilter, limit int) (DeadLetterList, error) {
	letters, _, err := f.store()
	if err != nil {
		return DeadLetterList{}, err
	}
	return letters.list(filter, limit)
}

// ReadDeadLetters lists the dead letters in a data directory that no forwarder
// uses. Keys are those of Settings.EncryptionKeys.
func ReadDeadLetters(dir string, keys [][]byte, filter DeadLetterFilter, limit int) (DeadLetterList, error) {
	ring, err := newSealer(keys)
	if err != nil {
		return DeadLetterList{}, err
	}
	return newDeadLetters(dir, DefaultDeadLetterBytes, ring).list(filter, limit)
}

func (d *deadLetters) list(filter DeadLetterFilter, limit int) (list DeadLetterList, err error) {
	list.Damaged, err = d.choose(filter.wants, func(_ []byte, l *DeadLetter) error {
		list.Matched++
		if list.Letters = append(list.Letters, *l); len(list.Letters) >= 2*limit+64 {
			list.Letters = append(list.Letters[:0], list.Letters[len(list.Letters)-limit:]...)
		}
		return nil
	})
	list.Letters = list.Letters[max(0, len(list.Letters)-limit):]
	return list, err
}

// choose calls visit for each letter that is wanted. It returns the number of
// lines that cannot be read. One that is sealed with another key is an error,
// and is found before visit is called.
func (d *deadLetters) choose(wants func(*DeadLetter) bool, visit func(line []byte, l *DeadLetter) error) (damaged int, err error) {
	err = d.scan(func(line []byte) error {
		if _, err := decodeLetter(line, d.keys); errors.Is(err, ErrSealed) {
			return err
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	err = d.scan(func(line []byte) error {
		l, err := decodeLetter(line, d.keys)
		switch {
		case errors.Is(err, ErrSealed):
			return err
		case err != nil:
			damaged++
		case wants(&l):
			return visit(line, &l)
		}
		return nil
	})
	return damaged, err
}

// PurgeDeadLetters removes the dead letters that filter chooses for good and
// returns how many. Errors as of DeadLetters; after ErrSealed nothing was touched.
func (f *Forwarder) PurgeDeadLetters(filter DeadLetterFilter) (int, error) {
	letters, _, err := f.store()
	if err != nil {
		return 0, err
	}
	return letters.purge(filter.wants)
}

func (d *deadLetters) purge(wants func(*DeadLetter) bool) (int, error) {
	d.upkeep.Lock()
	defer d.upkeep.Unlock()
	gone := make(map[lineSum]bool)
	if _, err := d.choose(wants, func(line []byte, _ *DeadLetter) error {
		gone[sumOf(line)] = true
		return nil
	}); err != nil {
		return 0, err
	}
	return d.remove(gone)
}

// Replay is what ReplayDeadLetters did.
type Replay struct {
	Replayed int // now in the log, with their old messageIds
	// Kept counts letters whose destination is not configured. They stay.
	Kept int
}

// replayBytes is how much is handed to the log before waiting for the disk. It
// is a part of the smallest ring.
const replayBytes = 256 << 10

// ReplayDeadLetters hands the dead letters that filter chooses to the log again,
// to be sent after what waits there, and takes them out of the dead letters.
//
// A letter is taken out only when the log has made it durable, so none is ever
// lost. When the process dies between the two, it is in both, and a second
// replay sends it again with the same messageId. On an error, what the count
// says was replayed. Errors: ErrShedding, and those of DeadLetters.
func (f *Forwarder) ReplayDeadLetters(ctx context.Context, filter DeadLetterFilter) (r Replay, err error) {
	letters, queue, err := f.store()
	if err != nil {
		return r, err
	}
	letters.upkeep.Lock()
	defer letters.upkeep.Unlock()
	p := &replay{queue: queue, destinations: *f.destinations.Load(), done: make(map[lineSum]bool)}
	_, err = letters.choose(filter.wants, func(line []byte, l *DeadLetter) error {
		d := p.destinations[l.Destination]
		if d == nil {
			r.Kept++
			return nil
		}
		return p.add(ctx, d, sumOf(line), l.Event)
	})
	if err == nil {
		err = p.flush(ctx)
	}
	n, removeErr := letters.remove(p.done)
	r.Replayed = n
	return r, errors.Join(err, removeErr)
}

// replay is one run of ReplayDeadLetters.
type replay struct {
	queue        Log
	destinations map[string]*destination

	bytes int
	shed  uint64           // by the log, before the present part
	part  map[lineSum]bool // handed to the log
	done  map[lineSum]bool // durable there
}

func (p *replay) add(ctx context.Context, d *destination, sum lineSum, event []byte) error {
	if p.bytes == 0 {
		p.shed, p.part = shedSum(p.queue.Stats()), make(map[lineSum]bool)
	}
	lane, class := placeOf(event)
	if err := d.append(lane, class, slices.Clone(event)); err != nil {
		if errors.Is(err, ErrShed) {
			return ErrShedding
		}
		return err
	}
	p.part[sum] = true
	if p.bytes += len(event); p.bytes >= replayBytes {
		return p.flush(ctx)
	}
	return nil
}

// flush waits until the part is durable. The log may have evicted some of it to
// make room for events that are worth more: then all of the part stays where it
// is, and what is in the log too is sent twice rather than never.
func (p *replay) flush(ctx context.Context) error {
	if p.bytes == 0 {
		return nil
	}
	p.bytes = 0
	if err := p.queue.Flush(ctx); err != nil {
		return fmt.Errorf("the queue does not reach the disk: %w", err)
	}
	if shedSum(p.queue.Stats()) != p.shed {
		return ErrShedding
	}
	maps.Copy(p.done, p.part)
	return nil
}

func shedSum(s wal.Stats) (n uint64) {
	for _, causes := range s.Shed {
		for _, c := range causes {
			n += c
		}
	}
	return n
}

// placeOf returns the lane and class of a stored event.
func placeOf(event []byte) (lane uint32, class uint8) {
	anonymousID, userID := idsOf(event)
	e := Event{AnonymousID: unquoted(anonymousID), UserID: unquoted(userID)}
	switch unquoted(rootField(event, "type")) {
	case "identify":
		class = Identify.class()
	case "track":
		class = Track.class()
	default:
		class = Page.class()
	}
	return laneOf(&e), class
}

// messageIDOf returns the messageId of a stored event.
func messageIDOf(event []byte) string { return unquoted(rootField(event, "messageId")) }
