package queue

import (
	"context"
	"sync/atomic"
)

// Receipts tell somebody who appends records when all of them have an outcome, and
// which: a record is durable, was erased, was shed, or was given up.
type Receipts struct {
	open atomic.Int64 // records without an outcome, and one until Seal
	done chan struct{}
	list []Receipt
	one  [1]Receipt // the list of a single one
}

// NewReceipts returns n receipts for records to come. Seal ends them.
func NewReceipts(n int) *Receipts {
	rs := &Receipts{done: make(chan struct{})}
	if n == 1 {
		rs.list = rs.one[:]
	} else {
		rs.list = make([]Receipt, n)
	}
	for i := range rs.list {
		rs.list[i].of = rs
	}
	rs.open.Store(1)
	return rs
}

// At returns one of the receipts.
func (rs *Receipts) At(i int) *Receipt { return &rs.list[i] }

// Seal says that no more records are appended with the receipts.
func (rs *Receipts) Seal() { rs.end() }

func (rs *Receipts) end() {
	if rs.open.Add(-1) == 0 {
		close(rs.done)
	}
}

// Done is closed when all records have their outcome.
func (rs *Receipts) Done() <-chan struct{} { return rs.done }

// Ended reports that Done is closed.
func (rs *Receipts) Ended() bool {
	select {
	case <-rs.done:
		return true
	default:
		return false
	}
}

// Wait waits until Done, and returns the first receipt's Err that is not nil; or
// ctx's error when ctx ends first.
func (rs *Receipts) Wait(ctx context.Context) error {
	select {
	case <-rs.done:
	case <-ctx.Done():
		if !rs.Ended() {
			return ctx.Err()
		}
	}
	for i := range rs.list {
		if err := rs.list[i].Err(); err != nil {
			return err
		}
	}
	return nil
}

// Receipt is for a record, or for several that share an outcome. A nil one is for
// records that nobody waits for.
type Receipt struct {
	of  *Receipts
	err atomic.Pointer[error]
}

// Err says, once the receipts are Done, why a record is not durable: ErrFull when it
// was shed, ErrClosed when it was given up at shutdown, or what Refuse was given. It
// is nil when all of its records are durable or were erased, or there are none.
func (r *Receipt) Err() error {
	if err := r.err.Load(); err != nil {
		return *err
	}
	return nil
}

// Receipts returns those that the receipt is one of.
func (r *Receipt) Receipts() *Receipts { return r.of }

// Refuse gives the receipt the outcome of a record that no log has taken in.
func (r *Receipt) Refuse(err error) { r.err.Store(&err) }

// Begin is called by a log that takes a record in, and End when it has an outcome:
// nil for a record that is durable or erased, or why it is neither.
func (r *Receipt) Begin() {
	if r != nil {
		r.of.open.Add(1)
	}
}

// End is explained at Begin.
func (r *Receipt) End(err error) {
	if r == nil {
		return
	}
	if err != nil {
		r.Refuse(err)
	}
	r.of.end()
}
