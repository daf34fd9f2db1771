package reserved

import (
	"encoding/json"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/intilery/caddy-intilery/forwarder/event"
)

// PageValue is Intilery-Page where it names the page.
type PageValue struct {
	// Given is true when the app sent the header with a value other than off, even
	// one that was refused: the app means this response to be a page.
	Given bool
	Name  string
	// Properties is a compact JSON object, or nil.
	Properties json.RawMessage
}

// parsePage reads the lines of Intilery-Page. One off is enough: a page event
// that an app suppresses, in whatever layer, must not be sent.
func parsePage(lines []string) (page PageValue, off bool, err error) {
	var first member
	values := 0
	for _, line := range lines {
		for rest := (cursor{line}); ; {
			m, ok := rest.next()
			if !ok {
				break
			}
			if m.kind == plain {
				found, others := splitOff(m.text)
				if off = off || found; !others {
					continue
				}
			}
			if values++; values == 1 {
				first = m
			}
		}
	}
	if values > 1 || off && values > 0 {
		return PageValue{Given: !off}, off, ErrDuplicate
	}
	if values == 0 {
		return PageValue{}, off, nil
	}
	if page, err = parsePageMember(first); err != nil {
		page = PageValue{}
	}
	page.Given = true
	return page, false, err
}

// splitOff reports whether the members of a joined text are off, all or in part.
func splitOff(text string) (off, others bool) {
	for value := range strings.SplitSeq(text, ",") {
		if value = strings.TrimSpace(value); strings.EqualFold(value, "off") {
			off = true
		} else if value != "" {
			others = true
		}
	}
	return off, others
}

func parsePageMember(m member) (PageValue, error) {
	switch {
	case m.kind == plain:
		return PageValue{Name: m.text}, checkName(m.text)
	case m.kind == broken:
		return PageValue{}, ErrMalformed
	}
	if err := checkJSON(m.text, maxJSON, event.MaxDepth); err != nil {
		return PageValue{}, err
	}
	if m.text[0] != '{' {
		return PageValue{}, ErrWrongType
	}
	var name, properties gjson.Result
	var named, unknown bool
	gjson.Parse(m.text).ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "name":
			name, named = value, true
		case "properties":
			properties = value
		default:
			unknown = true
		}
		return true
	})
	var page PageValue
	var err error
	if named {
		if page.Name, err = nameOf(name); err != nil {
			return PageValue{}, err
		}
	}
	if page.Properties, err = objectOf(properties); err != nil {
		return PageValue{}, err
	}
	if unknown {
		return PageValue{}, ErrUnknownField
	}
	return page, nil
}
