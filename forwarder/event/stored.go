package event

import (
	"slices"
	"time"

	"github.com/tidwall/gjson"
)

// Stored is an event as it is stored: its JSON without sentAt, with its timestamp
// first, so that its age is read cheaply. Its methods read what is needed and
// parse nothing else, and take any bytes for which IsStored is true.
type Stored []byte

const (
	timestampPrefix = `{"timestamp":"`
	sentAtPrefix    = `{"sentAt":"`
	sentAtSuffix    = `",`

	sentAtBytes = len(sentAtPrefix) + len(timeLayout) + len(sentAtSuffix) - 1 // the brace is the event's own
)

// IsStored reports whether data can be a stored event.
func IsStored(data []byte) bool {
	return len(data) > len(timestampPrefix)+len(timeLayout) &&
		string(data[:len(timestampPrefix)]) == timestampPrefix && data[len(data)-1] == '}'
}

// AppendSentAt appends what AppendSent wants to know of a time.
func AppendSentAt(dst []byte, now time.Time) []byte {
	dst = append(dst, sentAtPrefix...)
	dst = now.UTC().AppendFormat(dst, timeLayout)
	return append(dst, sentAtSuffix...)
}

// AppendSent appends the call as it is sent, with the sentAt of AppendSentAt.
func (s Stored) AppendSent(dst, sentAt []byte) []byte {
	return append(append(dst, sentAt...), s[1:]...)
}

// SentBytes is the size of what AppendSent appends.
func (s Stored) SentBytes() int { return len(s) + sentAtBytes }

// Time is the event's timestamp; zero when it is none.
func (s Stored) Time() time.Time {
	t, err := time.Parse(timeLayout, string(s[len(timestampPrefix):len(timestampPrefix)+len(timeLayout)]))
	if err != nil {
		return time.Time{}
	}
	return t
}

// MessageID, Name and Type are root fields; empty when they are not there.
func (s Stored) MessageID() string { return s.field("messageId") }

// Name is the event's own name, or its type.
func (s Stored) Name() string { return s.field("event") }

// Type is the kind of the event; a page's when it is unknown.
func (s Stored) Type() Type {
	if t := TypeOf(s.field("type")); t != 0 {
		return t
	}
	return Page
}

// field returns the value of a root member that is a string.
func (s Stored) field(name string) string {
	if f := gjson.GetBytes(s, name); f.Type == gjson.String {
		return f.Str
	}
	return ""
}

// IDs returns the anonymousId and the userId; empty when it has none.
func (s Stored) IDs() (anonymousID, userID string) { return s.field("anonymousId"), s.field("userId") }

// IsCommand reports whether the event is a track whose name makes Intilery do
// something at once.
func (s Stored) IsCommand() bool {
	const prefix = `","type":"track","event":"`
	rest := s[len(timestampPrefix)+len(timeLayout):]
	if len(rest) < len(prefix) || string(rest[:len(prefix)]) != prefix {
		return false
	}
	rest = rest[len(prefix):]
	for _, name := range commands {
		if n := len(name); len(rest) > n && rest[n] == '"' && string(rest[:n]) == name {
			return true
		}
	}
	return false
}

// commands are the names of tracks that make Intilery do something.
var commands = [...]string{"send_email", "send_sms", "send_print", "send_push", "start_journey"}

// IsCommand reports the name of a track that makes Intilery do something at once.
func IsCommand(name string) bool { return slices.Contains(commands[:], name) }
