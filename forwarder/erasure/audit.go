package erasure

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/intilery/caddy-intilery/internal/fsx"
)

// auditBytes is the size at which the audit file becomes the older one, in place
// of the one before it: about 80,000 erasures.
const auditBytes = 16 << 20

// auditLine is a line of the audit file. It tells which visitor was erased to
// those who know the ID and have the key, and to nobody else.
type auditLine struct {
	Time   time.Time `json:"time"`
	Action string    `json:"action"`
	Kind   string    `json:"kind"`
	Digest Digest    `json:"digest"`
	Counts
}

// Audit adds a line to the audit file, durably.
func (r *Register) Audit(s Subject, n Counts) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	kind, id := s.kindAndID()
	d, err := r.digests.of(kind, id)
	if err != nil {
		return err
	}
	line, err := json.Marshal(auditLine{time.Now().UTC(), "erase", kind, d, n})
	if err != nil {
		return err
	}
	path := filepath.Join(r.dir, auditFile)
	switch fi, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case fi.Size()+int64(len(line)) >= auditBytes:
		if err := os.Rename(path, filepath.Join(r.dir, olderAuditFile)); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Sync(), f.Close(), fsx.SyncDir(r.dir))
}
