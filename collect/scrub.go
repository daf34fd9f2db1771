package collect

import (
	"bytes"
	"strconv"
	"unicode/utf16"
)

// scrub replaces escapes of what no text has, U+0000 and halves of surrogate pairs,
// by that of U+FFFD, in valid JSON. Databases refuse them: a visitor could make
// Intilery fail, and a lane of others wait until the event is found.
func scrub(text []byte) {
	for i := bytes.IndexByte(text, '\\'); i >= 0; {
		i += escaped(text, i)
		next := bytes.IndexByte(text[i:], '\\')
		if next < 0 {
			return
		}
		i += next
	}
}

// escaped scrubs the escape at i, a pair of them where it is one, and returns its
// length.
func escaped(text []byte, i int) int {
	const short, long = len(`\n`), len(`\u0000`)
	unit, ok := codeUnit(text, i)
	if !ok {
		return short
	}
	if low, ok := codeUnit(text, i+long); ok && utf16.DecodeRune(unit, low) != replacement {
		return 2 * long
	}
	if unit == 0 || utf16.IsSurrogate(unit) {
		copy(text[i:], `\ufffd`)
	}
	return long
}

const replacement = '\ufffd'

// codeUnit reads an escape of the form \u0000.
func codeUnit(text []byte, i int) (rune, bool) {
	if i+6 > len(text) || text[i] != '\\' || text[i+1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(text[i+2:i+6]), 16, 16)
	return rune(unit), err == nil
}
