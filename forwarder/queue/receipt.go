package queue

import (
	"context"
	"sync/atomic"
)

// Receipt tells its waiters when records that were appended with it have become
// durable. A nil one is for records that nobody waits for.
type Receipt struct {
	open   atomic.Int64 // records without an outcome, and one until Seal
	failed atomic.Pointer[error]
	done   chan struct{}
}

// NewReceipt returns a receipt for records to come. Seal ends them.
func NewReceipt() *Receipt {
	r := &Receipt{done: make(chan struct{})}
	r.open.Store(1)
	return r
}

// Seal says that no more records are appended with the receipt.
func (r *Receipt) Seal() { r.End(nil) }

// fail is apart from End, which costs no memory without an error.
func (r *Receipt) fail(err error) { r.failed.Store(&err) }

// Wait returns nil once all of the records are durable or were erased; ErrFull
// when one of them was shed, and ErrClosed when one was given up at shutdown; and
// ctx's error when ctx ends first.
func (r *Receipt) Wait(ctx context.Context) error {
	select {
	case <-r.done:
	case <-ctx.Done():
		if !r.Ended() {
			return ctx.Err()
		}
	}
	if failed := r.failed.Load(); failed != nil {
		return *failed
	}
	return nil
}

// Done is closed when Wait has nothing to wait for any more.
func (r *Receipt) Done() <-chan struct{} { return r.done }

// Ended reports whether Wait has nothing to wait for any more.
func (r *Receipt) Ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// Begin is called by a log that takes a record in, and End when it has an outcome:
// nil for a record that is durable or erased, or why it is neither.
func (r *Receipt) Begin() {
	if r != nil {
		r.open.Add(1)
	}
}

// End is explained at Begin.
func (r *Receipt) End(err error) {
	if r == nil {
		return
	}
	if err != nil {
		r.fail(err)
	}
	if r.open.Add(-1) == 0 {
		close(r.done)
	}
}
