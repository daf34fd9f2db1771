package collect

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/intilery/caddy-intilery/forwarder/event"
)

// MaxEvents is how many events a body may have.
const MaxEvents = 1000

// maxRelayed is the same for the relay; Intilery has no such limit.
const maxRelayed = 10_000

const (
	// maxDepth is how deep a body may be nested, so that reading it takes little
	// stack. An event that is too deep is rejected alone below it.
	maxDepth = 1000
	// maxContext bounds what the batch's context takes in all events together, in
	// bytes: a small body must not become a large one.
	maxContext = 8 << 20
)

// Codes of rejections.
const (
	codeTooLarge    = "too_large"
	codeMalformed   = "malformed"
	codeTooDeep     = "too_deep"
	codeWrongType   = "wrong_type"
	codeUnknownType = "unknown_type"
	codeMissingName = "missing_name"
	codeBadTime     = "bad_timestamp"
	codeBadID       = "bad_id"
	codeNoIdentity  = "no_identity"
	codeCommand     = "command"
)

// Options say how Parse reads a body.
type Options struct {
	// MaxEvent is the size of an event as it comes, in bytes.
	MaxEvent int
	// ValidAnonymousID reports what can be an anonymousId; another one is taken for
	// none.
	ValidAnonymousID func(string) bool
	// Now is when the body arrived.
	Now time.Time
	// Correct has timestamps corrected by sentAt.
	Correct bool
	// Trusted is for a server's key: times, the IP and any anonymousId are kept.
	Trusted bool
	// Grow takes memory in bytes for what is copied into the events, and reports
	// whether there is as much. Nil is no bound.
	Grow func(bytes int64) bool
	// Redact, RedactPath and RedactQuery take secrets out of an absolute URL, a path
	// and a query. Nil for one that is to stay as it is.
	Redact, RedactPath, RedactQuery func(string) string

	relay bool
}

// Parsed is what a body holds.
type Parsed struct {
	Events      []Event
	Rejected    []Rejection
	Unsupported int // group and alias
}

// Event is an event of a body, and its place there.
type Event struct {
	event.Event
	Index    int    // in the batch
	PagePath string // of the page it is about; "" where it is not known
}

// Parse reads a body, which it may change. An *Error says that nothing of it can be read; a bad event is
// among the rejected, and loses no other.
func Parse(body []byte, t Target, o Options) (Parsed, error) {
	return (&parser{Options: o, body: body, target: t}).parse()
}

// ParseRelay reads a body of the Tracking API. Nothing is corrected, filtered or left
// out: each call is what it was, with the context of its batch.
func ParseRelay(body []byte, t Target, now time.Time, grow func(int64) bool) (Parsed, error) {
	return Parse(body, t, Options{MaxEvent: event.MaxBytes, Now: now, Trusted: true, Grow: grow, relay: true})
}

// parser reads one body.
type parser struct {
	Options
	body    []byte
	target  Target
	context gjson.Result // of the batch
	sentAt  string       // likewise
	copied  int          // bytes of the context, into events
	busy    bool         // there is no memory for more
	m       members      // of the event that is read
	members extras       // of its context
	parsed  Parsed
}

func (p *parser) parse() (Parsed, error) {
	switch {
	case event.Deeper(p.body, maxDepth):
		return Parsed{}, refused(codeTooDeep, "", fmt.Sprintf("nested deeper than %d", maxDepth))
	case !utf8.Valid(p.body) || !gjson.ValidBytes(p.body):
		return Parsed{}, refused(codeMalformed, "", "the body is not JSON in UTF-8")
	}
	if !p.relay {
		scrub(p.body)
	}
	root := gjson.ParseBytes(p.body)
	if !root.IsObject() {
		return Parsed{}, refused(codeMalformed, "", "the body is not a JSON object")
	}
	var batch, sentAt gjson.Result
	root.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "batch":
			batch = value
		case "sentAt":
			sentAt = value
		case "context":
			p.context = value
		}
		return true
	})
	p.sentAt = sentAt.Str
	switch {
	case batch.IsArray() && (batch.Get("0").Exists() || !root.Get("type").Exists()):
	case batch.Exists() && !batch.IsArray() || p.target.Route == Batch && !root.Get("type").Exists():
		return Parsed{}, refused(codeMalformed, "batch", "there is no array of events")
	default:
		p.context = gjson.Result{}
		p.event(0, root)
		return p.parsed, nil
	}
	p.target.Type, p.target.Unsupported = 0, false // each says its own
	p.parsed.Events = make([]Event, 0, min(strings.Count(batch.Raw, `"type"`), MaxEvents))
	n, most := 0, MaxEvents
	if p.relay {
		most = maxRelayed
	}
	batch.ForEach(func(_, element gjson.Result) bool {
		if n == most || p.busy || p.copied > maxContext {
			n++
			return false
		}
		p.event(n, element)
		n++
		return true
	})
	switch {
	case p.copied > maxContext:
		return Parsed{}, refused(codeTooLarge, "context", "too large for so many events")
	case p.busy:
		return Parsed{}, busy
	case n == 0 && !p.relay:
		return Parsed{}, refused("empty", "batch", "there is no event in it")
	case n > most:
		return Parsed{}, refused("too_many", "batch", fmt.Sprintf("more than %d events", most))
	}
	return p.parsed, nil
}

func refused(code, field, message string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: code, Field: field, Message: message}
}

// errUnsupported is an event that is answered and not taken.
var errUnsupported = errors.New("unsupported")

// event reads one event, into one of the lists.
func (p *parser) event(index int, object gjson.Result) {
	p.parsed.Events = append(p.parsed.Events, Event{Index: index})
	last := len(p.parsed.Events) - 1
	if err := p.read(&p.parsed.Events[last], object); err != nil {
		p.parsed.Events = p.parsed.Events[:last]
		p.reject(index, err)
	}
}

func (p *parser) reject(index int, err error) {
	var why *fault
	switch {
	case errors.Is(err, errUnsupported):
		p.parsed.Unsupported++
	case errors.As(err, &why):
		p.parsed.Rejected = append(p.parsed.Rejected, Rejection{Index: index, Code: why.code, Field: why.field, Message: why.message})
	}
}

// fault is why an event is rejected.
type fault struct{ code, field, message string }

func (f *fault) Error() string { return f.field + ": " + f.message }

// members are those of an event that are looked at.
type members struct {
	kind, name, title, userID, anonymousID, messageID gjson.Result
	timestamp, originalTimestamp, sentAt              gjson.Result
	traits, properties, context                       gjson.Result
	extra                                             extras
}

// read fills in an event.
func (p *parser) read(e *Event, object gjson.Result) error {
	if !object.IsObject() {
		return &fault{codeMalformed, "", "not a JSON object"}
	}
	if len(object.Raw) > p.MaxEvent {
		return &fault{codeTooLarge, "", fmt.Sprintf("over %d bytes", p.MaxEvent)}
	}
	if event.Deeper(p.bytes(object), event.MaxDepth) {
		return &fault{codeTooDeep, "", fmt.Sprintf("nested deeper than %d", event.MaxDepth)}
	}
	m := &p.m
	m.extra.reset()
	*m = members{extra: m.extra}
	object.ForEach(func(key, value gjson.Result) bool {
		p.member(m, key, value)
		return true
	})
	err := p.what(e, m)
	if err == nil {
		err = p.who(e, m)
	}
	if err == nil {
		err = p.when(e, m)
	}
	if err == nil {
		err = p.values(e, m)
	}
	if err != nil {
		return err
	}
	p.readContext(e, m.context)
	e.Extra = m.extra.object()
	e.Source = event.Collected
	if p.Trusted {
		e.Source = event.App
	}
	return nil
}

func (p *parser) member(m *members, key, value gjson.Result) {
	switch key.Str {
	case "type":
		m.kind = value
	case "event":
		m.name = value
	case "name":
		m.title = value
	case "userId":
		m.userID = value
	case "anonymousId":
		m.anonymousID = value
	case "messageId":
		m.messageID = value
	case "timestamp":
		m.timestamp = value
	case "originalTimestamp":
		m.originalTimestamp = value
	case "sentAt":
		m.sentAt = value
	case "traits":
		m.traits = value
	case "properties":
		m.properties = value
	case "context":
		m.context = value
	case "writeKey", "integrations", "_metadata", "receivedAt", "batch":
		if p.relay {
			m.extra.add(key, value)
		}
	default:
		m.extra.add(key, value)
	}
}

// what reads the type and the name.
func (p *parser) what(e *Event, m *members) error {
	e.Type = event.TypeOf(m.kind.Str)
	switch {
	case e.Type != 0:
	case m.kind.Str == "group" || m.kind.Str == "alias", p.target.Unsupported && m.kind.Str == "":
		return errUnsupported
	case m.kind.Exists() && m.kind.Type != gjson.Null && (m.kind.Type != gjson.String || !p.relay):
		return &fault{codeUnknownType, "type", "use identify, track, page or screen"}
	case p.target.Type != 0:
		e.Type = p.target.Type
	case p.relay && event.TypeOf(m.name.Str) != 0:
		e.Type = event.TypeOf(m.name.Str) // a call of a batch may say it so
	case p.relay && m.name.Str != "":
		e.Type = event.Track
	default:
		return &fault{codeUnknownType, "type", "there is none; use identify, track, page or screen"}
	}
	switch e.Type {
	case event.Track:
		if e.Name = trimmed(m.name); e.Name == "" {
			return &fault{codeMissingName, "event", "a track needs a name"}
		}
		if event.IsCommand(e.Name) && !p.Trusted {
			return &fault{codeCommand, "event", "a command needs the key of a server"}
		}
		if m.title.Exists() {
			m.extra.addNamed("name", m.title)
		}
	case event.Page, event.Screen:
		e.Name = trimmed(m.title)
	case event.Identify:
		if m.title.Exists() {
			m.extra.addNamed("name", m.title)
		}
	}
	return nil
}

// values reads traits and properties.
func (p *parser) values(e *Event, m *members) error {
	for _, v := range [...]struct {
		name  string
		value gjson.Result
		into  *json.RawMessage
		own   bool // it belongs to the type
	}{
		{"traits", m.traits, &e.Traits, e.Type == event.Identify},
		{"properties", m.properties, &e.Properties, e.Type != event.Identify},
	} {
		switch {
		case v.value.Type == gjson.Null:
		case !v.value.IsObject():
			return &fault{codeWrongType, v.name, "use an object"}
		case v.own && (e.Type == event.Page || e.Type == event.Screen):
			*v.into = p.bytes(v.value)
			if clean := p.redactPage(v.value); clean != v.value.Raw {
				*v.into = []byte(clean)
			}
		case v.own:
			*v.into = p.bytes(v.value)
		default:
			m.extra.addNamed(v.name, v.value)
		}
	}
	return nil
}

// bytes is a value's JSON, without a copy where the value's place is known.
func (p *parser) bytes(v gjson.Result) []byte {
	if end := v.Index + len(v.Raw); v.Index > 0 && end <= len(p.body) && string(p.body[v.Index:end]) == v.Raw {
		return p.body[v.Index:end:end]
	}
	return []byte(v.Raw)
}
