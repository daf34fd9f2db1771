package forwarder

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/intilery/caddy-intilery/forwarder/deadletter"
	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/internal/seal"
)

// DeadLetters lists the latest dead letters that filter chooses, at most limit
// of them. In a fleet these are all nodes' that are kept by the fleet, and those in
// this node's files. Errors: deadletter.ErrEncrypted, ErrClosed, ErrNotStarted,
// fleet.ErrApart, and those of the disk and the broker.
func (f *Forwarder) DeadLetters(filter deadletter.Filter, limit int) (deadletter.List, error) {
	s, err := f.begun()
	if err != nil {
		return deadletter.List{}, err
	}
	return s.letters.List(filter, limit)
}

// ReadDeadLetters lists the dead letters in a data directory that no forwarder
// uses. Keys are those of Settings.EncryptionKeys.
func ReadDeadLetters(dir string, keys [][]byte, filter deadletter.Filter, limit int) (deadletter.List, error) {
	ring, err := seal.New(keys)
	if err != nil {
		return deadletter.List{}, err
	}
	return deadletter.New(dir, DefaultDeadLetterBytes, ring).List(filter, limit)
}

// PurgeDeadLetters removes the dead letters that filter chooses for good and
// returns how many. Errors: ErrNotHeld, and those of DeadLetters; after
// deadletter.ErrEncrypted nothing was touched.
func (f *Forwarder) PurgeDeadLetters(ctx context.Context, filter deadletter.Filter) (int, error) {
	s, done, err := f.maintain(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	return s.letters.Purge(filter.Wants)
}

// Replayed is what ReplayDeadLetters did.
type Replayed struct {
	Events int // now in the queue, with their old messageIds
	Kept   int // dead letters whose destination is not configured; they stay
}

// replayBytes is how much is handed to the queue before waiting for the disk. It
// is a part of the smallest buffer.
const replayBytes = 256 << 10

// ReplayDeadLetters hands the dead letters that filter chooses to the queue again,
// to be sent after what waits there, and takes them out of the dead letters.
//
// A letter is taken out only when the queue has made it durable, so none is ever
// lost. When the process dies between the two, it is in both, and a second
// replay sends it again with the same messageId. On an error, what the count
// says was replayed. Errors: ErrFull when the queue sheds events at present,
// ErrNotHeld, and those of DeadLetters. Two nodes of a fleet that replay at once may
// both send a letter again.
func (f *Forwarder) ReplayDeadLetters(ctx context.Context, filter deadletter.Filter) (r Replayed, err error) {
	s, done, err := f.maintain(ctx)
	if err != nil {
		return r, err
	}
	defer done()
	p := &replay{durable: make(map[deadletter.ID]bool)}
	_, err = s.letters.Select(filter.Wants, func(id deadletter.ID, l *deadletter.Letter) error {
		f.mu.Lock()
		d := (*f.destinations.Load())[l.Destination]
		if d != nil && d.stop == nil {
			d = nil // removed: nobody would send it
		}
		f.mu.Unlock()
		if d == nil {
			r.Kept++
			return nil
		}
		return p.add(ctx, d, id, l.Event)
	})
	if err == nil {
		err = p.flush(ctx)
	}
	n, removeErr := s.letters.Remove(p.durable)
	r.Events = n
	return r, errors.Join(err, removeErr)
}

// replay is one run of ReplayDeadLetters.
type replay struct {
	bytes    int
	receipts *queue.Receipts        // of the present part
	part     map[deadletter.ID]bool // handed to the queue
	durable  map[deadletter.ID]bool // there
}

func (p *replay) add(ctx context.Context, d *destination, id deadletter.ID, ev event.Stored) error {
	if p.bytes == 0 {
		p.receipts, p.part = queue.NewReceipts(1), make(map[deadletter.ID]bool)
	}
	anonymousID, userID := ev.IDs()
	u := unrouted{lane: event.Lane(anonymousID, userID, lanes), class: ev.Type().Class(), record: ev, receipt: p.receipts.At(0)}
	if ok, err := d.capture(u); err != nil || !ok {
		return err // not ok: it was removed just now; the letter stays
	}
	p.part[id] = true
	if p.bytes += len(ev); p.bytes >= replayBytes {
		return p.flush(ctx)
	}
	return nil
}

// flush waits until the part is durable. The queue may have evicted some of it to
// make room for events that are worth more: then all of the part stays where it
// is, and what is in the queue too is sent twice rather than never.
func (p *replay) flush(ctx context.Context) error {
	if p.bytes == 0 {
		return nil
	}
	p.bytes = 0
	p.receipts.Seal()
	if err := p.receipts.Wait(ctx); err != nil && !errors.Is(err, ErrFull) {
		return fmt.Errorf("the queue does not reach the disk: %w", err)
	} else if err != nil {
		return err
	}
	maps.Copy(p.durable, p.part)
	return nil
}
