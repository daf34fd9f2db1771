package reserved

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/intilery/caddy-intilery/forwarder/event"
)

// maxJSON is the size of one JSON object in bytes, base64 decoded. Intilery accepts
// calls of that size; the forwarder checks the call as a whole.
const maxJSON = 32_000

// CheckObject reads a JSON object, plain or as base64, within the limits of a
// header's value. It returns the object without white space, or one of the
// reasons of this package.
func CheckObject(value string) (json.RawMessage, error) {
	object, err := onlyObject([]string{value})
	if object == nil && err == nil {
		err = ErrEmpty
	}
	return object, err
}

// onlyObject reads the JSON object of a header that may be sent once; nil when
// the header is absent or empty.
func onlyObject(lines []string) (json.RawMessage, error) {
	var object member
	for _, line := range lines {
		for rest := (cursor{line}); ; {
			m, ok := rest.next()
			if !ok {
				break
			}
			if object.kind != none {
				return nil, ErrDuplicate
			}
			object = m
		}
	}
	switch {
	case object.kind == none:
		return nil, nil
	case object.kind == jsonValue:
		if err := checkJSON(object.text, maxJSON, event.MaxDepth); err != nil {
			return nil, err
		}
		if object.text[0] != '{' {
			return nil, ErrWrongType
		}
		return appendCompact(make([]byte, 0, len(object.text)), object.text), nil
	case len(object.text) > maxJSON:
		return nil, ErrOversized
	case !utf8.ValidString(object.text):
		return nil, ErrNotUTF8
	case object.kind == plain && gjson.Valid(object.text): // a number, a string, a literal
		return nil, ErrWrongType
	default:
		return nil, ErrMalformed
	}
}

// checkJSON checks text that begins with a brace or a bracket. The depth goes
// before the syntax because gjson's validation is recursive.
func checkJSON(text string, maxBytes, maxDepth int) error {
	if len(text) > maxBytes {
		return ErrOversized
	}
	if !utf8.ValidString(text) {
		return ErrNotUTF8
	}
	if _, depth := scan(text); depth > maxDepth {
		return ErrTooDeep
	}
	if !gjson.Valid(text) {
		return ErrMalformed
	}
	return nil
}

// scan returns where the JSON object or array at the beginning of s ends, or -1
// if it does not end, and how deep it is nested. It counts braces and brackets
// outside of strings; whether what is between them is JSON is for checkJSON.
func scan(s string) (end, depth int) {
	open, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			open++
			depth = max(depth, open)
		case c == '}' || c == ']':
			if open--; open == 0 {
				return i + 1, depth
			}
		}
	}
	return -1, depth
}

// appendCompact appends valid JSON without the white space between its tokens.
func appendCompact(dst []byte, text string) []byte {
	quoted := false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quoted && c == '\\': // always followed by another byte
			dst = append(dst, c)
			i++
			c = text[i]
		case c == '"':
			quoted = !quoted
		case !quoted && c <= ' ':
			continue
		}
		dst = append(dst, c)
	}
	return dst
}

// DecodeBase64 accepts both alphabets of RFC 4648, padded or not.
func DecodeBase64(value string) ([]byte, bool) {
	value = strings.TrimRight(value, "=")
	raw, err := alphabet(value).DecodeString(value)
	return raw, err == nil
}

func alphabet(value string) *base64.Encoding {
	if strings.ContainsAny(value, "-_") {
		return base64.RawURLEncoding
	}
	return base64.RawStdEncoding
}

// decodeJSON decodes the base64 of a JSON object, or of an array of objects or
// strings. A name can be valid base64 by chance, so the decoded text decides.
func decodeJSON(value string) (text string, ok bool) {
	if !mayEncodeJSON(value) {
		return "", false
	}
	raw, ok := DecodeBase64(value)
	if !ok {
		return "", false
	}
	text = string(bytes.TrimSpace(raw))
	if !beginsJSON(text) || text == "[]" { // [] encodes to a plausible name, W10
		return "", false
	}
	end, _ := scan(text)
	return text, end == len(text)
}

// mayEncodeJSON decodes no more than the first three bytes, so that most names
// cost no allocation.
func mayEncodeJSON(value string) bool {
	value = strings.TrimRight(value[:min(len(value), 4)], "=")
	var first [3]byte
	n, err := alphabet(value).Decode(first[:], []byte(value))
	if err != nil {
		return false
	}
	head := bytes.TrimSpace(first[:n])
	return n > 0 && (len(head) == 0 || head[0] == '{' || head[0] == '[')
}

// beginsJSON reports whether s begins as a JSON object does, or an array of
// objects or strings, rather than as a name like "[Shop] Signed Up" or "{user}".
func beginsJSON(s string) bool {
	if s == "" || s[0] != '{' && s[0] != '[' {
		return false
	}
	next := strings.TrimLeft(s[1:], " \t\r\n")
	if next == "" {
		return false
	}
	if s[0] == '{' {
		return next[0] == '"' || next[0] == '}'
	}
	return next[0] == '{' || next[0] == '"' || next[0] == ']'
}
