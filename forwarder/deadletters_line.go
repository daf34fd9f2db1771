package forwarder

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/intilery/caddy-intilery/forwarder/wal"
)

// sealer seals and opens text. Package wal's Keyring is one.
type sealer interface {
	Seal(dst, text, context []byte) ([]byte, error)
	Open(dst, sealed, context []byte) ([]byte, error)
}

// A dead letter's line is its JSON, or with encryption keys
//
//	{"sealed":"<base64 of the sealed JSON>"}
//
// Both kinds may stand in one file: lines stay as they were written when a key
// is added or replaced.
const (
	sealedPrefix = `{"sealed":"`
	sealedSuffix = `"}`
)

// sealContext binds what is sealed to its purpose.
var sealContext = []byte("dead letter")

// Errors of lines.
var (
	// ErrSealed: a dead letter is sealed, and none of the keys given opens it.
	ErrSealed   = errors.New("dead letters are sealed with a key that was not given")
	errBadLine  = errors.New("not a dead letter")
	lineEncoder = base64.StdEncoding
)

// newSealer returns nil when there are no keys.
func newSealer(keys [][]byte) (sealer, error) {
	ring, err := wal.NewKeyring(keys)
	if ring == nil || err != nil {
		return nil, err
	}
	return ring, nil
}

// encode returns the line with its end.
func (d *deadLetters) encode(l DeadLetter) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false) // the event stays as it was sent, and as long
	if err := enc.Encode(l); err != nil {
		return nil, err
	}
	line := bytes.TrimSuffix(buf.Bytes(), []byte{'\n'})
	if d.keys != nil {
		sealed, err := d.keys.Seal(nil, line, sealContext)
		if err != nil {
			return nil, err
		}
		line = append([]byte(sealedPrefix), lineEncoder.EncodeToString(sealed)...)
		line = append(line, sealedSuffix...)
	}
	return append(line, '\n'), nil
}

// decodeLetter is the inverse of encode. Any bytes may be given. Errors: ErrSealed,
// errBadLine.
func decodeLetter(line []byte, keys sealer) (l DeadLetter, err error) {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	if body, ok := bytes.CutPrefix(line, []byte(sealedPrefix)); ok {
		sealed, err := lineEncoder.DecodeString(string(bytes.TrimSuffix(body, []byte(sealedSuffix))))
		if err != nil {
			return l, fmt.Errorf("%w: %w", errBadLine, err)
		}
		if keys == nil {
			return l, ErrSealed
		}
		line, err = keys.Open(nil, sealed, sealContext)
		if errors.Is(err, wal.ErrKey) {
			return l, ErrSealed
		}
		if err != nil {
			return l, fmt.Errorf("%w: %w", errBadLine, err)
		}
	}
	if err := json.Unmarshal(line, &l); err != nil {
		return l, fmt.Errorf("%w: %w", errBadLine, err)
	}
	if !isStored(l.Event) {
		return l, fmt.Errorf("%w: its event is not one", errBadLine)
	}
	return l, nil
}
