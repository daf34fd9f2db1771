package queue

import "errors"

// Class ranks records: when there is no room, those of a lower class are shed first.
type Class uint8

// Classes is the number of classes; 0 is shed first.
const Classes = 5

// Record is one stored event with its place in its lane. Data must not be changed.
type Record struct {
	Position Position
	Class    Class
	Data     []byte
	// Node is the one of a fleet that took the record in; empty in a log.
	Node string
}

// Source is what delivery sees of a lane. A lane has one consumer at a time.
type Source interface {
	// Read returns durable records behind a position, in order: as many as fit
	// into maxBytes of data, but at least one if there is any, and not always all
	// that would fit. It returns nil when there is none. Records that are lost are
	// passed over; the log has counted them. An error says that records cannot be
	// had now; what was armed by Await fires when that changes.
	Read(after Position, maxBytes int) ([]Record, error)

	// Acknowledged is the cursor: the position of the last record that has ended,
	// all before it having ended too.
	Acknowledged() Position

	// Acknowledge moves the cursor and returns where it was. Records behind from
	// and up to the given position have been ended by the caller and by nobody
	// else; what is not behind from, the log has given up and counted itself. The
	// cursor does not move backwards, nor past what was read.
	Acknowledge(upto Position) (from Position)

	// Await arms one call of f, as soon as records of about that many bytes wait
	// behind a position; with 1, as soon as there is any. If they do already, or
	// if Read may have something else to say, f is called at once. F must not
	// block. A later Await takes an earlier one's place.
	Await(after Position, bytes int, f func())
}

// Errors of appending a record, to be tested with errors.Is.
var (
	// ErrFull: there was no room for a record of this class, and it was shed.
	ErrFull = errors.New("no room in the queue")
	// ErrClosed: the log was closed.
	ErrClosed = errors.New("queue closed")
	// ErrTooLarge: the record is larger than the log takes.
	ErrTooLarge = errors.New("record too large for the queue")
)

// ErrNotHeld says that this process does not have the log at present: it is not
// open yet, or another process has it.
var ErrNotHeld = errors.New("the queue is not open in this process")
