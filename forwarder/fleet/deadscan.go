package fleet

import (
	"context"
	"errors"
	"fmt"

	"github.com/intilery/caddy-intilery/forwarder/deadletter"
)

// List lists the latest letters that a filter chooses, at most limit of them.
func (d *DeadLetters) List(f deadletter.Filter, limit int) (deadletter.List, error) {
	if err := d.reachable(); err != nil {
		return deadletter.List{}, err
	}
	var lists []deadletter.List
	for _, name := range d.names(f.Destination) {
		var list deadletter.List
		var err error
		list.Damaged, err = d.each([]string{name}, f.Wants, func(_ deadletter.ID, l *deadletter.Letter) error {
			list.Add(l, limit)
			return nil
		})
		lists = append(lists, list)
		if err != nil {
			return deadletter.Merge(limit, lists...), err
		}
	}
	return deadletter.Merge(limit, lists...), nil
}

// Select calls visit for each letter that is wanted, those of a destination oldest
// first, and returns the number of those that cannot be read. One that is encrypted
// with another key is an error, and is found before visit is called.
func (d *DeadLetters) Select(wants func(*deadletter.Letter) bool, visit func(deadletter.ID, *deadletter.Letter) error) (damaged int, err error) {
	if _, err := d.each(d.names(""), func(*deadletter.Letter) bool { return false }, nil); err != nil {
		return 0, err
	}
	return d.each(d.names(""), wants, visit)
}

// Remove takes letters out for good and returns how many.
func (d *DeadLetters) Remove(gone map[deadletter.ID]bool) (int, error) {
	if len(gone) == 0 {
		return 0, nil
	}
	return d.sweep(d.f.ctx, d.names(""), func(line []byte) (bool, error) { return gone[deadletter.IDOf(line)], nil })
}

// Purge removes the letters that are wanted for good and returns how many. After
// deadletter.ErrEncrypted nothing was touched.
func (d *DeadLetters) Purge(wants func(*deadletter.Letter) bool) (int, error) {
	return d.sweep(d.f.ctx, d.names(""), func(line []byte) (bool, error) {
		l, err := deadletter.Decode(line, d.f.codec.keys)
		if errors.Is(err, deadletter.ErrEncrypted) {
			return false, err
		}
		return err == nil && wants(&l), nil
	})
}

// each is Select, but calls visit for what comes before an encrypted letter.
func (d *DeadLetters) each(
	destinations []string, wants func(*deadletter.Letter) bool, visit func(deadletter.ID, *deadletter.Letter) error,
) (damaged int, err error) {
	err = d.scan(d.f.ctx, destinations, func(_ string, s stored) error {
		l, err := deadletter.Decode(s.payload, d.f.codec.keys)
		switch {
		case errors.Is(err, deadletter.ErrEncrypted):
			return err
		case err != nil:
			damaged++
		case wants(&l):
			return visit(deadletter.IDOf(s.payload), &l)
		}
		return nil
	})
	return damaged, err
}

// scan calls visit for each letter that the streams hold at present.
func (d *DeadLetters) scan(ctx context.Context, destinations []string, visit func(destination string, s stored) error) error {
	if err := d.reachable(); err != nil {
		return err
	}
	for _, name := range destinations {
		if err := d.f.b.Letters(ctx, name, func(s stored) error { return visit(name, s) }); err != nil {
			return fmt.Errorf("dead letters: %w", err)
		}
	}
	return nil
}

// chosen are the letters of a destination that are to be removed: all before a
// sequence, and single ones.
type chosen struct {
	before  uint64
	singles []uint64
}

// sweep removes the letters whose lines are chosen, when it has read all: many go in
// one request where they are the oldest.
func (d *DeadLetters) sweep(ctx context.Context, destinations []string, choose func(line []byte) (bool, error)) (n int, err error) {
	all := make(map[string]*chosen)
	stays := make(map[string]bool) // some letter does
	err = d.scan(ctx, destinations, func(name string, s stored) error {
		is, err := choose(s.payload)
		switch {
		case err != nil:
			return err
		case !is:
			stays[name] = true
			return nil
		case all[name] == nil:
			all[name] = new(chosen)
		}
		if stays[name] {
			all[name].singles = append(all[name].singles, s.sequence)
		} else {
			all[name].before = s.sequence + 1
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for name, c := range all {
		removed, err := d.remove(ctx, name, *c)
		n += removed
		if err != nil {
			return n, fmt.Errorf("dead letters: %w", err)
		}
	}
	return n, nil
}

func (d *DeadLetters) remove(ctx context.Context, destination string, c chosen) (n int, err error) {
	bounded := func() (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, requestWait) }
	request, cancel := bounded()
	n, err = d.f.b.PurgeLetters(request, destination, c.before)
	cancel()
	for _, sequence := range c.singles {
		if err != nil {
			return n, err
		}
		var is bool
		request, cancel := bounded()
		is, err = d.f.b.RemoveLetter(request, destination, sequence)
		cancel()
		if is {
			n++
		}
	}
	return n, err
}
