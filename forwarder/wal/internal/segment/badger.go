package segment

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

const (
	// memTable bounds the index of a segment's blocks while it takes them.
	memTable = 1 << 20
	// maxBlocks is how many blocks a segment takes: so many fit the memtable, in
	// as many appends.
	maxBlocks = 6000
	// inTable is the size from which Badger puts values into the value log. Blocks
	// are larger; Badger's own marks, which must not go there, are smaller.
	inTable = 32

	valueLog = "000001.vlog"
	memFile  = "00001.mem"
	nextMem  = "00002.mem"
	discard  = "DISCARD"
)

// AlwaysSyncs says that Append makes blocks durable at once: there, syncing a
// file does not reach what was written through a memory map, so Badger syncs.
const AlwaysSyncs = runtime.GOOS == "windows"

// badgerOptions are for a segment that takes size bytes of blocks: its value log
// never becomes larger than Badger is told.
func badgerOptions(dir string, size int64, readOnly bool, log *slog.Logger) badger.Options {
	return badger.DefaultOptions(dir).
		WithReadOnly(readOnly).
		WithSyncWrites(AlwaysSyncs).
		WithMemTableSize(memTable).
		WithNumMemtables(1).
		WithValueThreshold(inTable).
		WithValueLogFileSize(size + 1<<20).
		WithCompression(options.None). // blocks are compressed
		WithBlockCacheSize(0).
		WithIndexCacheSize(0).
		WithNumCompactors(0).
		WithNumLevelZeroTablesStall(1 << 20).
		WithDetectConflicts(false).
		WithMetricsEnabled(false).
		WithLogger(badgerLogger{log})
}

// open opens Badger in managed mode, which spares the bookkeeping of versions.
func open(dir string, size int64, readOnly bool, log *slog.Logger) (db *badger.DB, err error) {
	err = contain(func() error {
		db, err = badger.OpenManaged(badgerOptions(dir, size, readOnly, log))
		return err
	})
	return db, err
}

// prepareDir puts files into a new directory that Badger ends the process over
// when it cannot make them.
func prepareDir(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, discard), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(1<<20), f.Close()) // sparse; it stays so
}

// keyPrefix begins each key.
const keyPrefix = "b"

func keyOf(number uint64) []byte { return binary.BigEndian.AppendUint64([]byte(keyPrefix), number) }

func put(db *badger.DB, version uint64, blocks []Block) error {
	return contain(func() error {
		txn := db.NewTransactionAt(math.MaxUint64, true)
		defer txn.Discard()
		for _, b := range blocks {
			if err := txn.Set(keyOf(b.Number), b.Value); err != nil {
				return fmt.Errorf("add a block: %w", err)
			}
		}
		if err := txn.CommitAt(version, nil); err != nil {
			return fmt.Errorf("commit: %w", err)
		}
		return nil
	})
}

// get calls f with a block. The error is ErrLost when Badger does not have it,
// or has it in a file that it cannot read.
func get(db *badger.DB, number uint64, f func([]byte) error) error {
	return contain(func() error {
		txn := db.NewTransactionAt(math.MaxUint64, false)
		defer txn.Discard()
		item, err := txn.Get(keyOf(number))
		if err != nil {
			if errors.Is(err, badger.ErrKeyNotFound) {
				return ErrLost
			}
			return err
		}
		return item.Value(func(v []byte) error {
			if len(v) == 0 {
				return ErrLost
			}
			return f(v)
		})
	})
}

// errPanic says that Badger panicked: it may hold locks that it never releases,
// so it is to be left alone from then on.
var errPanic = errors.New("badger panicked")

// contain calls f and returns as an error what f panics with, faults of memory
// maps included: a page of a file that cannot be read raises one.
func contain(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errPanic, p)
		}
	}()
	return f()
}

// flushTable writes the table of a database that takes no more blocks. It does so
// in the calling goroutine, where a fault of the table's memory map becomes an
// error; Close would have Badger write it in a goroutine of its own, where it ends
// the process. Badger writes it before it drops a prefix, and there it stops,
// because nextMem is a directory. Should a later version go on, no more than the
// table is gone, and the value log has all of it. After an error the database must
// not be closed.
func flushTable(dir string, db *badger.DB) error {
	err := contain(func() error { return db.DropPrefix([]byte(keyPrefix)) })
	if _, left := os.Stat(filepath.Join(dir, memFile)); err != nil && !errors.Is(left, os.ErrNotExist) {
		return fmt.Errorf("write the table: %w", err)
	}
	if err := os.Remove(filepath.Join(dir, nextMem)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// closeLimit is how long Badger may take to close.
const closeLimit = 10 * time.Second

// closeDB closes Badger, unless that takes too long. It is then left behind.
func closeDB(db *badger.DB) error {
	done := make(chan error, 1)
	go func() { done <- contain(db.Close) }()
	t := time.NewTimer(closeLimit)
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-t.C:
		return fmt.Errorf("badger has not closed within %v", closeLimit)
	}
}

// badgerLogger passes Badger's messages on, at DEBUG: what matters comes back
// as an error too.
type badgerLogger struct{ log *slog.Logger }

func (b badgerLogger) Errorf(f string, a ...any)   { b.logf(f, a) }
func (b badgerLogger) Warningf(f string, a ...any) { b.logf(f, a) }
func (b badgerLogger) Infof(f string, a ...any)    { b.logf(f, a) }

// Debugf drops the message: Badger makes several for each commit.
func (b badgerLogger) Debugf(string, ...any) {}

func (b badgerLogger) logf(f string, a []any) {
	if b.log.Enabled(context.Background(), slog.LevelDebug) {
		b.log.Debug("badger: " + strings.TrimSpace(fmt.Sprintf(f, a...)))
	}
}

// Interface guards
var _ badger.Logger = badgerLogger{}
