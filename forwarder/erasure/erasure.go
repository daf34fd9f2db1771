// Package erasure remembers which visitors' events may not be sent any more.
//
// Records in the log are not rewritten. A tombstone says of a visitor, and of a
// place in each lane, that what lies before it is not to be sent, also by later
// processes. It holds a keyed digest in place of the ID; so does the audit file,
// which has a line for each erasure.
package erasure

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
	"unicode/utf8"

	"github.com/intilery/caddy-intilery/internal/fsx"
)

// Names of the files in the data directory.
const (
	tombstoneFile = "tombstones.json"
	auditFile     = "audit.jsonl"
	keyFile       = "erase.key"
)

// Subject names a visitor by one of its IDs: exactly one is set.
type Subject struct{ UserID, AnonymousID string }

// Kinds of IDs, as they are written to disk.
const (
	byUserID      = "userId"
	byAnonymousID = "anonymousId"
)

// Validate returns an error that says what is wrong with the subject, if
// anything, without the ID.
func (s Subject) Validate() error {
	switch {
	case s.UserID == "" && s.AnonymousID == "":
		return errors.New("no ID given: want a userId or an anonymousId")
	case s.UserID != "" && s.AnonymousID != "":
		return errors.New("two IDs given: want a userId or an anonymousId, one at a time")
	case !utf8.ValidString(s.UserID + s.AnonymousID):
		return errors.New("the ID is not UTF-8")
	}
	return nil
}

// Is reports whether an event with these IDs is about the visitor.
func (s Subject) Is(anonymousID, userID string) bool {
	if s.UserID != "" {
		return userID == s.UserID
	}
	return anonymousID == s.AnonymousID
}

func (s Subject) kindAndID() (kind, id string) {
	if s.UserID != "" {
		return byUserID, s.UserID
	}
	return byAnonymousID, s.AnonymousID
}

// Counts is what an erasure removed.
type Counts struct {
	Memory      int `json:"memory"`       // events that were not yet in the log
	Log         int `json:"log"`          // events in the log that will not be sent
	DeadLetters int `json:"dead_letters"` // dead letters
	// Quarantined is the number of segments in quarantine, which are not looked
	// into. They are never sent.
	Quarantined int `json:"quarantined"`
}

// digests makes what stands for an ID on disk: HMAC-SHA256 of kind, zero byte and
// ID, with a key of the directory.
type digests struct {
	dir string
	key []byte // nil until it is needed
}

// of returns the digest of an ID. It makes the key if there is none.
func (d *digests) of(kind, id string) (string, error) {
	if d.key == nil {
		err := d.load()
		if errors.Is(err, fs.ErrNotExist) {
			key := make([]byte, 32)
			if _, err = rand.Read(key); err == nil {
				err = fsx.ReplaceFile(filepath.Join(d.dir, keyFile), []byte(hex.EncodeToString(key)+"\n"))
			}
			if err == nil {
				d.key = key
			}
		}
		if err != nil {
			return "", fmt.Errorf("the key of the erasures: %w", err)
		}
	}
	return d.sum(kind, id), nil
}

func (d *digests) sum(kind, id string) string {
	m := hmac.New(sha256.New, d.key)
	m.Write([]byte(kind))
	m.Write([]byte{0})
	m.Write([]byte(id))
	return hex.EncodeToString(m.Sum(nil))
}

var errKey = errors.New("not 32 bytes in hex")

func (d *digests) load() error {
	text, err := os.ReadFile(filepath.Join(d.dir, keyFile))
	if err != nil {
		return err
	}
	key, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(key) != 32 {
		return errKey
	}
	d.key = key
	return nil
}

// auditLine is a line of the audit file. It tells which visitor was erased to
// those who know the ID and have the key, and to nobody else.
type auditLine struct {
	Time   time.Time `json:"time"`
	Action string    `json:"action"`
	Kind   string    `json:"kind"`
	Digest string    `json:"digest"`
	Counts
}

// Audit adds a line to the audit file, durably.
func (r *Register) Audit(s Subject, n Counts) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	kind, id := s.kindAndID()
	digest, err := r.digests.of(kind, id)
	if err != nil {
		return err
	}
	line, err := json.Marshal(auditLine{time.Now().UTC(), "erase", kind, digest, n})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(r.dir, auditFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Sync(), f.Close(), fsx.SyncDir(r.dir))
}
