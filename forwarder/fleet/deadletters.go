package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/deadletter"
	"github.com/intilery/caddy-intilery/forwarder/erasure"
	"github.com/intilery/caddy-intilery/forwarder/event"
)

// DeadLetters are those of the whole fleet: a stream for each destination, in which
// each letter is a line as package deadletter writes it to files. Any node lists,
// replays and purges them. Only those of destinations that this node serves are seen.
//
// All methods but Add and Stats take as long as reading the streams does. Their
// errors are ErrApart, deadletter.ErrClosed, deadletter.ErrEncrypted, and those of
// the broker.
type DeadLetters struct {
	f *Fleet
	// adding is held, for each lane, from when it is asked whether a letter's visitor
	// was erased until the letter is in the stream.
	adding [lanes]turn
	gauges atomic.Pointer[deadletter.Stats]

	mu      sync.Mutex // guards seen and dropped
	seen    map[string]state
	dropped uint64
}

// ErrLetterTooLarge: the broker takes no message of a dead letter's size.
var ErrLetterTooLarge = errors.New("the dead letter is larger than the fleet's broker takes")

const (
	// lookEvery is how old Stats may be.
	lookEvery = 5 * time.Second
	// addAttempts bounds how often Add tries within its time.
	addAttempts = 8
	// letterRoom is what the largest letter takes: an event, encrypted and in base64.
	letterRoom = 2 * event.MaxBytes
)

func newDeadLetters(f *Fleet) *DeadLetters {
	d := &DeadLetters{f: f, seen: make(map[string]state)}
	for i := range d.adding {
		d.adding[i] = newTurn()
	}
	return d
}

// DeadLetters returns those of the fleet.
func (f *Fleet) DeadLetters() *DeadLetters { return f.dead }

// reachable is nil when the broker can be asked.
func (d *DeadLetters) reachable() error {
	if d.f.ctx.Err() != nil {
		return deadletter.ErrClosed
	}
	err := d.f.b.Ready()
	if err == nil && d.f.key.Load() == nil {
		err = errNotReady
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrApart, err)
	}
	return nil
}

// Add has the broker keep a letter, unless that is not allowed when it is its turn;
// nil allows it. After an error it may be there or not, and Add may be called again
// with the same letter: it is there once. Errors: ErrLetterTooLarge, and others that
// pass.
func (d *DeadLetters) Add(l *deadletter.Letter, allowed func() bool) (added bool, err error) {
	if err := d.reachable(); err != nil {
		return false, err
	}
	plain, err := deadletter.Encode(l, nil)
	if err != nil {
		return false, fmt.Errorf("dead letter: %w", err)
	}
	line, err := deadletter.Encode(l, d.f.codec.keys)
	if err != nil {
		return false, fmt.Errorf("dead letter: %w", err)
	}
	id := digest(d.f.secret(), "dead letter", string(plain))
	anonymousID, userID := l.Event.IDs()
	turn := d.adding[event.Lane(anonymousID, userID, lanes)]
	turn.take()
	defer turn.give()
	added, err = d.add(l.Destination, message{visitor(d.f.secret(), anonymousID, userID), line}, id, allowed)
	if errors.Is(err, errTooLarge) {
		return false, fmt.Errorf("%w: %w", ErrLetterTooLarge, err)
	}
	if err != nil {
		return false, fmt.Errorf("dead letter: %w", err)
	}
	return added, nil
}

// add looks first whether an attempt before, whose answer was lost, has come through.
// One that is still on its way is refused when this one is there, as both expect the
// same letter before them.
func (d *DeadLetters) add(destination string, m message, id string, allowed func() bool) (added bool, err error) {
	ctx, cancel := context.WithTimeout(d.f.ctx, requestWait)
	defer cancel()
	for range addAttempts {
		lastID, last, lookErr := d.f.b.LastLetter(ctx, destination, m.visitor)
		switch {
		case lookErr != nil:
			return false, lookErr
		case last != 0 && lastID == id:
			return true, nil
		case allowed != nil && !allowed():
			return false, nil
		}
		err = d.f.b.AddLetter(ctx, destination, m, id, last)
		if err == nil || !errors.Is(err, errConflict) && !errors.Is(err, errUnknown) {
			return err == nil, err
		}
	}
	return false, err
}

// awaitAdds returns when each letter that was being added is there or will not be.
func (d *DeadLetters) awaitAdds() {
	for _, turn := range d.adding {
		turn.take()
		turn.give()
	}
}

// names are the destinations whose letters are looked at; only is empty for all.
func (d *DeadLetters) names(only string) []string {
	d.f.mu.Lock()
	defer d.f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(d.f.serving), func(name string) bool { return only != "" && name != only })
}

// erase removes the letters of a visitor and returns how many. Whoever adds letters
// must know of the erasure.
func (d *DeadLetters) erase(ctx context.Context, who erasure.Subject, destinations []string) (n int, err error) {
	if who.AnonymousID == "" { // a letter's subject may be of an anonymousId
		return d.sweep(ctx, destinations, func(line []byte) (bool, error) {
			l, err := deadletter.Decode(line, d.f.codec.keys)
			if errors.Is(err, deadletter.ErrEncrypted) {
				return false, err
			}
			return err == nil && who.Is(l.Event.IDs()), nil
		})
	}
	for _, name := range destinations {
		removed, err := d.f.b.EraseLetters(ctx, name, visitor(d.f.secret(), who.AnonymousID, ""))
		n += removed
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Stats returns what is kept, as it was some seconds ago at most while the broker is
// within reach. Dropped is as far as this node can tell: it counts what went while a
// stream was full.
func (d *DeadLetters) Stats() deadletter.Stats {
	if g := d.gauges.Load(); g != nil {
		return *g
	}
	return deadletter.Stats{}
}

// follow keeps the gauges up to date.
func (d *DeadLetters) follow() {
	for every := time.Second; wait(d.f.ctx, every); {
		if d.reachable() == nil && d.look() == nil {
			every = lookEvery
		}
	}
}

// look asks the broker what the streams hold.
func (d *DeadLetters) look() error {
	var sum deadletter.Stats
	now := make(map[string]state)
	for _, name := range d.names("") {
		ctx, cancel := context.WithTimeout(d.f.ctx, requestWait)
		s, err := d.f.b.LettersState(ctx, name)
		cancel()
		if err != nil {
			return err
		}
		now[name] = s
		sum.Kept += s.events
		sum.Bytes += int64(s.bytes)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, s := range now {
		before, known := d.seen[name]
		if had := before.events + s.last - before.last; known && s.last >= before.last && had > s.events &&
			int64(s.bytes)+letterRoom > d.f.o.MaxBytes/lanes {
			d.dropped += had - s.events
		}
	}
	d.seen, sum.Dropped = now, d.dropped
	d.gauges.Store(&sum)
	return nil
}
