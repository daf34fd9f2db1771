package forwarder

import "time"

// timeLayout is ISO-8601 in UTC with milliseconds.
const timeLayout = "2006-01-02T15:04:05.000Z"

const libraryName = "caddy-intilery"

const maxCampaign = 32

// The stored form of an event is its JSON without sentAt. The API corrects
// clock skew by sentAt, so it is spliced in behind the opening brace at each
// attempt to send.
const (
	sentAtPrefix = `{"sentAt":"`
	sentAtSuffix = `",`
	// A stored event begins with its timestamp, so that its age is read cheaply.
	timestampPrefix = `{"timestamp":"`

	sentAtBytes = len(sentAtPrefix) + len(timeLayout) + len(sentAtSuffix) - 1 // the brace is the event's own
)

// AppendJSON appends the call as it is stored: all of it but sentAt. version is
// that of the library, told in the context; empty leaves the library out. The
// event must be valid (see Validate). Extra never overrides a field that the
// forwarder writes or that is its own to write.
func (e *Event) AppendJSON(dst []byte, version string) []byte {
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
	if e.Type == Page {
		dst = appendField(dst, "name", e.Name)
	}
	dst = appendField(dst, "anonymousId", e.AnonymousID)
	dst = appendField(dst, "userId", e.UserID)
	dst = appendField(dst, "messageId", e.MessageID)
	switch e.Type {
	case Identify:
		dst = append(dst, `,"traits":`...)
		if len(e.Traits) == 0 {
			dst = append(dst, "{}"...)
		} else {
			dst = appendRaw(dst, e.Traits)
		}
	case Track:
		dst = append(dst, `,"properties":`...)
		if len(e.Properties) == 0 {
			dst = append(dst, "{}"...)
		} else {
			dst = appendRaw(dst, e.Properties)
		}
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
	p := &e.Context.Page
	for _, f := range [...]Param{{"path", p.Path}, {"referrer", p.Referrer}, {"search", p.Search}, {"title", p.Title}, {"url", p.URL}} {
		if f.Value != "" && !hasMember(e.Properties, f.Key) {
			dst = appendMember(dst, start, f.Key, f.Value)
		}
	}
	if !isEmptyObject(e.Properties) {
		for pos := 0; ; {
			_, member, next, ok := nextMember(e.Properties, pos)
			if !ok {
				break
			}
			if len(dst) > start {
				dst = append(dst, ',')
			}
			dst = appendRaw(dst, member)
			pos = next
		}
	}
	return append(dst, '}')
}

func (e *Event) appendExtra(dst []byte) []byte {
	for pos := 0; ; {
		key, member, next, ok := nextMember(e.Extra, pos)
		if !ok {
			return dst
		}
		if !e.owns(keyText(key)) {
			dst = append(dst, ',')
			dst = appendRaw(dst, member)
		}
		pos = next
	}
}

// owns reports whether a root field of this call is the forwarder's to write.
func (e *Event) owns(field []byte) bool {
	switch string(field) {
	case "type", "event", "anonymousId", "userId", "messageId", "timestamp", "sentAt", "context":
		return true
	case "name":
		return e.Type == Page
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
	if version != "" {
		dst = append(dst, `"library":{"name":"`+libraryName+`","version":`...)
		dst = append(appendString(dst, version), '}')
	}
	if c.IP != "" {
		dst = appendMember(dst, start, "ip", c.IP)
	}
	if c.UserAgent != "" {
		dst = appendMember(dst, start, "userAgent", c.UserAgent)
	}
	if c.Locale != "" {
		dst = appendMember(dst, start, "locale", c.Locale)
	}
	if c.Page != (PageContext{}) {
		dst = appendKey(dst, start, "page")
		dst = c.Page.append(dst)
	}
	if len(c.Campaign) > 0 {
		dst = appendKey(dst, start, "campaign")
		dst = appendCampaign(dst, c.Campaign)
	}
	return append(dst, '}')
}

func (p *PageContext) append(dst []byte) []byte {
	dst = append(dst, '{')
	start := len(dst)
	for _, f := range [...]Param{{"path", p.Path}, {"referrer", p.Referrer}, {"search", p.Search}, {"title", p.Title}, {"url", p.URL}} {
		if f.Value != "" {
			dst = appendMember(dst, start, f.Key, f.Value)
		}
	}
	return append(dst, '}')
}

func appendCampaign(dst []byte, params []Param) []byte {
	params = params[:min(len(params), maxCampaign)]
	dst = append(dst, '{')
	start := len(dst)
next:
	for i, p := range params {
		for _, before := range params[:i] {
			if before.Key == p.Key {
				continue next
			}
		}
		dst = appendMember(dst, start, p.Key, p.Value)
	}
	return append(dst, '}')
}

// appendField appends a root field that is not the first one, unless it is empty.
func appendField(dst []byte, key, value string) []byte {
	if value == "" {
		return dst
	}
	return appendMember(dst, 0, key, value)
}

// appendMember appends a member of the object whose content begins at start.
func appendMember(dst []byte, start int, key, value string) []byte {
	return appendString(appendKey(dst, start, key), value)
}

func appendKey(dst []byte, start int, key string) []byte {
	if len(dst) > start {
		dst = append(dst, ',')
	}
	return append(appendString(dst, key), ':')
}

func hasMember(raw []byte, name string) bool {
	for pos := 0; ; {
		key, _, next, ok := nextMember(raw, pos)
		if !ok {
			return false
		}
		if string(keyText(key)) == name {
			return true
		}
		pos = next
	}
}

// sizeHint is at least the length of the event's JSON unless many characters
// have to be escaped, so that encoding allocates once.
func (e *Event) sizeHint() int {
	n := 320 + len(e.Name) + len(e.AnonymousID) + len(e.UserID) + len(e.MessageID) +
		len(e.Traits) + len(e.Properties) + len(e.Extra) +
		len(e.Context.IP) + len(e.Context.UserAgent) + len(e.Context.Locale)
	p := &e.Context.Page
	page := 60 + len(p.Path) + len(p.Referrer) + len(p.Search) + len(p.Title) + len(p.URL)
	n += 2 * page
	for _, c := range e.Context.Campaign {
		n += 6 + len(c.Key) + len(c.Value)
	}
	return n
}

// appendSent appends a stored event with the time of this attempt.
func appendSent(dst, event []byte, now time.Time) []byte {
	dst = append(dst, sentAtPrefix...)
	dst = now.UTC().AppendFormat(dst, timeLayout)
	dst = append(dst, sentAtSuffix...)
	return append(dst, event[1:]...)
}

// isStored reports whether data can be an event as AppendJSON writes it.
func isStored(data []byte) bool {
	return len(data) > len(timestampPrefix)+len(timeLayout) &&
		string(data[:len(timestampPrefix)]) == timestampPrefix && data[len(data)-1] == '}'
}
