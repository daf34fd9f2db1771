package cookie

import (
	"crypto/rand"
	"regexp"
	"strings"

	"github.com/google/uuid"
)

// Dialect is the form of an ID in the readable cookie.
type Dialect string

const (
	// DialectQuoted is encodeURIComponent(JSON.stringify(id)), which is
	// %22<id>%22 for the IDs accepted here. Classic analytics.js reads no other
	// form, analytics-next reads this one too.
	DialectQuoted Dialect = "quoted"
	// DialectRaw is the bare ID, for sites whose own code reads the cookie.
	DialectRaw Dialect = "raw"

	// dialectOther is a form that is read and never written: the double quotes
	// that RFC 6265 allows around a value.
	dialectOther Dialect = ""
)

const (
	uuidLen  = 36
	maxIDLen = 64

	quote = "%22"
)

// format writes a valid ID as a cookie value. The alphabet of IDs needs no
// escaping in either dialect.
func (d Dialect) format(id string) string {
	if d == DialectRaw {
		return id
	}
	return quote + id + quote
}

// parseValue takes the quotes off a cookie value and says which they were. The
// result is not validated.
func parseValue(value string) (id string, d Dialect) {
	if rest, ok := strings.CutPrefix(value, quote); ok {
		if id, ok = strings.CutSuffix(rest, quote); ok {
			return id, DialectQuoted
		}
	}
	if rest, ok := strings.CutPrefix(value, `"`); ok {
		if id, ok = strings.CutSuffix(rest, `"`); ok {
			return id, dialectOther
		}
	}
	return value, DialectRaw
}

// ValidID reports that id can be an anonymousId: a UUID, or what the configured
// pattern matches.
func (rv *Resolver) ValidID(id string) bool { return validID(id, rv.pattern) }

// validID reports that id is a UUID, or matches the configured pattern in the
// alphabet of IDs.
func validID(id string, pattern *regexp.Regexp) bool {
	if isUUID(id) {
		return true
	}
	return pattern != nil && len(id) <= maxIDLen && only(id, isIDByte) && pattern.MatchString(id)
}

// isIDByte reports a byte that may stand in an ID: what a URL and a cookie both
// carry unescaped.
func isIDByte(c byte) bool {
	return isAlnum(c) || c == '-' || c == '.' || c == '_' || c == '~'
}

// isUUID reports the canonical 8-4-4-4-12 form in hexadecimal of either case,
// of any version, since the tag's documentation promises only a random string
// of 36 characters. A UUID of one digit throughout is refused: it is a
// placeholder, and everyone who carries it would become one visitor.
func isUUID(s string) bool {
	if len(s) != uuidLen || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return false
	}
	for i := range uuidLen {
		if !isHex(s[i]) && i != 8 && i != 13 && i != 18 && i != 23 {
			return false
		}
	}
	return !isPlaceholder(s)
}

func isPlaceholder(s string) bool {
	for i := range len(s) {
		if s[i] != s[0] && s[i] != '-' {
			return false
		}
	}
	return true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

// mintID makes a random UUID (version 4), or "" if the system has no
// randomness. It does not depend on the uuid package's reader, which any part
// of the process may replace.
func mintID() string {
	id, err := uuid.NewRandomFromReader(rand.Reader)
	if err != nil {
		return ""
	}
	return id.String()
}
