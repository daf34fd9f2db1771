package forwarder

import (
	"log/slog"
	"path/filepath"

	"github.com/intilery/caddy-intilery/forwarder/wal"
)

// openLog makes the embedded log. It does no I/O; the log's Start does.
func openLog(dir string, s Settings, l *slog.Logger) Log {
	return wal.New(wal.Options{
		Dir:            filepath.Join(dir, "wal"),
		RingBytes:      s.RingBytes,
		FreeSpaceFloor: s.FreeSpaceFloor,
		Sync:           s.Sync,
		SyncEvery:      s.SyncEvery,
		MaxBytes:       s.MaxBytes,
		MaxAge:         s.MaxAge,
		Keys:           s.EncryptionKeys,
		Logger:         l,
	})
}
