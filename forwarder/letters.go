package forwarder

import (
	"errors"
	"log/slog"

	"github.com/intilery/caddy-intilery/forwarder/deadletter"
	"github.com/intilery/caddy-intilery/forwarder/fleet"
)

// letters are the dead letters: the files in the data directory, or a fleet's. What
// the methods promise is documented at deadletter.Store and fleet.DeadLetters.
type letters interface {
	// Add returns when the letter will outlive this process. After an error it may be
	// called again with the same letter.
	Add(l *deadletter.Letter, allowed func() bool) (added bool, err error)
	List(f deadletter.Filter, limit int) (deadletter.List, error)
	Select(wants func(*deadletter.Letter) bool, visit func(deadletter.ID, *deadletter.Letter) error) (damaged int, err error)
	Remove(gone map[deadletter.ID]bool) (int, error)
	Purge(wants func(*deadletter.Letter) bool) (int, error)
	// Stats does not wait.
	Stats() deadletter.Stats
}

// joined are the dead letters of a node of a fleet: the fleet's, and those in the
// node's own files. These are from before it was in the fleet, or too large for the
// fleet's broker.
type joined struct {
	fleet letters
	files letters
	log   *slog.Logger
}

// Add writes to the node's files only what the broker would never take.
func (j joined) Add(l *deadletter.Letter, allowed func() bool) (added bool, err error) {
	added, err = j.fleet.Add(l, allowed)
	if !errors.Is(err, fleet.ErrLetterTooLarge) {
		return added, err
	}
	j.log.Warn("a dead letter is kept in the files of this node, not by the fleet", "destination", l.Destination, "reason", err)
	return j.files.Add(l, allowed)
}

func (j joined) List(f deadletter.Filter, limit int) (deadletter.List, error) {
	own, err := j.files.List(f, limit)
	if err != nil {
		return own, err
	}
	shared, err := j.fleet.List(f, limit)
	return deadletter.Merge(limit, own, shared), err
}

// readable has an error as its result when one of the node's files is not: before the
// fleet's letters are touched.
func (j joined) readable() error {
	_, err := j.files.Select(func(*deadletter.Letter) bool { return false }, nil)
	return err
}

func (j joined) Select(wants func(*deadletter.Letter) bool, visit func(deadletter.ID, *deadletter.Letter) error) (damaged int, err error) {
	if err := j.readable(); err != nil {
		return 0, err
	}
	shared, err := j.fleet.Select(wants, visit)
	if err != nil {
		return shared, err
	}
	own, err := j.files.Select(wants, visit)
	return shared + own, err
}

func (j joined) Remove(gone map[deadletter.ID]bool) (int, error) {
	own, errOwn := j.files.Remove(gone)
	shared, err := j.fleet.Remove(gone)
	return own + shared, errors.Join(errOwn, err)
}

func (j joined) Purge(wants func(*deadletter.Letter) bool) (int, error) {
	if err := j.readable(); err != nil {
		return 0, err
	}
	shared, err := j.fleet.Purge(wants)
	if err != nil {
		return shared, err
	}
	own, err := j.files.Purge(wants)
	return shared + own, err
}

func (j joined) Stats() deadletter.Stats {
	own, shared := j.files.Stats(), j.fleet.Stats()
	return deadletter.Stats{Kept: own.Kept + shared.Kept, Bytes: own.Bytes + shared.Bytes, Dropped: own.Dropped + shared.Dropped}
}

// Interface guards
var (
	_ letters = (*deadletter.Store)(nil)
	_ letters = (*fleet.DeadLetters)(nil)
	_ letters = joined{}
)
