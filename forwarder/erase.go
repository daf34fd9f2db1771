package forwarder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"
)

// Subject names a visitor by one of its IDs: exactly one is set.
type Subject struct{ UserID, AnonymousID string }

// kinds of IDs, as they are written to disk.
const (
	byUserID      = "userId"
	byAnonymousID = "anonymousId"
)

func (s Subject) kindAndID() (kind, id string, err error) {
	kind, id = byUserID, s.UserID
	if id == "" {
		kind, id = byAnonymousID, s.AnonymousID
	}
	switch {
	case id == "":
		err = errors.New("no ID given: want a userId or an anonymousId")
	case s.UserID != "" && s.AnonymousID != "":
		err = errors.New("two IDs given: want a userId or an anonymousId, one at a time")
	case !utf8.ValidString(id):
		err = errors.New("the ID is not UTF-8")
	}
	return kind, id, err
}

// Erased is what Erase removed.
type Erased struct {
	Memory      int `json:"memory"`       // events not yet in the log
	Log         int `json:"log"`          // events in the log that will not be sent
	DeadLetters int `json:"dead_letters"` // dead letters
	// Quarantined is the number of generations in quarantine, which Erase does
	// not look into. They are never sent.
	Quarantined int `json:"quarantined"`
}

// Erase removes the undelivered events that carry an ID of a visitor: from
// memory, from the log and from the dead letters. Events in the log are not
// sent any more from here on, also by later processes; their bytes leave the
// disk with their generation, within the log's maximum age. A request that is
// under way is not called back. Events that are captured after Erase has
// returned are new.
//
// On success the erasure is on disk and noted in the audit file, with a keyed
// digest in place of the ID. On an error some of the events may be left, and
// Erase should be called again. Errors: ErrClosed, ErrNotStarted, ErrSealed, and
// those of the disk.
func (f *Forwarder) Erase(ctx context.Context, s Subject) (n Erased, err error) {
	kind, id, err := s.kindAndID()
	if err != nil {
		return n, err
	}
	letters, queue, err := f.store()
	if err != nil {
		return n, err
	}
	is := func(event []byte) bool {
		if !isStored(event) {
			return false
		}
		anonymousID, userID := idsOf(event)
		if kind == byUserID {
			return unquoted(userID) == id
		}
		return unquoted(anonymousID) == id
	}
	n.Memory = f.dropWaiting(is)
	for _, c := range queue.DropHeld(func(_ string, rec []byte) bool { return is(rec) }) {
		n.Memory += int(c)
	}
	// What was on its way from memory to the disk must have its place there.
	if err := queue.Flush(ctx); err != nil {
		return n, fmt.Errorf("erase: the queue does not reach the disk; nothing of the log was erased; try again: %w", err)
	}
	upto := make(map[string]uint64)
	stats := queue.Stats()
	n.Quarantined = stats.Quarantined
	for name, l := range stats.Lanes {
		// Also where nothing is pending: a crash sets a cursor back.
		if l.Committed > 0 {
			upto[name] = l.Committed
		}
	}
	if err := f.erasures.add(kind, id, upto); err != nil {
		return n, fmt.Errorf("erase: %w", err)
	}
	for name, last := range upto {
		found, err := countLane(ctx, queue, name, last, is)
		n.Log += found
		if err != nil {
			return n, fmt.Errorf("erase: the events in the log are erased, but cannot be counted: %w", err)
		}
	}
	if n.DeadLetters, err = letters.purge(func(l *DeadLetter) bool { return is(l.Event) }); err != nil {
		return n, fmt.Errorf("erase: %w", err)
	}
	if err := f.erasures.audit(kind, id, n, time.Now()); err != nil {
		return n, fmt.Errorf("erase: the events are erased, but the audit file cannot be written: %w", err)
	}
	return n, nil
}

// dropWaiting removes matching events that wait for their destination to be
// configured.
func (f *Forwarder) dropWaiting(match func([]byte) bool) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = slices.DeleteFunc(f.waiting, func(h held) bool {
		if !match(h.record) {
			return false
		}
		n++
		f.held -= len(h.record)
		return true
	})
	return n
}

// countLane counts the events of a lane up to last that match and are not
// acknowledged.
func countLane(ctx context.Context, q Log, lane string, last uint64, match func([]byte) bool) (n int, err error) {
	after := q.Acked(lane)
	for after < last {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		recs, err := q.Read(lane, after, maxBody)
		if err != nil || len(recs) == 0 {
			return n, err
		}
		for _, r := range recs {
			if r.Seq <= last && match(r.Data) {
				n++
			}
		}
		after = recs[len(recs)-1].Seq
	}
	return n, nil
}
