package erasure

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/intilery/caddy-intilery/internal/fsx"
)

// Digest stands for an ID on disk: HMAC-SHA256 of kind, zero byte and ID, with a
// key of the directory.
type Digest [sha256.Size]byte

// MarshalText writes the digest in hex.
func (d Digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText reads what MarshalText wrote.
func (d *Digest) UnmarshalText(text []byte) error {
	sum, err := hex.DecodeString(string(text))
	if err != nil || len(sum) != len(d) {
		return errors.New("not a digest")
	}
	*d = Digest(sum)
	return nil
}

// digests makes the digests of a directory.
type digests struct {
	dir string
	key []byte // nil until it is needed
}

// of returns the digest of an ID. It makes the key if there is none.
func (d *digests) of(kind, id string) (Digest, error) {
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
			return Digest{}, fmt.Errorf("the key of the erasures: %w", err)
		}
	}
	return sum(d.key, kind, id), nil
}

func sum(key []byte, kind, id string) (d Digest) {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(kind))
	m.Write([]byte{0})
	m.Write([]byte(id))
	m.Sum(d[:0])
	return d
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
