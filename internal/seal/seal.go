// Package seal encrypts what the queue keeps: blocks of the log and dead letters.
//
// A Keyring holds one or more keys: the first encrypts, all decrypt, so keys can
// be rotated while old data is still there. Data that was changed, or encrypted
// for another purpose, does not open.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

const (
	// KeySize is the size in bytes of a key.
	KeySize = 32
	// Overhead is by how many bytes sealed data is longer than its text.
	Overhead = idSize + 2*nonceHalf + 16

	idSize    = 4
	nonceHalf = 12
)

// Errors of Open, to be tested with errors.Is.
var (
	// ErrKey: none of the keys is the one that sealed the data.
	ErrKey = errors.New("encrypted with a key that is not configured")
	// ErrDamaged: the data was changed, or is not sealed data.
	ErrDamaged = errors.New("encrypted data is damaged")
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
// nonce is random and twice as long as GCM's: its first half derives a key for
// this text alone, HMAC-SHA256(key, "caddy-intilery seal" | first half), so no
// number of texts wears a key out (NIST SP 800-38D, 8.3).
type Keyring struct{ keys []sealKey }

type sealKey struct {
	id  [idSize]byte
	key []byte
}

// New makes a keyring of keys of KeySize bytes. Without keys it returns nil.
func New(keys [][]byte) (*Keyring, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	k := new(Keyring)
	for i, key := range keys {
		if len(key) != KeySize {
			return nil, fmt.Errorf("encryption key %d has %d bytes; it must have %d", i+1, len(key), KeySize)
		}
		k.keys = append(k.keys, sealKey{[idSize]byte(derive(key, "caddy-intilery key id", nil)), append([]byte(nil), key...)})
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

// Seal appends text, encrypted with the first key, to dst. Context is not
// stored: Open must be given the same.
func (k *Keyring) Seal(dst, text, context []byte) ([]byte, error) {
	var nonce [2 * nonceHalf]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	aead, err := k.keys[0].aead(nonce[:nonceHalf])
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	dst = append(dst, k.keys[0].id[:]...)
	dst = append(dst, nonce[:]...)
	return aead.Seal(dst, nonce[nonceHalf:], text, context), nil
}

// Open appends the text of what Seal returned to dst. Errors: ErrKey, ErrDamaged.
func (k *Keyring) Open(dst, sealed, context []byte) ([]byte, error) {
	if len(sealed) < Overhead {
		return nil, ErrDamaged
	}
	if !k.Has(sealed) {
		return nil, ErrKey
	}
	nonce, text := sealed[idSize:idSize+2*nonceHalf], sealed[idSize+2*nonceHalf:]
	for i := range k.keys {
		if k.keys[i].id != [idSize]byte(sealed) {
			continue
		}
		aead, err := k.keys[i].aead(nonce[:nonceHalf])
		if err != nil {
			return nil, fmt.Errorf("decrypt: %w", err)
		}
		if out, err := aead.Open(dst, nonce[nonceHalf:], text, context); err == nil {
			return out, nil
		}
	}
	return nil, ErrDamaged
}

// Has reports whether the keyring has the key that sealed the data. Any bytes
// may be given.
func (k *Keyring) Has(sealed []byte) bool {
	if k == nil || len(sealed) < idSize {
		return false
	}
	for i := range k.keys {
		if k.keys[i].id == [idSize]byte(sealed) {
			return true
		}
	}
	return false
}

// SealingID names the key that seals, in hex; it is empty without keys. It tells
// nothing of the key.
func (k *Keyring) SealingID() string {
	if k == nil {
		return ""
	}
	return hex.EncodeToString(k.keys[0].id[:])
}

// HasID reports whether the keyring has the key of that SealingID. The empty ID,
// of data that is not sealed, needs no key.
func (k *Keyring) HasID(id string) bool {
	b, err := hex.DecodeString(id)
	return id == "" || err == nil && len(b) == idSize && k.Has(b)
}
