package collect

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// who reads the IDs.
func (p *parser) who(e *Event, m *members) error {
	if e.UserID = textOf(m.userID); e.UserID == "" && m.userID.Type != gjson.String && m.userID.Type != gjson.Null {
		return &fault{codeWrongType, "userId", "use a string"}
	}
	if !validID(e.UserID) {
		return &fault{codeBadID, "userId", fmt.Sprintf("use up to %d bytes without control characters", maxID)}
	}
	if id := textOf(m.anonymousID); p.Trusted && validID(id) || p.ValidAnonymousID != nil && p.ValidAnonymousID(id) {
		e.AnonymousID = id
	}
	if p.relay && e.UserID == "" && e.AnonymousID == "" {
		return &fault{codeNoIdentity, "userId", "userId must not be empty"}
	}
	if strings.TrimSpace(e.UserID) == "" {
		e.UserID = ""
	}
	if id := textOf(m.messageID); len(id) <= maxMessageID && validID(id) {
		e.MessageID = id
	}
	return nil
}

const (
	maxID        = 256
	maxMessageID = 128
)

// validID reports text that can be an ID of another system, empty included.
func validID(id string) bool {
	if len(id) > maxID {
		return false
	}
	for _, c := range id {
		if c < ' ' || c == 0x7f || c == utf8.RuneError {
			return false
		}
	}
	return true
}

// textOf is an ID as text: SDKs and callers send numbers too.
func textOf(v gjson.Result) string {
	switch v.Type {
	case gjson.String:
		return v.Str
	case gjson.Number:
		return v.Raw
	default:
		return ""
	}
}
