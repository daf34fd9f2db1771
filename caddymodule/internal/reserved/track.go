package reserved

import (
	"encoding/json"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/intilery/caddy-intilery/forwarder/event"
)

// Limits of one response.
const (
	// maxTracks is the number of its events, refused ones included.
	maxTracks = 1000
	// maxTrackBytes is the size of all its Intilery-Track values together.
	maxTrackBytes = 1 << 20
)

// TrackValue is one event of Intilery-Track.
type TrackValue struct {
	Name string
	// Properties is a compact JSON object, or nil.
	Properties json.RawMessage
	// Extra is a JSON object of the root fields that are relayed, such as the
	// assetId of a command, or nil.
	Extra json.RawMessage
}

// parseTracks reads the lines of Intilery-Track. Each event that is refused is
// reported once; where a response exceeds a limit on all its events together,
// what is left of it is reported once.
func parseTracks(lines []string, reject func(header string, why error)) []TrackValue {
	if len(lines) == 0 {
		return nil
	}
	t := tracks{values: make([]TrackValue, 0, min(len(lines), maxTracks)), reject: reject}
	size := 0
	for _, line := range lines {
		if size += len(line); size > maxTrackBytes {
			reject(Track, ErrOversized)
			break
		}
		if !t.line(line) {
			reject(Track, ErrTooMany)
			break
		}
	}
	return t.values
}

// tracks collects the events of one response.
type tracks struct {
	values []TrackValue
	count  int // accepted and refused
	reject func(header string, why error)
}

// add reports whether there was room for one more event.
func (t *tracks) add(value TrackValue, err error) bool {
	if t.count == maxTracks {
		return false
	}
	t.count++
	if err != nil {
		t.reject(Track, err)
	} else {
		t.values = append(t.values, value)
	}
	return true
}

func (t *tracks) line(line string) bool {
	rest := cursor{line}
	m, ok := rest.next()
	if !ok {
		return t.add(TrackValue{}, ErrEmpty)
	}
	for ; ok; m, ok = rest.next() {
		if !t.member(m) {
			return false
		}
	}
	return true
}

func (t *tracks) member(m member) bool {
	switch {
	case m.kind == plain:
		return t.add(TrackValue{Name: m.text}, checkName(m.text))
	case m.kind == broken:
		return t.add(TrackValue{}, ErrMalformed)
	case m.text[0] == '[':
		return t.array(m.text)
	}
	return t.add(parseTrackObject(m.text))
}

// array reads an array of events: objects, or names as strings. An array that is
// not valid is refused as a whole, an element that is no event alone.
func (t *tracks) array(text string) (ok bool) {
	if err := checkJSON(text, maxTrackBytes, event.MaxDepth+1); err != nil {
		return t.add(TrackValue{}, err)
	}
	ok = true
	gjson.Parse(text).ForEach(func(_, element gjson.Result) bool {
		switch {
		case element.Type == gjson.String:
			name := strings.TrimSpace(element.Str)
			ok = t.add(TrackValue{Name: name}, checkName(name))
		case element.IsObject():
			ok = t.add(parseTrackObject(element.Raw))
		default:
			ok = t.add(TrackValue{}, ErrWrongType)
		}
		return ok
	})
	return ok
}

// parseTrackObject reads the object form of an event. Field names are compared
// exactly, and the last of equal ones counts, as in JavaScript.
func parseTrackObject(text string) (TrackValue, error) {
	if err := checkJSON(text, maxJSON, event.MaxDepth); err != nil {
		return TrackValue{}, err
	}
	var name, properties gjson.Result
	var own, extra bool
	gjson.Parse(text).ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "event":
			name = value
		case "properties":
			properties = value
		case "type", "anonymousId", "userId", "messageId", "timestamp", "sentAt", "context":
			own = true // the module sets these
		default:
			extra = true
		}
		return true
	})
	var t TrackValue
	var err error
	if t.Name, err = nameOf(name); err != nil {
		return TrackValue{}, err
	}
	if own {
		return TrackValue{}, ErrReservedField
	}
	if t.Properties, err = objectOf(properties); err != nil {
		return TrackValue{}, err
	}
	if extra {
		t.Extra = extraFields(text)
	}
	return t, nil
}

// extraFields returns the fields of an event's object that are neither its name
// nor its properties, each of them once: a call whose root has a field twice could
// be refused, and its whole batch with it.
func extraFields(text string) json.RawMessage {
	object := gjson.Parse(text)
	last := make(map[string]int)
	object.ForEach(func(key, _ gjson.Result) bool {
		last[key.Str] = key.Index
		return true
	})
	dst := append(make([]byte, 0, len(text)), '{')
	object.ForEach(func(key, value gjson.Result) bool {
		if key.Str == "event" || key.Str == "properties" || last[key.Str] != key.Index {
			return true
		}
		if len(dst) > 1 {
			dst = append(dst, ',')
		}
		dst = append(append(dst, key.Raw...), ':')
		dst = appendCompact(dst, value.Raw)
		return true
	})
	return append(dst, '}')
}

// nameOf returns the name that a field has.
func nameOf(field gjson.Result) (string, error) {
	switch field.Type {
	case gjson.String:
		name := strings.TrimSpace(field.Str)
		return name, checkName(name)
	case gjson.Null: // absent too
		return "", ErrEmpty
	}
	return "", ErrWrongType
}

// objectOf returns the object that a field has; nil when it is null or absent.
func objectOf(field gjson.Result) (json.RawMessage, error) {
	switch {
	case field.Type == gjson.Null:
		return nil, nil
	case !field.IsObject():
		return nil, ErrWrongType
	}
	return appendCompact(make([]byte, 0, len(field.Raw)), field.Raw), nil
}
