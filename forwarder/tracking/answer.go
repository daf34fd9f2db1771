package tracking

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Class says what an answer means for the batch that was sent.
type Class uint8

// The classes of answers. What the forwarder does about each is its own
// affair; here they are only told apart.
const (
	// Accepted: the receiver took the batch.
	Accepted Class = iota + 1
	// Rejected: at least one event of the batch is bad and will stay bad.
	Rejected
	// TooLarge: the request, or a call in it, is over the receiver's limit.
	TooLarge
	// Misconfigured: address, account or token are wrong. The events are fine
	// and must be kept until the configuration is mended.
	Misconfigured
	// Throttled: too many requests. The batch may be sent again later.
	Throttled
	// Unavailable: the receiver or the way to it failed. Whether the batch was
	// taken is unknown, so it must be sent again.
	Unavailable
)

// String is the class's name in logs, metrics and documentation.
func (c Class) String() string {
	switch c {
	case Accepted:
		return "accepted"
	case Rejected:
		return "rejected"
	case TooLarge:
		return "too large"
	case Misconfigured:
		return "misconfigured"
	case Throttled:
		return "throttled"
	case Unavailable:
		return "unavailable"
	default:
		return "unknown"
	}
}

// Rule maps a range of HTTP status codes to a class.
type Rule struct {
	From, To int // inclusive
	Class    Class
	Why      string
}

// Codes is the range as documentation writes it: "413" or "500-599".
func (r Rule) Codes() string {
	if r.From == r.To {
		return fmt.Sprint(r.From)
	}
	return fmt.Sprintf("%d-%d", r.From, r.To)
}

// rules is the answers' table. The first row that matches wins.
//
// Two things are decided by the body rather than the status, and only for a
// 2xx: `"success":false` makes it Rejected, and a web page in place of JSON
// makes it Misconfigured, because then something other than Intilery answered.
var rules = []Rule{
	{200, 299, Accepted, "taken"},
	{400, 400, Rejected, "an event is invalid"},
	{422, 422, Rejected, "an event is invalid"},
	{413, 413, TooLarge, "request or call above the size limit"},
	{429, 429, Throttled, "rate limit reached"},
	{408, 408, Unavailable, "the receiver gave up waiting"},
	{500, 599, Unavailable, "the receiver failed"},
	{300, 399, Misconfigured, "the endpoint has moved; redirects are not followed"},
	{401, 401, Misconfigured, "no token, or a wrong one"},
	{403, 403, Misconfigured, "token not accepted for this account and brand"},
	{404, 404, Misconfigured, "wrong endpoint, client, account or brand"},
	{405, 405, Misconfigured, "wrong endpoint"},
	{100, 999, Misconfigured, "not an answer of the Tracking API; nothing is dropped on a guess"},
}

// Rules returns a copy of the table by which status codes are classified, in
// the order in which it is searched.
func Rules() []Rule { return append([]Rule(nil), rules...) }

// Classify returns the class of an HTTP status code. Zero (no answer came) is
// Unavailable.
func Classify(status int) Class {
	for _, r := range rules {
		if r.From <= status && status <= r.To {
			return r.Class
		}
	}
	return Unavailable
}

// Answer is the outcome of one attempt to send one batch.
type Answer struct {
	Class Class
	// Status is the HTTP status code, 0 when no answer came.
	Status int
	// Message is the receiver's own word, at most 300 bytes of printable text,
	// often empty. It may quote what was sent: log it at DEBUG only.
	Message string
	// RetryAfter is what the receiver asked for, within MinRetryAfter and
	// MaxRetryAfter; 0 when it asked for nothing.
	RetryAfter time.Duration
	// EventID names the request in Intilery's event debugger.
	EventID string
	// Err is set when no answer came, or when the request could not be made.
	// It never holds the token or the payload.
	Err error
}

const maxMessage = 300

// read completes the answer from the response's body, which may be anything.
func (a *Answer) read(body []byte) {
	var parsed struct {
		Success json.RawMessage `json:"success"`
		EventID json.RawMessage `json:"eventId"`
		Message json.RawMessage `json:"message"`
	}
	body = bytes.TrimSpace(body)
	// Members are kept raw so that one of an odd type does not hide the others.
	if err := json.Unmarshal(body, &parsed); err == nil {
		a.EventID = text(parsed.EventID)
		a.Message = text(parsed.Message)
	}
	if a.Class != Accepted {
		return
	}
	switch {
	case string(parsed.Success) == "false":
		a.Class = Rejected
	case len(body) > 0 && body[0] == '<':
		a.Class = Misconfigured
		a.Message = "a web page instead of an answer of the Tracking API"
	}
}

// text returns a JSON string's value, or another JSON value as it is written,
// cut and made printable.
func text(raw json.RawMessage) string {
	if len(raw) == 0 || string(raw) == "null" {
		return ""
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		s = string(raw)
	}
	if len(s) > maxMessage {
		s = s[:maxMessage]
		for len(s) > 0 {
			if r, n := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || n > 1 {
				break
			}
			s = s[:len(s)-1] // the cut fell inside a rune
		}
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}
