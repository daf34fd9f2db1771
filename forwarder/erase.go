package forwarder

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/intilery/caddy-intilery/forwarder/deadletter"
	"github.com/intilery/caddy-intilery/forwarder/erasure"
	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// Erase removes the undelivered events that carry an ID of a visitor: from
// memory, from the queue and from the dead letters. It is for an operator, who is
// told what was there: it reads what is pending in the visitor's lanes, and the
// dead letters. Events in the queue are not sent any more from here on, also by
// later processes; their bytes leave the disk with their segment, within the
// queue's maximum age. A request that is under way is not called back. Events that
// are captured after Erase has returned are new.
//
// On success the erasure is on disk and noted in the audit file, with a keyed
// digest in place of the ID. On an error some of the events may be left, and
// Erase should be called again. Errors: ErrClosed, ErrNotStarted, ErrNotHeld,
// deadletter.ErrEncrypted, and those of the disk.
func (f *Forwarder) Erase(ctx context.Context, who erasure.Subject) (n erasure.Counts, err error) {
	if err := who.Validate(); err != nil {
		return n, err
	}
	defer f.shared.forget(who.Is)
	s, done, err := f.maintain(ctx)
	if err != nil {
		return n, err
	}
	defer done()
	is := func(ev []byte) bool { return event.IsStored(ev) && who.Is(event.Stored(ev).IDs()) }
	n.Memory = f.dropUnrouted(is)
	for _, c := range s.queue.Drop(is) {
		n.Memory += int(c)
	}
	isLetter := func(l *deadletter.Letter) bool { return is(l.Event) }
	if s.fleet != nil { // which does this too, and does not count them
		if n.DeadLetters, err = s.files.Purge(isLetter); err != nil {
			return n, fmt.Errorf("erase: %w", err)
		}
	}
	upto, removed, err := s.erase(ctx, who, 0, f.names())
	n.DeadLetters += removed
	if err != nil {
		return n, fmt.Errorf("erase: %w", err)
	}
	stats := s.queue.Stats()
	n.Quarantined = stats.Quarantined
	for name, end := range upto {
		if stats.Pending[name] == 0 {
			continue
		}
		found, err := count(ctx, s.queue, name, end, is)
		n.Log += found
		if err != nil {
			return n, fmt.Errorf("erase: the events in the queue are erased, but cannot be counted: %w", err)
		}
	}
	removed, err = s.files.Purge(isLetter)
	n.DeadLetters += removed
	if err != nil {
		return n, fmt.Errorf("erase: %w", err)
	}
	if err := s.erasures.Audit(who, n); err != nil {
		return n, fmt.Errorf("erase: the events are erased, but the audit file cannot be written: %w", err)
	}
	return n, nil
}

// erase has what is in the queue of a visitor not sent any more. It returns the
// places in the lanes up to which that goes. MaxPlaces is that of
// erasure.Register.Add.
// Of a fleet, the destinations' streams and the other nodes' logs are included, and
// its dead letters: letters is how many of them were removed.
func (s *shared) erase(
	ctx context.Context, who erasure.Subject, maxPlaces int, destinations []string,
) (upto map[string]queue.Position, letters int, err error) {
	// What was on its way from memory to the disk must have its place there.
	if err := s.queue.Flush(ctx); err != nil {
		return nil, 0, fmt.Errorf("the queue does not reach the disk; nothing of it was erased; try again: %w", err)
	}
	upto = s.queue.Unfinished()
	if who.AnonymousID != "" { // all of its events are in one lane of each destination
		suffix := laneName("", event.Lane(who.AnonymousID, "", lanes))
		maps.DeleteFunc(upto, func(lane string, _ queue.Position) bool { return !strings.HasSuffix(lane, suffix) })
	}
	if err := s.erasures.Add(who, upto, maxPlaces); err != nil || s.fleet == nil {
		return upto, 0, err
	}
	letters, err = s.fleet.Erase(ctx, who, destinations)
	return upto, letters, err
}

// names are those of the destinations.
func (f *Forwarder) names() []string { return slices.Sorted(maps.Keys(*f.destinations.Load())) }

// count counts the events of a lane up to a place that match and have not ended.
func count(ctx context.Context, q eventLog, name string, upto queue.Position, match func([]byte) bool) (n int, err error) {
	lane := q.Lane(name)
	defer lane.Release()
	for at := lane.Acknowledged(); at.Compare(upto) < 0; {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		recs, err := lane.Read(at, maxBody)
		if err != nil || len(recs) == 0 {
			return n, err
		}
		for _, r := range recs {
			if r.Position.Compare(upto) <= 0 && match(r.Data) {
				n++
			}
			at = r.Position
		}
	}
	return n, nil
}
