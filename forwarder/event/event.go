package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// Type is the kind of an event.
type Type uint8

// The types of events. A screen is what a mobile app shows where a site shows a
// page.
const (
	Page Type = iota + 1
	Track
	Identify
	Screen
)

// String is the type as the Tracking API writes it.
func (t Type) String() string {
	switch t {
	case Page:
		return "page"
	case Track:
		return "track"
	case Identify:
		return "identify"
	case Screen:
		return "screen"
	default:
		return "unknown"
	}
}

// TypeOf is the type that the Tracking API writes so; 0 when it has none.
func TypeOf(name string) Type {
	for t := Page; t <= Screen; t++ {
		if t.String() == name {
			return t
		}
	}
	return 0
}

// Source says where an event comes from.
type Source uint8

// The sources of events.
const (
	App       Source = iota // the site's app, or a server with a secret
	Collected               // a browser or an app on a device, whose key is public
)

// The ranks of events in the queue. When there is no room left, those of a lower
// rank are shed first: what anybody may send before what the app says, and of each
// the pages and screens first and the identifies last.
const (
	classPage queue.Class = iota // also Collected
	classCollectedTrack
	classCollectedIdentify
	classTrack
	classIdentify
)

// Class is the rank in the queue of the app's events of a type; that of an unknown
// type is a page's.
func (t Type) Class() queue.Class {
	switch t {
	case Track:
		return classTrack
	case Identify:
		return classIdentify
	}
	return classPage
}

// Class is the event's rank in the queue.
func (e *Event) Class() queue.Class {
	switch class := e.Type.Class(); {
	case e.Source == Collected && class == classTrack:
		return classCollectedTrack
	case e.Source == Collected && class == classIdentify:
		return classCollectedIdentify
	default:
		return class
	}
}

// OfClass is the type of the events that have a rank; a page's stands for screens
// too.
func OfClass(c queue.Class) Type {
	switch c {
	case classTrack, classCollectedTrack:
		return Track
	case classIdentify, classCollectedIdentify:
		return Identify
	}
	return Page
}

// Bounds of an event.
const (
	// MaxBytes is the size of one call, as it is sent, in JSON.
	MaxBytes = 32_000
	// MaxDepth is how deep objects and arrays may be nested in its traits,
	// properties and other members.
	MaxDepth = 64
	// MaxCampaign is how many campaign parameters are sent.
	MaxCampaign = 32
)

// Event is one call of the Tracking API.
type Event struct {
	Type   Type
	Source Source
	// Name is the event's name for Track (required), the name of what was shown for
	// Page and Screen (optional), unused for Identify.
	Name string
	// AnonymousID and UserID say whom the event is about. At least one is
	// required; give both when both are known.
	AnonymousID, UserID string
	// MessageID names the event for good. Store makes a UUIDv4 when it is empty.
	MessageID string
	// Timestamp is when the event happened. Store sets the present when it is zero.
	Timestamp time.Time
	// OriginalTimestamp is the timestamp that a client gave, as it wrote it, where
	// Timestamp is another one because its clock is wrong; else empty.
	OriginalTimestamp string
	// Traits, of Identify, and Properties, of the others, are JSON objects.
	// Nil stands for {}.
	Traits, Properties json.RawMessage
	// Extra is a JSON object whose members are added to the call's root, such as
	// the assetId of a command. Members that the forwarder writes itself are
	// left out. Nil stands for none. None of these is nested deeper than MaxDepth.
	Extra json.RawMessage
	// Context is what is known about the request.
	Context Context
}

// Context is what is known about the request that an event belongs to. What is
// empty is not sent.
type Context struct {
	IP, UserAgent, Locale string
	Page                  PageContext
	// Campaign holds the utm_* parameters, keys without the prefix; utm_campaign
	// has the key "name". The first of equal keys counts, and at most MaxCampaign are
	// sent.
	Campaign []Param
	// Own is the context that a client sent, a JSON object without equal keys. Its
	// members win over the fields above. Nil stands for none.
	Own json.RawMessage
}

// Param is one campaign parameter.
type Param struct{ Key, Value string }

// PageContext is the page that was shown, or on which something happened.
type PageContext struct{ Path, Referrer, Search, Title, URL string }

// Reasons for which an event is refused, to be tested with errors.Is.
var (
	// ErrInvalid: the event is not one that Intilery could accept.
	ErrInvalid = errors.New("invalid event")
	// ErrTooLarge: the call would be over MaxBytes.
	ErrTooLarge = errors.New("event over 32,000 bytes")
)

// Validate returns nil, or an ErrInvalid that says what is missing or wrong,
// without quoting values. Store checks the size.
func (e *Event) Validate() error {
	switch {
	case e.Type < Page || e.Type > Screen:
		return fmt.Errorf("%w: unknown type", ErrInvalid)
	case e.AnonymousID == "" && e.UserID == "":
		return fmt.Errorf("%w: neither userId nor anonymousId", ErrInvalid)
	case e.Type == Track && e.Name == "":
		return fmt.Errorf("%w: track without a name", ErrInvalid)
	case e.Timestamp.UTC().Year() < 0 || e.Timestamp.UTC().Year() > 9999:
		return fmt.Errorf("%w: timestamp outside the years 0 to 9999", ErrInvalid)
	}
	for _, m := range [...]struct {
		name string
		raw  json.RawMessage
	}{{"traits", e.Traits}, {"properties", e.Properties}, {"extra fields", e.Extra}, {"context", e.Context.Own}} {
		switch {
		case Deeper(m.raw, MaxDepth):
			return fmt.Errorf("%w: %s: nested deeper than %d", ErrInvalid, m.name, MaxDepth)
		case !isObject(m.raw):
			return fmt.Errorf("%w: %s: not a JSON object", ErrInvalid, m.name)
		}
	}
	return nil
}

// Store returns the event as it is stored. It does not change or keep e. Version
// is that of the library, told in the context; empty leaves the library out.
// Errors: ErrInvalid, ErrTooLarge.
func (e *Event) Store(version string) (Stored, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	ev := *e
	if ev.MessageID == "" {
		id, err := uuid.NewRandom()
		if err != nil {
			return nil, err
		}
		ev.MessageID = id.String()
	}
	if ev.Timestamp.IsZero() {
		ev.Timestamp = time.Now()
	}
	s := ev.append(make([]byte, 0, ev.sizeHint()), version)
	if len(s)+sentAtBytes > MaxBytes {
		return nil, ErrTooLarge
	}
	return s, nil
}
