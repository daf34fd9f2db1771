package forwarder

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Type is the kind of an event. A greater type is worth more: when there is no
// room left, the log sheds page events first and identify events last.
type Type uint8

// The types of events.
const (
	Page Type = iota + 1
	Track
	Identify
)

// types is the number of types; counters are indexed by class.
const types = 3

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

// class is the type's rank in the log: 0 is shed first.
func (t Type) class() uint8 { return uint8(t) - 1 }

// MaxEventBytes is the size limit of one call, as it is sent, in JSON.
const MaxEventBytes = 32_000

// Event is one call of the Tracking API.
type Event struct {
	Type Type
	// Name is the event's name for Track (required), the page's name for Page
	// (optional), unused for Identify.
	Name string
	// AnonymousID and UserID say whom the event is about. At least one is
	// required; give both when both are known.
	AnonymousID, UserID string
	// MessageID names the event for good. Capture makes a UUIDv4 when it is empty.
	MessageID string
	// Timestamp is when the event happened. Capture sets the present when it is zero.
	Timestamp time.Time
	// Traits, of Identify, and Properties, of Track and Page, are JSON objects.
	// Nil stands for {}.
	Traits, Properties json.RawMessage
	// Extra is a JSON object whose members are added to the call's root, such as
	// the assetId of a command. Members that the forwarder writes itself are
	// left out. Nil stands for none.
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
	// has the key "name". The first of equal keys counts, and at most 32 are sent.
	Campaign []Param
}

// Param is one campaign parameter.
type Param struct{ Key, Value string }

// PageContext is the page that was shown, or on which something happened.
type PageContext struct{ Path, Referrer, Search, Title, URL string }

// Reasons for which Capture refuses an event. A refused event is counted.
var (
	// ErrInvalid: the event is not one that Intilery could accept.
	ErrInvalid = errors.New("invalid event")
	// ErrTooLarge: the call would be over MaxEventBytes.
	ErrTooLarge = errors.New("event over 32,000 bytes")
	// ErrShed: there is no room in memory.
	ErrShed = errors.New("event shed: no room in memory")
	// ErrClosed: the forwarder was closed.
	ErrClosed = errors.New("forwarder closed")
	// ErrUnknownDestination: no running configuration has had this destination.
	ErrUnknownDestination = errors.New("unknown destination")
)

// Validate returns nil, or an ErrInvalid that says what is missing or wrong,
// without quoting values. Size is checked by Capture.
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
	case !isObject(e.Traits):
		return fmt.Errorf("%w: traits are not a JSON object", ErrInvalid)
	case !isObject(e.Properties):
		return fmt.Errorf("%w: properties are not a JSON object", ErrInvalid)
	case !isObject(e.Extra):
		return fmt.Errorf("%w: extra fields are not a JSON object", ErrInvalid)
	}
	return nil
}
