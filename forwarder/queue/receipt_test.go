package queue

import (
	"context"
	"errors"
	"testing"
)

// Receipts end when all records have, and never before they are sealed. Each knows
// its own outcome.
func TestReceipts(t *testing.T) {
	rs := NewReceipts(4)
	durable, shed, refused, unused := rs.At(0), rs.At(1), rs.At(2), rs.At(3)
	durable.Begin()
	durable.Begin() // two records of one receipt
	shed.Begin()
	refused.Refuse(ErrTooLarge)
	durable.End(nil)
	shed.End(ErrFull)
	durable.End(nil)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := rs.Wait(ended); rs.Ended() || !errors.Is(err, context.Canceled) {
		t.Errorf("ended before it was sealed: %v", err)
	}
	rs.Seal()
	if err := rs.Wait(ended); !rs.Ended() || !errors.Is(err, ErrFull) {
		t.Errorf("one was shed: %v", err)
	}
	for i, want := range []error{nil, ErrFull, ErrTooLarge, nil} {
		if err := rs.At(i).Err(); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("outcome %d: %v, want %v", i, err, want)
		}
	}
	if unused.Receipts() != rs {
		t.Error("a receipt of others")
	}
	var nobody *Receipt
	nobody.Begin()
	nobody.End(ErrFull)
}
