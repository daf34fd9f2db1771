package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// Type is the kind of an event. A greater type is worth more: when there is no
// room left, the queue sheds page events first and identify events last.
type Type uint8

// The types of events.
const (
	Page Type = iota + 1
	Track
	Identify
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
	default:
		return "unknown"
	}
}

// Class is the type's rank in the queue; that of an unknown type is a page's.
func (t Type) Class() queue.Class {
	if t < Page || t > Identify {
		return 0
	}
	return queue.Class(t - Page)
}

// OfClass is the type whose rank a class is.
func OfClass(c queue.Class) Type { return Type(c) + Page }

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
	Type Type
	// Name is the event's name for Track (required), the page's name for Page
	// (optional), unused for Identify.
	Name string
	// AnonymousID and UserID say whom the event is about. At least one is
	// required; give both when both are known.
	AnonymousID, UserID string
	// MessageID names the event for good. Store makes a UUIDv4 when it is empty.
	MessageID string
	// Timestamp is when the event happened. Store sets the present when it is zero.
	Timestamp time.Time
	// Traits, of Identify, and Properties, of Track and Page, are JSON objects.
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
	case e.Type < Page || e.Type > Identify:
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
	}{{"traits", e.Traits}, {"properties", e.Properties}, {"extra fields", e.Extra}} {
		switch {
		case Depth(m.raw) > MaxDepth:
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
