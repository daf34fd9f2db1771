package fleet

import (
	"context"
	"errors"
	"time"
)

// saveNow writes the cursor, and again until that has succeeded or the lane is lost.
func (o *owned) saveNow() {
	failures := newBackoff()
	for o.ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(o.ctx, requestWait)
		err := o.save(ctx)
		cancel()
		switch {
		case err == nil:
			return
		case errors.Is(err, errTakenOver), errors.Is(err, errRolledBack):
			o.f.lose(o, err)
			return
		}
		wait(o.ctx, failures.NextBackOff())
	}
}

// save writes the cursor if it has moved, and cuts off the stream before it.
func (o *owned) save(ctx context.Context) error {
	o.saving.take()
	defer o.saving.give()
	o.mu.Lock()
	if !o.dirty || o.fenced {
		o.mu.Unlock()
		return nil
	}
	p, ended := o.flight[0], o.ended
	o.dirty, o.saved = false, time.Now()
	o.mu.Unlock()
	// Looked at before the cursor is moved past what a stream that was set back may
	// have got since.
	rolledBack, err := o.cursor.rolledBack(ctx)
	switch {
	case err != nil:
	case rolledBack:
		err = errRolledBack // it is taken again, from the beginning
	default:
		err = o.cursor.move(ctx, p.sequence, p.stored)
	}
	if err != nil {
		o.mu.Lock()
		o.dirty = true
		o.mu.Unlock()
		return err
	}
	if time.Since(o.trimmed) < trimEvery && int64(ended) < o.f.o.MaxBytes/lanes/trimPart {
		return nil
	}
	o.trimmed = time.Now()
	o.mu.Lock()
	o.ended -= ended
	o.mu.Unlock()
	_ = o.f.b.Trim(ctx, o.lane, p.sequence) // it is tried again
	return nil
}

// checkIdle is how often a lane is checked in which nothing happens.
const checkIdle = 10 * time.Second

// idle reports that a lane is to be checked: new events may be where nobody reads.
func (o *owned) idle() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	is := !o.dirty && time.Since(o.saved) > checkIdle && time.Since(o.checked) > checkIdle
	if is {
		o.checked = time.Now()
	}
	return is
}

// check looks whether the stream is still the one that was read. It returns false
// when the lane was given up.
func (o *owned) check() bool {
	ctx, cancel := context.WithTimeout(o.ctx, requestWait)
	defer cancel()
	o.saving.take()
	rolledBack, err := o.cursor.rolledBack(ctx)
	o.saving.give()
	if err == nil && rolledBack {
		o.f.lose(o, errRolledBack)
		return false
	}
	return true
}
