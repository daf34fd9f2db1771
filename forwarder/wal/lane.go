package wal

import (
	"sync/atomic"

	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// Lane is one ordered sequence of records of a Log.
type Lane struct {
	log      *Log
	name     string
	buffered atomic.Int64 // records in the buffer, and taken from it

	// index.mu guards these.
	id       uint32 // 0 until the writer has given it one
	users    int
	last     uint64 // the highest committed sequence
	durable  uint64 // the highest that a loss of power leaves
	acked    uint64 // the cursor
	pending  uint64 // records in spans
	spans    spans
	headAt   int64   // Unix ms of about the oldest pending record; 0 when there is none
	readTo   uint64  // the highest sequence that was read
	hints    [4]hint // where reads have ended lately
	nextHint int
	unread   int64 // about the bytes behind readTo
	await    int64 // call fires when so many bytes are unread; 0 when none is armed
	call     func()

	// The writer's: the highest sequence given out, and, while it builds a group,
	// the lane's entries in it as a chain; -1 when there is none.
	given                uint64
	chainHead, chainTail int
}

// hint is where the reader of a lane goes on: the sequences behind after begin in
// a block of that number, or a later one, of the segment.
type hint struct {
	seg   *segmentInfo
	after uint64
	block uint64
}

// Lane returns the lane of a name, which is made if need be. Each call is to be
// followed by one of Release.
func (l *Log) Lane(name string) *Lane { return l.index.lane(name, l) }

// Release says that the lane is not used any more. The log forgets a lane that
// nobody uses when all its records have ended.
func (ln *Lane) Release() {
	x := ln.log.index
	x.mu.Lock()
	defer x.mu.Unlock()
	ln.users--
	if ln.users > 0 {
		return
	}
	ln.call, ln.await = nil, 0
	x.forgetLocked(ln)
	x.changedLocked() // the writer looks at those that cannot be forgotten yet
}

// Append adds a record. It works in memory only and never waits. The log owns rec
// from then on. Class says what is shed first when the buffer is full, or the
// log near its maximum size. Errors: queue.ErrFull, queue.ErrTooLarge,
// queue.ErrClosed.
func (ln *Lane) Append(class queue.Class, rec []byte) error { return ln.AppendWith(nil, class, rec) }

// AppendWith is Append with a receipt for somebody who waits until the record is
// durable.
func (ln *Lane) AppendWith(r *queue.Receipt, class queue.Class, rec []byte) error {
	if len(rec) > MaxRecord || class >= queue.Classes {
		return queue.ErrTooLarge
	}
	return ln.log.buffer.add(entry{lane: ln, data: rec, at: ln.log.wall().UnixMilli(), class: class, receipt: r})
}

// Acknowledged implements queue.Source.
func (ln *Lane) Acknowledged() queue.Position {
	x := ln.log.index
	x.mu.Lock()
	defer x.mu.Unlock()
	return queue.At(x.incarnation, ln.acked)
}

// Acknowledge implements queue.Source. The cursor reaches the disk within a second.
func (ln *Lane) Acknowledge(upto queue.Position) (from queue.Position) {
	return ln.log.index.acknowledge(ln, upto)
}

// Await implements queue.Source.
func (ln *Lane) Await(after queue.Position, bytes int, f func()) {
	x := ln.log.index
	x.mu.Lock()
	ln.call, ln.await = f, int64(max(bytes, 1))
	if after.Offset(x.incarnation) < ln.readTo {
		ln.unread = max(ln.unread, 1) // it reads again
	}
	call := ln.dueLocked()
	x.mu.Unlock()
	if call != nil {
		call()
	}
}

// dueLocked returns the armed call if it is due, and disarms it.
func (ln *Lane) dueLocked() (call func()) {
	if ln.await == 0 || ln.unread < ln.await {
		return nil
	}
	call, ln.call, ln.await = ln.call, nil, 0
	return call
}

// wakeAll returns all armed calls, because Read may have something else to say.
func (x *index) wakeAll() (calls []func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, l := range x.names {
		if l.call != nil {
			calls = append(calls, l.call)
			l.call, l.await = nil, 0
		}
	}
	return calls
}

// Interface guards
var _ queue.Source = (*Lane)(nil)
