package forwarder

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
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Names of the files of erasures in the data directory.
const (
	tombstoneFile = "tombstones.json"
	auditFile     = "audit.jsonl"
	eraseKeyFile  = "erase.key"
)

// retireEvery bounds how often lanes look whether tombstones have done their part.
const retireEvery = time.Minute

// tombstone says that a visitor's events up to a place in each lane must not be
// sent. The visitor is a digest: HMAC-SHA256 of kind, zero byte and ID, with the
// key in eraseKeyFile.
type tombstone struct {
	Time   time.Time         `json:"time"`
	Kind   string            `json:"kind"`
	Digest string            `json:"digest"`
	Upto   map[string]uint64 `json:"upto"` // by lane

	passed bool // all cursors were past it when retire looked last
}

// erasures are the tombstones of a data directory and its audit file.
type erasures struct {
	dir string
	log *slog.Logger

	list atomic.Pointer[[]tombstone] // nil until load has succeeded

	mu      sync.Mutex
	key     []byte    // nil until it is needed
	retired time.Time // when retire last looked
}

func newErasures(dir string, log *slog.Logger) *erasures { return &erasures{dir: dir, log: log} }

// load reads the tombstones that earlier processes left, once. A lane must not
// send before it has returned nil. A damaged file is set aside and reported:
// its erasures have to be repeated.
func (e *erasures) load() error {
	if e.list.Load() != nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.loadLocked()
}

func (e *erasures) loadLocked() error {
	if e.list.Load() != nil {
		return nil
	}
	path := filepath.Join(e.dir, tombstoneFile)
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the erasures: %w", err)
	}
	var list []tombstone
	if err == nil {
		err = json.Unmarshal(text, &list)
		if err == nil && len(list) > 0 {
			e.key, err = readEraseKey(filepath.Join(e.dir, eraseKeyFile))
			if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errEraseKey) {
				return fmt.Errorf("read the erasures' key: %w", err)
			}
		}
		if err != nil {
			aside := path + time.Now().UTC().Format(".damaged-20060102T150405Z")
			if err := os.Rename(path, aside); err != nil {
				return fmt.Errorf("set damaged erasures aside: %w", err)
			}
			e.log.Error("the list of erasures is damaged; those of the last days must be repeated", "set_aside", aside, "error", err)
			list = nil
		}
	}
	e.list.Store(&list)
	return nil
}

// add makes a tombstone durable and lets lanes see it.
func (e *erasures) add(kind, id string, upto map[string]uint64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.loadLocked(); err != nil {
		return err
	}
	digest, err := e.digest(kind, id)
	if err != nil {
		return err
	}
	if len(upto) == 0 {
		return nil
	}
	list := append(slices.Clone(*e.list.Load()), tombstone{Time: time.Now().UTC(), Kind: kind, Digest: digest, Upto: upto})
	return e.store(list)
}

// store replaces the list on disk and then in memory.
func (e *erasures) store(list []tombstone) error {
	text, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("write the erasures: %w", err)
	}
	if err := replaceFile(filepath.Join(e.dir, tombstoneFile), text); err != nil {
		return fmt.Errorf("write the erasures: %w", err)
	}
	e.list.Store(&list)
	return nil
}

// covers reports whether an event at a place in a lane was erased.
func (e *erasures) covers(list []tombstone, lane string, r *Record) bool {
	var anonymousID, userID string
	for _, t := range list {
		if r.Seq > t.Upto[lane] {
			continue
		}
		if anonymousID == "" && userID == "" {
			a, u := idsOf(r.Data)
			anonymousID, userID = e.sum(byAnonymousID, unquoted(a)), e.sum(byUserID, unquoted(u))
		}
		if t.Kind == byUserID && t.Digest == userID || t.Kind == byAnonymousID && t.Digest == anonymousID {
			return true
		}
	}
	return false
}

// retire drops the tombstones that have nothing older left to cover, now and
// then. A cursor reaches the disk a moment after it has moved, and a crash sets
// it back: so they go when the cursors were past them the time before as well.
// Errors are left to the next time.
func (e *erasures) retire(acked func(lane string) uint64) {
	if list := e.list.Load(); list == nil || len(*list) == 0 || !e.mu.TryLock() {
		return
	}
	defer e.mu.Unlock()
	now := time.Now()
	if now.Sub(e.retired) < retireEvery {
		return
	}
	e.retired = now
	var list []tombstone
	for _, t := range *e.list.Load() {
		passed := true
		for lane, last := range t.Upto {
			passed = passed && acked(lane) >= last
		}
		if passed && t.passed {
			continue
		}
		t.passed = passed
		list = append(list, t)
	}
	if len(list) == len(*e.list.Load()) {
		e.list.Store(&list)
		return
	}
	if err := e.store(list); err != nil {
		e.log.Warn("an erasure that is done cannot be taken off the list", "error", err)
	}
}

// digest returns what stands for an ID on disk. It makes the key if there is none.
func (e *erasures) digest(kind, id string) (string, error) {
	if e.key == nil {
		path := filepath.Join(e.dir, eraseKeyFile)
		key, err := readEraseKey(path)
		if errors.Is(err, fs.ErrNotExist) {
			key = make([]byte, 32)
			if _, err = rand.Read(key); err == nil {
				err = replaceFile(path, []byte(hex.EncodeToString(key)+"\n"))
			}
		}
		if err != nil {
			return "", fmt.Errorf("the key of the erasures: %w", err)
		}
		e.key = key
	}
	return e.sum(kind, id), nil
}

func (e *erasures) sum(kind, id string) string {
	m := hmac.New(sha256.New, e.key)
	m.Write([]byte(kind))
	m.Write([]byte{0})
	m.Write([]byte(id))
	return hex.EncodeToString(m.Sum(nil))
}

var errEraseKey = errors.New("not 32 bytes in hex")

func readEraseKey(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(key) != 32 {
		return nil, errEraseKey
	}
	return key, nil
}

// auditLine is a line of the audit file. It tells which visitor was erased to
// those who know the ID and have the key, and to nobody else.
type auditLine struct {
	Time   time.Time `json:"time"`
	Action string    `json:"action"`
	Kind   string    `json:"kind"`
	Digest string    `json:"digest"`
	Erased
}

// audit appends a line and syncs it.
func (e *erasures) audit(kind, id string, n Erased, now time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	digest, err := e.digest(kind, id)
	if err != nil {
		return err
	}
	line, err := json.Marshal(auditLine{now.UTC(), "erase", kind, digest, n})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(e.dir, auditFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Sync(), f.Close(), syncDir(e.dir))
}

// replaceFile gives a file new contents: after a crash it has these or the old
// ones.
func replaceFile(path string, text []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return errors.Join(os.Rename(path+".new", path), syncDir(dir))
}
