package sandbox

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// A call is an event that passed validation and is not stored yet.
type call struct {
	Event
	own   json.RawMessage // the call's own context, nil when absent
	outer json.RawMessage // the context of the batch around it, nil when absent
}

// contextKinds are the context fields that a web event may carry, and no
// others, with the kind of value each takes.
var contextKinds = map[string]kind{
	"active":    kindBool,
	"campaign":  kindStrings,
	"device":    kindObject,
	"groupId":   kindString,
	"ip":        kindString,
	"library":   kindStrings,
	"locale":    kindString,
	"os":        kindObject,
	"page":      kindStrings,
	"referrer":  kindAny, // a URL or an object, by the page of the documentation
	"screen":    kindObject,
	"timezone":  kindString,
	"traits":    kindObject,
	"userAgent": kindString,
}

// parseCall checks one call. action is the path's; for a batch the call's own
// type decides. The returned call keeps raw.
func parseCall(raw json.RawMessage, action string) (call, *rejection) {
	if len(raw) > maxCallBytes {
		return call{}, reject(http.StatusRequestEntityTooLarge, "call must not be larger than %d bytes", maxCallBytes)
	}
	f, ok := object(raw)
	if !ok {
		return call{}, badRequest("call must be a JSON object")
	}
	v := validator{fields: f}
	c := call{own: f.present("context")}
	c.Raw = raw
	c.Type = v.callType(action)

	c.UserID = v.filled("userId")
	c.AnonymousID = v.filled("anonymousId")
	v.require(c.UserID != "" || c.AnonymousID != "", "userId must not be empty")

	event := v.filled("event")
	v.require(event != "", "event must not be empty")
	name := v.str("name")
	traits := v.obj("traits")
	v.obj("properties")
	switch c.Type {
	case actionIdentify:
		v.require(event == actionIdentify, "event must be identify")
		v.require(traits, "traits must not be empty")
	case actionPage:
		v.require(event == actionPage, "event must be page")
		c.Name = name
	case actionScreen:
		c.Name = name
	default:
		c.Name = event
	}

	c.MessageID = v.filled("messageId")
	c.Timestamp = v.instant("timestamp")
	v.instant("sentAt")
	if v.rej == nil {
		v.rej = checkContext(c.own, c.Type != actionScreen)
	}
	if v.rej != nil {
		return call{}, v.rej
	}
	return c, nil
}

// checkContext checks the kinds of the documented context fields. For a web
// event other fields are refused; a mobile one (screen) may carry them.
func checkContext(raw json.RawMessage, web bool) *rejection {
	if raw == nil {
		return nil
	}
	f, ok := object(raw)
	if !ok {
		return badRequest("context must be an object")
	}
	for key, value := range f {
		k, known := contextKinds[key]
		if !known && web {
			return badRequest("context field %q is not allowed", abbreviate(key))
		}
		if !isNull(value) && !k.accepts(value) {
			return badRequest("context.%s must be %s", key, k)
		}
	}
	return nil
}

// mergeContext lays a call's context over its batch's, field by field. Both
// have passed checkContext.
func mergeContext(outer, own json.RawMessage) json.RawMessage {
	if outer == nil || own == nil {
		if own == nil {
			return outer
		}
		return own
	}
	merged, ok := object(outer)
	inner, ok2 := object(own)
	if !ok || !ok2 {
		return own
	}
	for key, value := range inner {
		merged[key] = value
	}
	out, err := json.Marshal(merged)
	if err != nil {
		return own
	}
	return out
}

// fields are the members of a JSON object, matched by exact letter case.
type fields map[string]json.RawMessage

// object decodes a JSON object; false for anything else.
func object(raw json.RawMessage) (fields, bool) {
	var f fields
	err := json.Unmarshal(raw, &f)
	return f, err == nil && f != nil
}

// present returns a member's value, nil when it is absent or null.
func (f fields) present(key string) json.RawMessage {
	if raw, ok := f[key]; ok && !isNull(raw) {
		return raw
	}
	return nil
}

func isNull(raw json.RawMessage) bool { return string(raw) == "null" }

// validator reads members and keeps the first rejection.
type validator struct {
	fields
	rej *rejection
}

func (v *validator) require(ok bool, message string) {
	if !ok && v.rej == nil {
		v.rej = badRequest("%s", message)
	}
}

// str reads an optional string.
func (v *validator) str(key string) string {
	raw := v.present(key)
	var s string
	v.require(raw == nil || json.Unmarshal(raw, &s) == nil, key+" must be a string")
	return s
}

// filled reads an optional string that is not blank when it is given.
func (v *validator) filled(key string) string {
	s := v.str(key)
	v.require(v.present(key) == nil || strings.TrimSpace(s) != "", key+" must not be empty")
	return s
}

// obj reports whether an optional object is given.
func (v *validator) obj(key string) bool {
	raw := v.present(key)
	v.require(raw == nil || kindObject.accepts(raw), key+" must be an object")
	return raw != nil
}

// instant reads an optional ISO 8601 time in UTC.
func (v *validator) instant(key string) time.Time {
	s := v.str(key)
	if v.present(key) == nil {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, s)
	v.require(err == nil && strings.HasSuffix(s, "Z"), key+" must be an ISO 8601 date in UTC")
	return t
}

// callType reads the call's type: the path's, or in a batch its own.
func (v *validator) callType(action string) string {
	t := v.filled("type")
	if action != actionBatch {
		v.require(t == "" || t == action, "type must be "+action)
		return action
	}
	v.require(t != "", "type must not be empty")
	v.require(isCallType(t), "type must be identify, track, page or screen")
	return t
}

func isCallType(t string) bool {
	switch t {
	case actionIdentify, actionTrack, actionPage, actionScreen:
		return true
	}
	return false
}

// abbreviate bounds a name that a client chose before it is shown.
func abbreviate(s string) string {
	const limit = 64
	for i := range s {
		if i > limit {
			return s[:i] + "..."
		}
	}
	return s
}

// kind is the kind of JSON value that a context field takes.
type kind uint8

const (
	kindAny kind = iota
	kindBool
	kindString
	kindObject
	kindStrings // an object of strings
)

func (k kind) accepts(raw json.RawMessage) bool {
	switch k {
	case kindBool:
		return json.Unmarshal(raw, new(bool)) == nil
	case kindString:
		return json.Unmarshal(raw, new(string)) == nil
	case kindObject:
		_, ok := object(raw)
		return ok
	case kindStrings:
		m := map[string]*string{}
		return json.Unmarshal(raw, &m) == nil
	default:
		return true
	}
}

func (k kind) String() string {
	return [...]string{"any value", "a boolean", "a string", "an object", "an object of strings"}[k]
}
