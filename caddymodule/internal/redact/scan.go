package redact

import (
	"bytes"
	"strings"
)

// maxDecodings is how often a text is decoded in search of secrets. A link in a
// link in a link is encoded three times.
const maxDecodings = 3

// hides reports whether a part of a URL has something to remove, in any of its
// decodings.
//
// What separates parameters and segments also ends each thing that is searched
// for. So a text hides something exactly if one of its pieces does, and what is
// left when those are gone hides nothing.
func (r *Rules) hides(s string) bool {
	if strings.IndexByte(s, '%') < 0 {
		return (strings.IndexByte(s, '=') >= 0 || strings.IndexByte(s, '@') >= 0) && shows(r, s)
	}
	var stack [512]byte
	buf := append(stack[:0], s...)
	for range maxDecodings {
		if shows(r, buf) {
			return true
		}
		n := len(buf)
		if buf = unescape(buf); len(buf) == n {
			return false
		}
	}
	return shows(r, buf)
}

// shows reports whether a text has a secret parameter or an e-mail address, as
// it is spelled. A parameter's name is what stands between a separator and an
// equals sign. Some servers and tags read another query after a second question
// mark, and ";" for "&"; a value may be a URL or a query itself.
func shows[T text](r *Rules, t T) bool {
	start := 0
	for i := range len(t) {
		switch t[i] {
		case '?', '&', ';', '#', '/', ',':
			start = i + 1
		case '=':
			if secretName(r, t[start:i]) {
				return true
			}
			start = i + 1
		case '@':
			if isEmail(t, i) {
				return true
			}
		}
	}
	return false
}

// isEmail reports whether the @ at a position is that of an e-mail address:
// something before it, and behind it a label, a dot and a letter. react@18.2.0
// is none, nor is /@51.5,-0.1. A prefix of a text that has none has none, so
// that truncating cannot make one.
func isEmail[T text](t T, at int) bool {
	if at == 0 || !isLocal[t[at-1]] {
		return false
	}
	label := 0
	for i := at + 1; i < len(t); i++ {
		switch c := t[i]; {
		case c == '.':
			if label > 0 && i+1 < len(t) && isLetter(t[i+1]) {
				return true
			}
			label = 0
		case isLetter(c) || isDigit(c) || c == '-':
			label++
		default:
			return false
		}
	}
	return false
}

// isLocal has the bytes that may end an address's local part (RFC 5322 and
// RFC 6531), without those that separate parts of a URL.
var isLocal = func() (table [256]bool) {
	for c := '!'; c < 256; c++ {
		table[c] = strings.IndexByte(`/?#&=;:,<>()[]\@`, byte(c)) < 0 && c != 0x7f
	}
	return table
}()

// isLetter takes all of UTF-8 beyond ASCII for letters.
func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80 }

// unescape decodes the percent-encoding of b, in place. What is not well formed
// stays as it is, as in browsers.
func unescape(b []byte) []byte {
	n := bytes.IndexByte(b, '%')
	if n < 0 {
		return b
	}
	for i := n; i < len(b); i++ {
		c := b[i]
		if c == '%' && i+2 < len(b) && isHex(b[i+1]) && isHex(b[i+2]) {
			c = fromHex(b[i+1])<<4 | fromHex(b[i+2])
			i += 2
		}
		b[n] = c
		n++
	}
	return b[:n]
}

func isHex(c byte) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }

func fromHex(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
