package event

import (
	"bytes"

	"github.com/tidwall/gjson"
)

// timeLayout is ISO-8601 in UTC with milliseconds.
const timeLayout = "2006-01-02T15:04:05.000Z"

// LibraryName is what the context of an event calls this library.
const LibraryName = "caddy-intilery"

// append adds the call as it is stored. The event must be valid. Extra never
// overrides a field that is written here.
func (e *Event) append(dst []byte, version string) []byte {
	dst = append(dst, timestampPrefix...)
	dst = e.Timestamp.UTC().AppendFormat(dst, timeLayout)
	dst = append(dst, `","type":"`...)
	dst = append(dst, e.Type.String()...)
	dst = append(dst, `","event":`...)
	if e.Type == Track {
		dst = appendString(dst, e.Name)
	} else {
		dst = append(append(append(dst, '"'), e.Type.String()...), '"')
	}
	if e.Type == Page || e.Type == Screen {
		dst = appendMember(dst, 0, "name", e.Name)
	}
	dst = appendMember(dst, 0, "anonymousId", e.AnonymousID)
	dst = appendMember(dst, 0, "userId", e.UserID)
	dst = appendMember(dst, 0, "messageId", e.MessageID)
	dst = appendMember(dst, 0, "originalTimestamp", e.OriginalTimestamp)
	switch e.Type {
	case Identify:
		dst = appendObject(append(dst, `,"traits":`...), e.Traits)
	case Track, Screen:
		dst = appendObject(append(dst, `,"properties":`...), e.Properties)
	case Page:
		dst = append(dst, `,"properties":`...)
		dst = e.appendPageProperties(dst)
	}
	dst = append(dst, `,"context":`...)
	dst = e.Context.append(dst, version)
	dst = e.appendExtra(dst)
	return append(dst, '}')
}

// appendPageProperties writes the five properties of the page that was shown,
// then the event's own, which win where both name one.
func (e *Event) appendPageProperties(dst []byte) []byte {
	dst = append(dst, '{')
	start := len(dst)
	for _, f := range e.Context.Page.fields() {
		if f.Value != "" && !gjson.GetBytes(e.Properties, f.Key).Exists() {
			dst = appendMember(dst, start, f.Key, f.Value)
		}
	}
	if own := bytes.TrimSpace(e.Properties); len(own) > 0 {
		if own = bytes.TrimSpace(own[1 : len(own)-1]); len(own) > 0 {
			if len(dst) > start {
				dst = append(dst, ',')
			}
			dst = appendRaw(dst, own)
		}
	}
	return append(dst, '}')
}

func (e *Event) appendExtra(dst []byte) []byte {
	gjson.ParseBytes(e.Extra).ForEach(func(key, value gjson.Result) bool {
		if !e.owns(key.Str) {
			dst = appendRaw(append(dst, ','), []byte(key.Raw))
			dst = appendRaw(append(dst, ':'), []byte(value.Raw))
		}
		return true
	})
	return dst
}

// owns reports whether a root field of this call is to be written here.
func (e *Event) owns(field string) bool {
	switch field {
	case "type", "event", "anonymousId", "userId", "messageId", "timestamp", "sentAt", "context":
		return true
	case "name":
		return e.Type == Page || e.Type == Screen
	case "originalTimestamp":
		return e.OriginalTimestamp != ""
	case "traits":
		return e.Type == Identify
	case "properties":
		return e.Type != Identify
	}
	return false
}

func (c *Context) append(dst []byte, version string) []byte {
	dst = append(dst, '{')
	start := len(dst)
	if own := bytes.TrimSpace(c.Own); len(own) > 2 {
		dst = appendRaw(dst, bytes.TrimSpace(own[1:len(own)-1]))
	}
	if version != "" && c.Own == nil {
		dst = append(appendKey(dst, start, "library"), `{"name":"`+LibraryName+`","version":`...)
		dst = append(appendString(dst, version), '}')
	}
	for _, f := range [...]Param{{"ip", c.IP}, {"userAgent", c.UserAgent}, {"locale", c.Locale}} {
		if !c.has(f.Key) {
			dst = appendMember(dst, start, f.Key, f.Value)
		}
	}
	if c.Page != (PageContext{}) && !c.has("page") {
		dst = appendKey(dst, start, "page")
		dst = c.Page.append(dst)
	}
	if len(c.Campaign) > 0 && !c.has("campaign") {
		dst = appendKey(dst, start, "campaign")
		dst = appendCampaign(dst, c.Campaign)
	}
	return append(dst, '}')
}

// has reports whether the client's own context has a member. Names in it that the
// server may write too have no escapes.
func (c *Context) has(key string) bool {
	depth := 0
	for i := 0; i < len(c.Own); i++ {
		switch c.Own[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			start := i + 1
			for i++; i < len(c.Own) && c.Own[i] != '"'; i++ {
				if c.Own[i] == '\\' {
					i++
				}
			}
			if depth == 1 && i < len(c.Own) && string(c.Own[start:i]) == key && nextIs(c.Own[i+1:], ':') {
				return true
			}
		}
	}
	return false
}

// nextIs reports whether the next byte that is no white space is c.
func nextIs(b []byte, c byte) bool {
	for _, next := range b {
		switch next {
		case ' ', '\t', '\r', '\n':
		default:
			return next == c
		}
	}
	return false
}

// fields are the page's properties by the names that they have in a call.
func (p *PageContext) fields() [5]Param {
	return [...]Param{{"path", p.Path}, {"referrer", p.Referrer}, {"search", p.Search}, {"title", p.Title}, {"url", p.URL}}
}

func (p *PageContext) append(dst []byte) []byte {
	dst = append(dst, '{')
	start := len(dst)
	for _, f := range p.fields() {
		dst = appendMember(dst, start, f.Key, f.Value)
	}
	return append(dst, '}')
}

func appendCampaign(dst []byte, params []Param) []byte {
	params = params[:min(len(params), MaxCampaign)]
	dst = append(dst, '{')
	start := len(dst)
next:
	for i, p := range params {
		for _, before := range params[:i] {
			if before.Key == p.Key {
				continue next
			}
		}
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, p.Key), ':')
		dst = appendString(dst, p.Value)
	}
	return append(dst, '}')
}

// appendMember appends a member of the object whose content begins at start (0
// for the event itself, of which something is there already), unless it is empty.
func appendMember(dst []byte, start int, key, value string) []byte {
	if value == "" {
		return dst
	}
	return appendString(appendKey(dst, start, key), value)
}

// appendKey appends a key that needs no escapes.
func appendKey(dst []byte, start int, key string) []byte {
	if len(dst) > start {
		dst = append(dst, ',')
	}
	dst = append(append(dst, '"'), key...)
	return append(dst, '"', ':')
}

// sizeHint is at least the length of the event's JSON unless many characters
// have to be escaped, so that encoding allocates once.
func (e *Event) sizeHint() int {
	n := 320 + len(e.Name) + len(e.AnonymousID) + len(e.UserID) + len(e.MessageID) +
		len(e.Traits) + len(e.Properties) + len(e.Extra) +
		len(e.Context.Own) + len(e.Context.IP) + len(e.Context.UserAgent) + len(e.Context.Locale)
	p := &e.Context.Page
	page := 60 + len(p.Path) + len(p.Referrer) + len(p.Search) + len(p.Title) + len(p.URL)
	n += 2 * page
	for _, c := range e.Context.Campaign {
		n += 6 + len(c.Key) + len(c.Value)
	}
	return n
}
