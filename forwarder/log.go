package forwarder

import (
	"context"

	"github.com/intilery/caddy-intilery/forwarder/wal"
)

// Record is a stored event with its place in a lane.
type Record = wal.Record

// Log keeps records in lanes. Package wal is the embedded one.
type Log interface {
	// Start opens the log in the background. It may be called again.
	Start()
	// Append adds a record to a lane, in memory, and takes ownership of it. It
	// never waits. Errors: wal.ErrFull, wal.ErrClosed.
	Append(lane string, class uint8, rec []byte) error
	// Read returns durable records of a lane behind a sequence number, in order,
	// at most maxBytes of them but at least one if there is any.
	Read(lane string, after uint64, maxBytes int) ([]Record, error)
	// Acked is the highest acknowledged sequence number of a lane.
	Acked(lane string) uint64
	// Ack acknowledges a lane up to a sequence number.
	Ack(lane string, seq uint64)
	// DropHeld removes the records for which match says so from memory, and
	// returns how many, by class.
	DropHeld(match func(lane string, rec []byte) bool) [wal.Classes]uint64
	// Flush returns nil when all that was appended before is durable or shed.
	Flush(ctx context.Context) error
	// Wait returns the channel that is signalled when a lane may have something
	// new to read.
	Wait(lane string) <-chan struct{}
	// Stats returns counters and gauges of the log.
	Stats() wal.Stats
	// Close flushes what can be flushed in a bounded time.
	Close() error
}

// Interface guards
var _ Log = (*wal.Log)(nil)
