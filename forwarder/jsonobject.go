package forwarder

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// isObject reports whether raw is absent or a valid JSON object.
func isObject(raw json.RawMessage) bool {
	if len(raw) == 0 {
		return true
	}
	i := skipSpace(raw, 0)
	return i < len(raw) && raw[i] == '{' && json.Valid(raw)
}

// isEmptyObject reports whether raw, a valid object or absent, has no members.
func isEmptyObject(raw []byte) bool {
	_, _, _, ok := nextMember(raw, 0)
	return !ok
}

// nextMember returns the member of the object raw that begins at or after pos,
// as it is written: key with its quotes, and the whole `key:value`. Pass 0 for
// the first one, then next. ok is false after the last. raw must be valid JSON.
func nextMember(raw []byte, pos int) (key, member []byte, next int, ok bool) {
	i := skipSpace(raw, pos)
	if i < len(raw) && (raw[i] == '{' || raw[i] == ',') {
		i = skipSpace(raw, i+1)
	}
	if i >= len(raw) || raw[i] != '"' {
		return nil, nil, i, false
	}
	start := i
	i = skipString(raw, i)
	key = raw[start:i]
	i = skipSpace(raw, i)
	i = skipSpace(raw, i+1) // the colon
	i = skipValue(raw, i)
	return key, raw[start:i], i, true
}

// keyText is a key's value without quotes and escapes.
func keyText(key []byte) []byte {
	if bytes.IndexByte(key, '\\') >= 0 {
		var s string
		if json.Unmarshal(key, &s) == nil {
			return []byte(s)
		}
	}
	return key[1 : len(key)-1]
}

// rootField returns the value of a member of a stored event that is a string, as
// it is written, without quotes; nil when there is none.
func rootField(event []byte, name string) []byte {
	for pos := 0; ; {
		key, member, next, ok := nextMember(event, pos)
		if !ok {
			return nil
		}
		if string(key[1:len(key)-1]) == name {
			return textOf(member[len(key):])
		}
		pos = next
	}
}

// textOf returns a member's string as it is written, without quotes, given what
// follows the key; nil when the value is no string.
func textOf(rest []byte) []byte {
	i := skipSpace(rest, skipSpace(rest, 0)+1)
	if i >= len(rest) || rest[i] != '"' {
		return nil
	}
	return rest[i+1 : skipString(rest, i)-1]
}

// unquoted is the value of a string as it is written without its quotes.
func unquoted(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw)
	}
	var s string
	if json.Unmarshal(append(append([]byte{'"'}, raw...), '"'), &s) != nil {
		return string(raw)
	}
	return s
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

func skipString(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return i
}

func skipValue(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			i = skipString(b, i)
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // the enclosing object's end
			}
			depth--
			if depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. Bytes that are not UTF-8 become
// U+FFFD; U+2028 and U+2029 are escaped, which old JavaScript parsers need.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\r':
				dst = append(dst, '\\', 'r')
			case '\t':
				dst = append(dst, '\\', 't')
			default:
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			dst = append(dst, s[start:i]...)
			dst = append(dst, `\ufffd`...)
			start = i + n
		case r == '\u2028' || r == '\u2029':
			dst = append(dst, s[start:i]...)
			dst = append(dst, `\u202`...)
			dst = append(dst, hexDigits[r&15])
			start = i + n
		}
		i += n
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// appendRaw appends JSON that was checked before. Its strings may still hold
// bytes that are not UTF-8 (encoding/json lets them pass): they become U+FFFD.
func appendRaw(dst, raw []byte) []byte {
	if utf8.Valid(raw) {
		return append(dst, raw...)
	}
	for len(raw) > 0 {
		r, n := utf8.DecodeRune(raw)
		if r == utf8.RuneError && n == 1 {
			dst = append(dst, "\uFFFD"...)
		} else {
			dst = append(dst, raw[:n]...)
		}
		raw = raw[n:]
	}
	return dst
}
