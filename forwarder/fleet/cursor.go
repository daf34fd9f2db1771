package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// cursorValue is what a lane's cursor says: the last event of the stream that has
// ended, all before it having ended too. When it was stored tells whether the stream
// still has that event, or has lost it and given its sequence to another one.
type cursorValue struct {
	Owner    string `json:"owner"` // its session
	Epoch    uint64 `json:"epoch"` // raised by each owner
	Sequence uint64 `json:"sequence"`
	Stored   int64  `json:"stored"` // Unix ns; 0 when the sequence is 0
}

// cursor is a lane's cursor as its owner has it. It is used by one goroutine at a time.
type cursor struct {
	b        broker
	lane     string
	owner    string      // whom it is taken for
	value    cursorValue // as it was written
	revision uint64
}

// errTakenOver: the lane is another node's now.
var errTakenOver = errors.New("another node has taken the lane")

// errRolledBack: see cursor.rolledBack.
var errRolledBack = errors.New("the broker has lost delivered events of this lane, and new ones may reuse their sequences; the lane is delivered again from its beginning")

func (c *cursor) key() string { return laneKey(cursorPrefix, c.lane) }

// load reads a cursor.
func (c *cursor) load(ctx context.Context) error {
	e, err := c.b.Get(ctx, c.key())
	if err != nil {
		return err
	}
	c.value, c.revision = cursorValue{}, e.revision
	if e.revision != 0 {
		if err := json.Unmarshal(e.value, &c.value); err != nil {
			return fmt.Errorf("the cursor of lane %s: %w", c.lane, err)
		}
	}
	return nil
}

// take makes the cursor this node's: nobody else moves it from here on.
func (c *cursor) take(ctx context.Context) error {
	if err := c.load(ctx); err != nil {
		return err
	}
	v := c.value
	if rolledBack, err := c.rolledBack(ctx); err != nil {
		return err
	} else if rolledBack {
		v.Sequence, v.Stored = 0, 0
	}
	v.Epoch++
	v.Owner = c.owner
	return c.write(ctx, v)
}

// move writes where the cursor is. Errors: errTakenOver, and those of the broker, after
// which it should be called again.
func (c *cursor) move(ctx context.Context, sequence uint64, stored time.Time) error {
	v := c.value
	v.Sequence, v.Stored = sequence, stored.UnixNano()
	return c.write(ctx, v)
}

func (c *cursor) write(ctx context.Context, v cursorValue) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	revision, err := c.b.Put(ctx, c.key(), text, c.revision, 0)
	if errors.Is(err, errConflict) || errors.Is(err, errUnknown) {
		// This write, or one before, may have been done without an answer.
		e, readErr := c.b.Get(ctx, c.key())
		var found cursorValue
		switch {
		case readErr != nil:
			return readErr
		case e.revision != 0 && json.Unmarshal(e.value, &found) != nil:
			return errTakenOver
		case e.revision == c.revision:
			return err // it was not done
		case found.Owner == v.Owner && found.Epoch == v.Epoch:
			c.value, c.revision = found, e.revision
			return c.write(ctx, v)
		default:
			return errTakenOver
		}
	}
	if err != nil {
		return err
	}
	c.value, c.revision = v, revision
	return nil
}

// rolledBack reports whether the stream has lost the event at the cursor: it was
// restored from an older copy, or was made anew. A stream's new leader may know less
// for a moment, and is asked again.
func (c *cursor) rolledBack(ctx context.Context) (bool, error) {
	for began := time.Now(); ; {
		back, err := c.seemsRolledBack(ctx)
		if err != nil || !back || time.Since(began) >= believeAfter {
			return back, err
		}
		if !wait(ctx, believeAfter/3) {
			return false, ctx.Err()
		}
	}
}

func (c *cursor) seemsRolledBack(ctx context.Context) (bool, error) {
	v := c.value
	if v.Sequence == 0 {
		return false, nil
	}
	at, err := c.b.Stored(ctx, c.lane, v.Sequence)
	if err != nil {
		return false, err
	}
	if !at.IsZero() {
		return at.UnixNano() != v.Stored, nil
	}
	// It was erased, or the stream does not reach as far.
	s, err := c.b.State(ctx, c.lane)
	if err != nil {
		return false, err
	}
	if s.last < v.Sequence {
		return true, nil
	}
	if s.first == 0 || s.first > v.Sequence {
		return false, nil
	}
	at, err = c.b.Stored(ctx, c.lane, s.first)
	return !at.IsZero() && at.UnixNano() > v.Stored, err
}
