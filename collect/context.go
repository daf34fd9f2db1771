package collect

import (
	"encoding/json"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/intilery/caddy-intilery/forwarder/event"
)

// kind is what a member of the context may hold.
type kind uint8

const (
	anything kind = iota
	text
	truth
	object
	texts // an object of strings
)

// contextKinds are the members that a web event's context may have, and no others
// (the Tracking API's common fields). A call with one of another kind is refused, so
// that is left out.
var contextKinds = map[string]kind{
	"active": truth, "campaign": texts, "device": object, "groupId": text, "ip": text, "library": texts, "locale": text,
	"os": object, "page": texts, "referrer": anything, "screen": object, "timezone": text, "traits": object, "userAgent": text,
}

// readContext makes the event's context of its own and of the batch's around it.
func (p *parser) readContext(e *Event, own gjson.Result) {
	x := &p.members
	x.reset()
	n := len(p.context.Raw)
	p.copied += n
	p.busy = n > 0 && p.Grow != nil && !p.Grow(int64(n))
	if p.busy || p.copied > maxContext {
		return
	}
	for _, from := range [...]gjson.Result{p.context, own} {
		if !from.IsObject() {
			continue
		}
		from.ForEach(func(key, value gjson.Result) bool {
			if p.relay {
				x.add(key, value)
			} else if value, ok := p.allowed(e, key.Str, value); ok {
				x.put(extra{key.Str, canonical(key), value})
			}
			return true
		})
	}
	e.Context.Own = x.object()
	if p.relay && e.Context.Own == nil {
		e.Context.Own = json.RawMessage("{}")
	}
	if e.Type != event.Page {
		return
	}
	if e.PagePath = gjson.GetBytes(e.Context.Own, "page.path").Str; e.PagePath == "" {
		e.PagePath = gjson.GetBytes(e.Properties, "path").Str
	}
}

// canonical is a member's name as JSON, without needless escapes if it is one that
// the server may add too.
func canonical(key gjson.Result) string {
	if name, known := contextNames[key.Str]; known {
		return name
	}
	return key.Raw
}

// contextNames are the names of contextKinds as JSON.
var contextNames = func() map[string]string {
	names := make(map[string]string, len(contextKinds))
	for name := range contextKinds {
		names[name] = quote(name)
	}
	return names
}()

// allowed returns the JSON of a member that the context may have.
func (p *parser) allowed(e *Event, name string, value gjson.Result) (raw string, ok bool) {
	k, known := contextKinds[name]
	switch {
	case name == "ip" && !p.Trusted:
		return "", false
	case !known:
		return value.Raw, e.Type == event.Screen // of which an app knows more
	case name == "page":
		if !value.IsObject() {
			return "", false
		}
		return p.redactPage(gjson.Result{Type: gjson.JSON, Raw: onlyTexts(value)}), true
	case name == "referrer" && value.Type == gjson.String && p.Redact != nil:
		return quote(p.Redact(value.Str)), true
	case name == "referrer" && value.IsObject():
		return p.redactPage(value), true
	}
	switch k {
	case text:
		ok = value.Type == gjson.String
	case truth:
		ok = value.IsBool()
	case object:
		ok = value.IsObject()
	case texts:
		if ok = value.IsObject(); ok {
			return onlyTexts(value), true
		}
	default:
		ok = value.Type != gjson.Null
	}
	return value.Raw, ok
}

// onlyTexts is the JSON of an object without what is no string.
func onlyTexts(v gjson.Result) string {
	all := true
	v.ForEach(func(_, member gjson.Result) bool {
		all = member.Type == gjson.String
		return all
	})
	if all {
		return v.Raw
	}
	var x extras
	v.ForEach(func(key, member gjson.Result) bool {
		if member.Type == gjson.String {
			x.add(key, member)
		}
		return true
	})
	if left := x.object(); left != nil {
		return string(left)
	}
	return "{}"
}

// redactPage takes secrets out of the URLs of a page, in its context or in the
// properties of its event.
func (p *parser) redactPage(page gjson.Result) string {
	changed := false
	page.ForEach(func(key, value gjson.Result) bool {
		changed = value.Type == gjson.String && p.redacted(key.Str, value.Str) != value.Str
		return !changed
	})
	if !changed {
		return page.Raw
	}
	var x extras
	page.ForEach(func(key, value gjson.Result) bool {
		if value.Type == gjson.String {
			if clean := p.redacted(key.Str, value.Str); clean != value.Str {
				x.put(extra{key.Str, key.Raw, quote(clean)})
				return true
			}
		}
		x.add(key, value)
		return true
	})
	return string(x.object())
}

// redacted is a member of a page without secrets.
func (p *parser) redacted(name, value string) string {
	switch {
	case (name == "url" || name == "referrer" || isURL(value)) && value != "" && p.Redact != nil:
		return p.Redact(value)
	case name == "path" && p.RedactPath != nil:
		return p.RedactPath(value)
	case name == "search" && p.RedactQuery != nil:
		if query, found := strings.CutPrefix(value, "?"); found {
			if query = p.RedactQuery(query); query == "" {
				return ""
			}
			return "?" + query
		}
		return p.RedactQuery(value)
	}
	return value
}

// isURL reports an absolute URL of the web.
func isURL(text string) bool {
	scheme, _, found := strings.Cut(text, "://")
	return found && (strings.EqualFold(scheme, "https") || strings.EqualFold(scheme, "http"))
}

func trimmed(v gjson.Result) string {
	if v.Type != gjson.String {
		return ""
	}
	return strings.TrimSpace(v.Str)
}

// quote is a text as JSON.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil { // a string always marshals
		return `""`
	}
	return string(b)
}
