// Package terminal makes text of others safe to print: what a site, a name server
// or a receiver said can neither steer a terminal nor fill it.
package terminal

import (
	"strings"
	"unicode"
)

// Printable replaces control characters, and formatting ones that change the order
// in which text is shown.
func Printable(s string) string {
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return '?'
		}
		return c
	}, s)
}

// Shorten cuts a text to n characters.
func Shorten(s string, n int) string {
	for i := range s {
		if n--; n < 0 {
			return s[:i] + "..."
		}
	}
	return s
}
