package cookie

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// KeySize is the length of a key in bytes.
const KeySize = 32

// A sealed keeper is the unpadded base64url of
//
//	0      1        3          15                 -16     end
//	+------+--------+----------+-------------------+-------+
//	| 0x01 | key ID |  nonce   | AES-256-GCM(plain)|  tag  |
//	+------+--------+----------+-------------------+-------+
//
// The additional data is the first three bytes, the cookie's name, a zero byte
// and the scope's domain (or the host of a host-only cookie), so that a keeper
// opens neither under another name nor on another site. The encryption key and
// its ID are derived from the configured key by HKDF-SHA-256, which leaves that
// key free to serve other purposes.
const (
	sealVersion  = 1
	sealHeader   = 3
	sealOverhead = sealHeader + 12 + 16

	sealInfo = "intilery keeper v1 aes-256-gcm"
)

var (
	sealEncoding = base64.RawURLEncoding.Strict()

	minSealedLen = sealEncoding.EncodedLen(sealOverhead + 1)
	maxSealedLen = sealEncoding.EncodedLen(sealOverhead + maxPlainLen)
)

// Keyring holds the keys that seal and open keepers. It is immutable and safe
// for concurrent use.
//
// Nonces are random, so that a fleet may share a key without agreeing on
// anything else. NIST SP 800-38D then allows 2^32 seals for one key: a fleet
// that renews ten million visitors a day should rotate it within the year.
type Keyring struct {
	keys []sealKey
}

type sealKey struct {
	id   [2]byte
	aead cipher.AEAD
}

// NewKey makes a random key for NewKeyring.
func NewKey() ([]byte, error) {
	key := make([]byte, KeySize)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("cookie: making a key: %w", err)
	}
	return key, nil
}

// NewKeyring makes a keyring of keys of KeySize bytes each. The first one seals,
// all of them open: to rotate, put the new key in front and take the old one
// away once its last keeper has expired or been renewed. The keys are copied.
func NewKeyring(keys ...[]byte) (*Keyring, error) {
	if len(keys) == 0 {
		return nil, errors.New("cookie: keyring without a key: give at least one")
	}
	k := &Keyring{keys: make([]sealKey, len(keys))}
	for i, key := range keys {
		if len(key) != KeySize {
			return nil, fmt.Errorf("cookie: key %d has %d bytes: use %d", i+1, len(key), KeySize)
		}
		derived, err := hkdf.Key(sha256.New, key, nil, sealInfo, KeySize+len(k.keys[i].id))
		if err != nil {
			return nil, fmt.Errorf("cookie: deriving from key %d: %w", i+1, err)
		}
		block, err := aes.NewCipher(derived[:KeySize])
		if err != nil {
			return nil, fmt.Errorf("cookie: key %d: %w", i+1, err)
		}
		if k.keys[i].aead, err = cipher.NewGCMWithRandomNonce(block); err != nil {
			return nil, fmt.Errorf("cookie: key %d: %w", i+1, err)
		}
		copy(k.keys[i].id[:], derived[KeySize:])
	}
	return k, nil
}

// seal returns the cookie value that only open gives plain back from, under the
// same name and site.
func (k *Keyring) seal(plain []byte, name, site string) string {
	key := k.keys[0]
	n := sealOverhead + len(plain)
	encoded := sealEncoding.EncodedLen(n)
	buf := make([]byte, 0, n+max(encoded, sealHeader+len(name)+1+len(site)))
	box := append(buf, sealVersion, key.id[0], key.id[1])
	// What follows the box is first its context and then its text.
	aad := appendContext(buf[n:n], box, name, site)
	box = key.aead.Seal(box, nil, plain, aad)
	return string(sealEncoding.AppendEncode(box[n:], box))
}

// open returns what was sealed, or false for anything that a key of this ring
// did not seal for this name and site. It costs one allocation, and next to
// nothing for a value that does not bear the ID of one of the keys.
func (k *Keyring) open(value, name, site string) (plain []byte, ok bool) {
	if len(value) < minSealedLen || len(value) > maxSealedLen {
		return nil, false
	}
	n := sealEncoding.DecodedLen(len(value))
	buf := make([]byte, 0, n+sealHeader+len(name)+1+len(site)+n)
	box, err := sealEncoding.AppendDecode(buf, []byte(value))
	// The decoder skips line breaks.
	if err != nil || len(box) != n || box[0] != sealVersion || strings.ContainsAny(value, "\r\n") {
		return nil, false
	}
	aad := appendContext(box[len(box):], box[:sealHeader], name, site)
	out := aad[len(aad):]
	for _, key := range k.keys {
		if [2]byte(box[1:sealHeader]) != key.id {
			continue
		}
		if plain, err = key.aead.Open(out, nil, box[sealHeader:], aad); err == nil {
			return plain, true
		}
	}
	return nil, false
}

// appendContext appends the additional data that a seal is bound to.
func appendContext(dst, header []byte, name, site string) []byte {
	dst = slices.Grow(dst, len(header)+len(name)+1+len(site))
	dst = append(dst, header...)
	dst = append(dst, name...)
	dst = append(dst, 0)
	return append(dst, site...)
}
