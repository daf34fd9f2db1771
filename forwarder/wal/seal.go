package wal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// KeySize is the size in bytes of an encryption key.
const KeySize = 32

// Errors of sealed data, to be tested with errors.Is.
var (
	// ErrKey says that the key with which data was sealed was not given.
	ErrKey = errors.New("wal: sealed with a key that was not given")
	// ErrSeal says that sealed data was changed, or is not sealed data.
	ErrSeal = errors.New("wal: sealed data is damaged")
)

// Keyring seals and opens data with AES-256-GCM. A nil Keyring has no keys: it
// opens nothing and must not be asked to seal. It may be used by any number of
// goroutines.
//
//	sealed   0        4                    28
//	         +--------+--------------------+- - - - - - -+
//	         | key id | nonce              | text | tag  |
//	         +--------+--------------------+- - - - - - -+
//
// The key id is the beginning of HMAC-SHA256(key, "caddy-intilery key id"). The
// nonce is random and twice as long as GCM's: with its first half a key for this
// text alone is made, as HMAC-SHA256(key, "caddy-intilery seal" | first half),
// so that no number of texts wears a key out.
type Keyring struct{ keys []sealKey }

type sealKey struct {
	id  [4]byte
	key []byte
}

const (
	nonceHalf    = 12
	sealOverhead = 4 + 2*nonceHalf + 16
)

// NewKeyring makes a keyring: the first key seals, all open. Without keys it
// returns nil.
func NewKeyring(keys [][]byte) (*Keyring, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	k := new(Keyring)
	for i, key := range keys {
		if len(key) != KeySize {
			return nil, fmt.Errorf("wal: encryption key %d has %d bytes; it must have %d", i+1, len(key), KeySize)
		}
		k.keys = append(k.keys, sealKey{[4]byte(derive(key, "caddy-intilery key id", nil)), append([]byte(nil), key...)})
	}
	return k, nil
}

func derive(key []byte, label string, salt []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(label))
	m.Write(salt)
	return m.Sum(nil)
}

// aead returns the cipher for one text.
func (s *sealKey) aead(salt []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(derive(s.key, "caddy-intilery seal", salt))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Seal appends text, sealed with the first key, to dst. Context is not stored:
// it must be the same at Open.
func (k *Keyring) Seal(dst, text, context []byte) ([]byte, error) {
	var nonce [2 * nonceHalf]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, fmt.Errorf("wal: seal: %w", err)
	}
	aead, err := k.keys[0].aead(nonce[:nonceHalf])
	if err != nil {
		return nil, fmt.Errorf("wal: seal: %w", err)
	}
	dst = append(dst, k.keys[0].id[:]...)
	dst = append(dst, nonce[:]...)
	return aead.Seal(dst, nonce[nonceHalf:], text, context), nil
}

// Open appends the text of what Seal returned to dst. Errors: ErrKey, ErrSeal.
func (k *Keyring) Open(dst, sealed, context []byte) ([]byte, error) {
	if len(sealed) < sealOverhead {
		return nil, ErrSeal
	}
	id, nonce, text := [4]byte(sealed), sealed[4:4+2*nonceHalf], sealed[4+2*nonceHalf:]
	if !k.has(id) {
		return nil, ErrKey
	}
	for i := range k.keys {
		if k.keys[i].id != id {
			continue
		}
		aead, err := k.keys[i].aead(nonce[:nonceHalf])
		if err != nil {
			return nil, fmt.Errorf("wal: open: %w", err)
		}
		if out, err := aead.Open(dst, nonce[nonceHalf:], text, context); err == nil {
			return out, nil
		}
	}
	return nil, ErrSeal
}

func (k *Keyring) has(id [4]byte) bool {
	if k == nil {
		return false
	}
	for i := range k.keys {
		if k.keys[i].id == id {
			return true
		}
	}
	return false
}

// keyFile is in each sealed generation. It holds the id of its key, so that a
// wrong key is noticed before anything is touched, and a checksum, so that a
// damaged file is not taken for a wrong key.
const keyFile = "KEY"

// sealingID is the id of the sealing key in hex; empty without keys.
func (k *Keyring) sealingID() string {
	if k == nil {
		return ""
	}
	return hex.EncodeToString(k.keys[0].id[:])
}

func keyLine(id string) string {
	sum := sha256.Sum256([]byte(id))
	return id + " " + hex.EncodeToString(sum[:4]) + "\n"
}

// writeKeyFile marks the generation in dir as sealed with the keyring's first key.
func (k *Keyring) writeKeyFile(dir string) error {
	if k == nil {
		return nil
	}
	if err := os.WriteFile(filepath.Join(dir, keyFile), []byte(keyLine(k.sealingID())), 0o600); err != nil {
		return fmt.Errorf("mark a generation's key: %w", err)
	}
	return nil
}

// readKeyFile returns the id of the key of the generation in dir, in hex; empty
// when the generation is not sealed or the file is damaged. Its packs tell then.
func readKeyFile(dir string) string {
	b, err := os.ReadFile(filepath.Join(dir, keyFile))
	if err != nil {
		return ""
	}
	id, _, ok := strings.Cut(string(b), " ")
	if !ok || keyLine(id) != string(b) {
		return ""
	}
	return id
}

// opens reports whether the generation in dir can be read with these keys, as
// far as its key file says.
func (k *Keyring) opens(dir string) bool {
	id := readKeyFile(dir)
	b, err := hex.DecodeString(id)
	return id == "" || err == nil && len(b) == 4 && k.has([4]byte(b))
}
