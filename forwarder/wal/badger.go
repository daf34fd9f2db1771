package wal

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// memTableSize bounds a transaction: Badger takes at most 15 % of it in one.
const memTableSize = 8 << 20

// badgerOptions are the settings of every generation: small, uncompacted (a
// generation is removed whole), uncached, uncompressed (packs are compressed)
// and synced by the log.
func badgerOptions(dir string, readOnly bool, log *slog.Logger) badger.Options {
	return badger.DefaultOptions(dir).
		WithReadOnly(readOnly).
		WithSyncWrites(badgerSyncs).
		WithMemTableSize(memTableSize).
		WithNumMemtables(2).
		WithValueThreshold(1 << 20). // above any pack: the value log is never reclaimed
		WithValueLogFileSize(16 << 20).
		WithCompression(options.None).
		WithBlockCacheSize(0).
		WithIndexCacheSize(0).
		WithNumCompactors(0).
		WithNumLevelZeroTablesStall(1 << 20).
		WithDetectConflicts(false).
		WithMetricsEnabled(false).
		WithLogger(badgerLogger{log})
}

// badgerLogger passes Badger's messages on. What Badger calls info is of use
// only to who looks for a fault.
type badgerLogger struct{ log *slog.Logger }

func (b badgerLogger) Errorf(f string, a ...any)   { b.logf(slog.LevelError, f, a) }
func (b badgerLogger) Warningf(f string, a ...any) { b.logf(slog.LevelWarn, f, a) }
func (b badgerLogger) Infof(f string, a ...any)    { b.logf(slog.LevelDebug, f, a) }

// Debugf drops the message: Badger makes several for each commit.
func (b badgerLogger) Debugf(string, ...any) {}

func (b badgerLogger) logf(level slog.Level, f string, a []any) {
	if !b.log.Enabled(context.Background(), level) {
		return
	}
	b.log.Log(context.Background(), level, "badger: "+strings.TrimSpace(fmt.Sprintf(f, a...)))
}

// newFileText is the text of the error with which Badger fails to open a
// memtable that a crash has left with no bytes. Badger does not wrap it, and a
// second attempt works.
const newFileText = "Create a new file"

// passing are texts of errors that lie in the surroundings of a generation and
// not in its files. Badger flattens the errors of the system into text.
var passing = []string{
	"no space left", "disk quota exceeded", "too many open files",
	"permission denied", "operation not permitted", "read-only file system",
	"cannot allocate memory", "input/output error", "Cannot acquire directory lock",
}

// isPassing reports whether err, from Badger, may go away by itself.
func isPassing(err error) bool {
	for _, text := range passing {
		if strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}

var _ badger.Logger = badgerLogger{}
