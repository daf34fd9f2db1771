package wal

import (
	"errors"
	"testing"

	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// receive appends a record with a receipt of its own.
func receive(t *testing.T, l *Log, class queue.Class, rec string) *queue.Receipts {
	t.Helper()
	r := queue.NewReceipts(1)
	if err := l.Lane("a").AppendWith(r.At(0), class, []byte(rec)); err != nil {
		t.Fatal(err)
	}
	r.Seal()
	return r
}

// Whoever waits for a record learns that it is durable, shed, erased or given up,
// and nothing before.
func TestReceipt(t *testing.T) {
	o := quick(t.TempDir())
	o.BufferBytes = 10 * 1000
	l, d := blocked(t, o)
	big := string(make([]byte, 4000))
	evicted, erased := receive(t, l, 0, big), receive(t, l, 1, "erase me")
	kept := receive(t, l, 1, big)
	if evicted.Ended() || kept.Ended() {
		t.Error("an outcome before the disk had room")
	}
	l.Drop(func(rec []byte) bool { return string(rec) == "erase me" })
	if err := erased.Wait(t.Context()); err != nil {
		t.Errorf("erased: %v", err)
	}
	last := receive(t, l, 2, big)
	if err := evicted.Wait(t.Context()); !errors.Is(err, queue.ErrFull) {
		t.Errorf("evicted: %v", err)
	}
	d.bytes.Store(plenty)
	for _, r := range []*queue.Receipts{kept, last} {
		if err := r.Wait(t.Context()); err != nil {
			t.Errorf("kept: %v", err)
		}
	}
	if n := len(drain(t, l, "a", 0)); n != 2 {
		t.Errorf("%d records are durable, want 2", n)
	}
}

// A log that closes without a disk tells those who wait.
func TestReceiptAtShutdown(t *testing.T) {
	l, _ := blocked(t, quick(t.TempDir()))
	r := receive(t, l, 2, "x")
	if err := l.Close(); err != nil {
		t.Log(err)
	}
	if err := r.Wait(t.Context()); !errors.Is(err, queue.ErrClosed) {
		t.Errorf("given up: %v", err)
	}
}
