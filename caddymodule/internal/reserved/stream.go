package reserved

import (
	"strings"
	"unicode"
)

// kind is what a member of a line is.
type kind uint8

const (
	none      kind = iota
	plain          // a name or any other text
	jsonValue      // text that is balanced from its first brace or bracket to its last
	broken         // text that begins with a brace or a bracket and is no JSON
)

// member is one value of a line.
type member struct {
	kind kind
	text string
}

// cursor reads the members of a line that a runtime may have joined with commas.
// See the package's comment for what separates them.
type cursor struct{ rest string }

// next returns the next member that is not empty, base64 decoded.
func (c *cursor) next() (m member, ok bool) {
	c.rest = strings.TrimLeftFunc(c.rest, isSeparator)
	switch {
	case c.rest == "":
		return member{}, false
	case c.rest[0] == '{' || c.rest[0] == '[':
		return c.bracketed(), true
	}
	part := beforeComma(c.rest)
	if text, ok := decodeJSON(strings.TrimSpace(part)); ok {
		c.rest = c.rest[len(part):]
		return member{jsonValue, text}, true
	}
	return c.cut(plain, nameEnd(c.rest)), true
}

// bracketed reads a member that begins with a brace or a bracket. One that does
// not end is refused with the rest of the line: any guess at where the next one
// begins could make an event of a part of this one.
func (c *cursor) bracketed() member {
	end, _ := scan(c.rest)
	if end < 0 {
		return c.cut(broken, len(c.rest))
	}
	if after := strings.TrimLeftFunc(c.rest[end:], unicode.IsSpace); after != "" && after[0] != ',' {
		return c.cut(broken, end+nameEnd(c.rest[end:])) // such as "[Shop] Signed Up"
	}
	return c.cut(jsonValue, end)
}

func (c *cursor) cut(k kind, end int) member {
	m := member{k, strings.TrimRightFunc(c.rest[:end], isSeparator)}
	c.rest = c.rest[end:]
	return m
}

// nameEnd returns the length of the name at the beginning of s: up to a comma
// before what can only be another value, or all of s. The first brace or bracket
// decides, so that nothing inside of broken JSON is taken for a value.
func nameEnd(s string) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '{', '[':
			return len(s)
		case ',':
			rest := strings.TrimLeftFunc(s[i:], isSeparator)
			if beginsJSON(rest) {
				return i
			}
			if _, ok := decodeJSON(strings.TrimSpace(beforeComma(rest))); ok {
				return i
			}
			i = len(s) - len(rest) - 1 // commas in a row are looked at once
		}
	}
	return len(s)
}

func beforeComma(s string) string {
	s, _, _ = strings.Cut(s, ",")
	return s
}

func isSeparator(r rune) bool { return r == ',' || unicode.IsSpace(r) }
