package fleet

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/internal/seal"
)

// A payload is one of
//
//	payloadPlain  | content
//	payloadSealed | content, sealed
//
// and its content is
//
//	class | length of the node's name | node | record
//
// with one byte for each of the first two, so that what was published before
// encryption keys were configured can be read afterwards.
const (
	payloadPlain  = 1
	payloadSealed = 2
)

var (
	payloadContext = []byte("fleet event")
	errPayload     = errors.New("not an event of a fleet")
)

// codec makes payloads and reads them.
type codec struct{ keys *seal.Keyring }

func (c codec) encode(class queue.Class, node string, rec []byte) ([]byte, error) {
	p := make([]byte, 0, 3+len(node)+len(rec))
	p = append(p, payloadPlain, byte(class), byte(len(node)))
	p = append(append(p, node...), rec...)
	if c.keys == nil {
		return p, nil
	}
	return c.keys.Seal([]byte{payloadSealed}, p[1:], payloadContext)
}

// decode is the inverse of encode. Any bytes may be given. Errors: seal.ErrKey when
// none of the keys opens it, errPayload.
func (c codec) decode(p []byte) (class queue.Class, node, rec []byte, err error) {
	if len(p) < 3 {
		return 0, nil, nil, errPayload
	}
	kind, p := p[0], p[1:]
	switch kind {
	case payloadPlain:
	case payloadSealed:
		if p, err = c.keys.Open(nil, p, payloadContext); err != nil {
			return 0, nil, nil, err
		}
	default:
		return 0, nil, nil, errPayload
	}
	if len(p) < 2 || p[0] >= byte(queue.Classes) || len(p) < 2+int(p[1]) {
		return 0, nil, nil, errPayload
	}
	end := 2 + int(p[1])
	return queue.Class(p[0]), p[2:end], p[end:], nil
}

// isCurrent reports whether a payload is sealed as a new one would be.
func (c codec) isCurrent(p []byte) bool {
	if c.keys == nil {
		return p[0] == payloadPlain
	}
	return p[0] == payloadSealed && hex.EncodeToString(p[1:1+len(c.keys.SealingID())/2]) == c.keys.SealingID()
}

// digest stands for an ID outside of the nodes: 16 bytes of its HMAC-SHA256 under
// the fleet's key, in hexadecimal.
func digest(key []byte, kind, id string) string {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(kind))
	m.Write([]byte{0})
	m.Write([]byte(id))
	return hex.EncodeToString(m.Sum(nil)[:16])
}

// visitor is the digest of whom an event is about: its anonymousId, else its
// userId, as lanes are chosen.
func visitor(key []byte, anonymousID, userID string) string {
	if anonymousID != "" {
		return digest(key, "anonymousId", anonymousID)
	}
	return digest(key, "userId", userID)
}
