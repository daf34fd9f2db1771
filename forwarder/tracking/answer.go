package tracking

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// rules is the answers' table. The first row that matches wins. What the body
// says can make a 2xx something else than Accepted, and a 400 Misconfigured: see
// read.
var rules = []Rule{
	{200, 299, Accepted, "taken, if the answer says so"},
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
	// TimedOut is set when the receiver, or the way to it, was too slow for the
	// batch: a smaller one may get through.
	TimedOut bool
	// Err is set when no answer came, or not all of it, or when the request could
	// not be made. It never holds the token or the payload.
	Err error
}

const maxMessage = 300

// notIntilery is the message of an answer that something else has given.
const notIntilery = "not an answer of the Tracking API"

// read completes the answer from the response's body, which may be anything, and
// whole or not. A 2xx counts as accepted only with a JSON object whose success is
// true, or absent with no error; with another success it is a rejection. All else
// came from something that is not Intilery, such as a proxy's page, and then the
// events are kept. So they are for a web page that says 400.
func (a *Answer) read(body []byte, whole bool) {
	m := parseAnswer(body)
	a.EventID, a.Message = text(m.eventID), text(m.message)
	switch {
	case a.Class == Accepted && m.refused:
		a.Class = Rejected
	case a.Class == Accepted && !(whole && m.object && (m.success || !m.failed)),
		a.Class == Rejected && m.page:
		a.Class, a.Message = Misconfigured, notIntilery
	}
}

// members are what is looked at of an answer.
type members struct {
	object           bool // it is one JSON object and nothing else
	page             bool // it is a web page
	success, refused bool // success is there and true, or there and something else
	failed           bool // error is there, and not null
	eventID, message json.RawMessage
}

func parseAnswer(body []byte) (m members) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))) // a byte order mark
	m.page = len(body) > 0 && (body[0] == '<' || body[0] >= 0xfe)          // or UTF-16
	dec := json.NewDecoder(bytes.NewReader(body))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return m
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return m
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return m
		}
		switch key {
		case "success":
			m.success = string(value) == "true"
			m.refused = m.refused || !m.success
		case "error":
			m.failed = string(value) != "null"
		case "eventId":
			m.eventID = value
		case "message":
			m.message = value
		}
	}
	if _, err := dec.Token(); err != nil {
		return m
	}
	_, err := dec.Token()
	m.object = errors.Is(err, io.EOF)
	return m
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
