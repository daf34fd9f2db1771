package forwarder

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/forwarder/wal"
	"github.com/intilery/caddy-intilery/internal/fsx"
	"github.com/intilery/caddy-intilery/internal/seal"
)

// eventLog keeps stored events in lanes. This file is the only one that knows
// which log it is.
type eventLog interface {
	Start()                                                     // opens the log in the background
	Opened() <-chan struct{}                                    // closed once it is open
	Ready() error                                               // nil while this process has it open
	Lane(name string) logLane                                   // to be followed by its Release
	Ends() map[string]queue.Position                            // of the last durable record, by lane
	Unfinished() map[string]queue.Position                      // of Ends, where records may still be read, also after a crash
	Cursor(lane string) (at queue.Position, known bool)         // creates no lane
	Drop(match func(rec []byte) bool) (n [queue.Classes]uint64) // from memory
	Flush(ctx context.Context) error                            // until what was appended is durable or shed
	Stats() queue.Stats
	Pending() map[string]uint64 // records durable and not ended, by lane
	Incarnation() uint64        // of the positions of an open log
	Crowded() bool              // it has used half of its maximum size
	Close() error
}

// logLane is a lane of an eventLog. AppendWith works in memory only and owns rec;
// the receipt may be nil.
type logLane interface {
	queue.Source
	AppendWith(r *queue.Receipt, class queue.Class, rec []byte) error
	Release()
}

// SyncPolicy says when what is written to the queue is forced onto the disk.
type SyncPolicy = wal.SyncPolicy

// The policies.
const (
	SyncGroup    = wal.SyncGroup    // with each group of events
	SyncInterval = wal.SyncInterval // every Settings.SyncEvery
	SyncOS       = wal.SyncOS       // when the operating system gets to it
)

type embeddedLog struct{ *wal.Log }

func (l embeddedLog) Lane(name string) logLane { return l.Log.Lane(name) }

func logDir(dir string) string { return filepath.Join(dir, "wal") }

// openLog makes the embedded log. It does no I/O; the log's Start does.
func openLog(dir string, s Settings, l *slog.Logger) eventLog {
	return embeddedLog{wal.New(wal.Options{
		Dir:            logDir(dir),
		BufferBytes:    s.BufferBytes,
		FreeSpaceFloor: s.FreeSpaceFloor,
		Sync:           s.Sync,
		SyncEvery:      s.SyncEvery,
		MaxBytes:       s.MaxBytes,
		MaxAge:         s.MaxAge,
		Keys:           s.keyring,
		Logger:         l,
	})}
}

// ErrInUse: a running process has the queue.
var ErrInUse = fsx.ErrLocked

// InUse reports whether a running process has the queue in a data directory. The
// error says why that cannot be known.
func InUse(dir string) (bool, error) { return wal.InUse(logDir(dir)) }

// Salvaged says what Salvage found.
type Salvaged = wal.Salvaged

// Salvage gives out every event that can still be made out in dir, each lane's in
// order: a data directory, the queue in it, or a segment of that, in quarantine or
// not. It changes nothing. Keys are those of Settings.EncryptionKeys. An error of
// each ends it and is returned; ErrInUse is another.
func Salvage(dir string, keys [][]byte, each func(lane string, rec []byte) error) (Salvaged, error) {
	ring, err := seal.New(keys)
	if err != nil {
		return Salvaged{}, err
	}
	if fi, err := os.Stat(logDir(dir)); err == nil && fi.IsDir() {
		dir = logDir(dir)
	}
	return wal.Salvage(dir, ring, func(lane string, _ queue.Class, rec []byte) error { return each(lane, rec) })
}

// Interface guards
var (
	_ eventLog = embeddedLog{}
	_ logLane  = (*wal.Lane)(nil)
)
