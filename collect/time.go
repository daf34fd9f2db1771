package collect

import (
	"time"

	"github.com/tidwall/gjson"
)

// clockTolerance is how far a client's clock may be off: below it a correction
// would do harm, because it differs from request to request by how long each took.
const clockTolerance = 5 * time.Minute

// when reads the times and corrects them.
func (p *parser) when(e *Event, m *members) error {
	e.OriginalTimestamp = short(m.originalTimestamp)
	said := m.timestamp
	if said.Type == gjson.Null && e.OriginalTimestamp != "" && !p.relay {
		if _, ok := parseTime(e.OriginalTimestamp); ok {
			said = m.originalTimestamp // RudderStack's SDKs leave the other to the receiver
		}
	}
	switch {
	case said.Type == gjson.Null:
		e.Timestamp = p.Now
		return nil
	case said.Type != gjson.String:
		return &fault{codeWrongType, "timestamp", "use a string in ISO 8601"}
	}
	at, ok := parseTime(said.Str)
	if !ok {
		return &fault{codeBadTime, "timestamp", "use ISO 8601 with a time zone, such as 2026-01-31T12:00:00.000Z"}
	}
	e.Timestamp = at
	if !p.Correct || p.Trusted {
		return nil
	}
	sentAt := m.sentAt.Str
	if sentAt == "" {
		sentAt = p.sentAt
	}
	if sentAt == "" {
		return nil
	}
	sent, ok := parseTime(sentAt)
	if !ok {
		return nil
	}
	if offset := p.Now.Sub(sent); offset.Abs() > clockTolerance {
		e.Timestamp = p.Now.Add(at.Sub(sent))
		if e.OriginalTimestamp == "" {
			e.OriginalTimestamp = m.timestamp.Str
		}
	}
	return nil
}

// parseTime reads ISO 8601 with a time zone, as SDKs write it.
func parseTime(text string) (time.Time, bool) {
	if len(text) > maxTime {
		return time.Time{}, false
	}
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, validYear(t)
		}
	}
	return time.Time{}, false
}

// validYear reports a time that can be written in ISO 8601, also when it is
// corrected by a clock's offset.
func validYear(t time.Time) bool { return t.Year() >= 1000 && t.Year() <= 9000 }

// maxTime bounds the text of a time.
const maxTime = 64

// short is a text that can be a time; "" for another value.
func short(v gjson.Result) string {
	if v.Type != gjson.String || len(v.Str) > maxTime {
		return ""
	}
	return v.Str
}
