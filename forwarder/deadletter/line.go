package deadletter

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/internal/seal"
)

// Letter is an event that Intilery will not take. On disk it is one line:
//
//	{"time":...,"destination":...,"reason":...,"status":...,"message":...,"event":{...}}
//
// or, with encryption keys, {"sealed":"<base64 of that, encrypted>"}. Both kinds
// may stand in one file: lines stay as they were written when a key is added or
// replaced.
type Letter struct {
	Time        time.Time `json:"time"`
	Destination string    `json:"destination"`
	Reason      string    `json:"reason"`
	Status      int       `json:"status"`
	Message     string    `json:"message,omitempty"` // the receiver's own words

	Event event.Stored `json:"-"`
}

const (
	eventPrefix  = `,"event":`
	sealedPrefix = `{"sealed":"`
	sealedSuffix = `"}`
)

// sealContext binds what is encrypted to its purpose.
var sealContext = []byte("dead letter")

// Errors of lines.
var (
	// ErrEncrypted: a dead letter is encrypted, and none of the keys given opens it.
	ErrEncrypted = errors.New("dead letters are encrypted with a key that is not configured")
	errLine      = errors.New("not a dead letter")
)

// Encode returns a letter's line with its end. Keys is nil when letters are not
// encrypted.
func Encode(l *Letter, keys *seal.Keyring) ([]byte, error) {
	line, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	line = append(line[:len(line)-1], eventPrefix...)
	for _, c := range l.Event {
		if c == '\n' || c == '\r' { // between members: a string holds none
			c = ' '
		}
		line = append(line, c)
	}
	line = append(line, '}')
	if keys != nil {
		sealed, err := keys.Seal(nil, line, sealContext)
		if err != nil {
			return nil, err
		}
		line = append([]byte(sealedPrefix), base64.StdEncoding.EncodeToString(sealed)...)
		line = append(line, sealedSuffix...)
	}
	return append(line, '\n'), nil
}

// Decode is the inverse of Encode. Any bytes may be given. Errors: ErrEncrypted, and
// one that says that the line is damaged.
func Decode(line []byte, keys *seal.Keyring) (l Letter, err error) {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	if body, ok := bytes.CutPrefix(line, []byte(sealedPrefix)); ok {
		sealed, err := base64.StdEncoding.DecodeString(string(bytes.TrimSuffix(body, []byte(sealedSuffix))))
		if err != nil {
			return l, fmt.Errorf("%w: %w", errLine, err)
		}
		line, err = keys.Open(nil, sealed, sealContext)
		if errors.Is(err, seal.ErrKey) {
			return l, ErrEncrypted
		}
		if err != nil {
			return l, fmt.Errorf("%w: %w", errLine, err)
		}
	}
	// Quotes in strings are escaped, so this is where the member begins.
	head, stored, ok := bytes.Cut(line, []byte(eventPrefix))
	stored, end := bytes.CutSuffix(stored, []byte{'}'})
	if !ok || !end || !event.IsStored(stored) {
		return l, errLine
	}
	if err := json.Unmarshal(append(slices.Clip(head), '}'), &l); err != nil {
		return l, fmt.Errorf("%w: %w", errLine, err)
	}
	l.Event = bytes.Clone(stored)
	return l, nil
}

// ID tells lines apart: two of the same event differ in their time.
type ID [16]byte

// IDOf returns the ID of a line.
func IDOf(line []byte) ID {
	sum := sha256.Sum256(line)
	return ID(sum[:16])
}

// Filter chooses dead letters. The zero value chooses all.
type Filter struct {
	Destination string   // empty: any
	MessageIDs  []string // empty: any
}

// Wants reports whether the filter chooses a letter.
func (f Filter) Wants(l *Letter) bool {
	if f.Destination != "" && f.Destination != l.Destination {
		return false
	}
	return len(f.MessageIDs) == 0 || slices.Contains(f.MessageIDs, l.Event.MessageID())
}
