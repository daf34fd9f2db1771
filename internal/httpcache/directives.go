package httpcache

import "strings"

// splitter cuts a field value at separators that are outside of quoted strings
// (RFC 9110, 5.6.4). A quote that is never closed quotes nothing: caches that do
// not know quoted strings see what follows, and so do we. Set rest for each line.
type splitter struct {
	rest string
	// broken is set when a quote was never closed, and stays set.
	broken bool
}

// next returns the value up to one of the separators, without surrounding white
// space, and the separator, or 0 at the end of the line. Call it while rest is
// not empty.
func (s *splitter) next(separators string) (part string, separator byte) {
	for i := 0; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '"' && !s.broken:
			if end := closingQuote(s.rest[i+1:]); end >= 0 {
				i += end + 1
			} else {
				s.broken = true
			}
		case strings.IndexByte(separators, c) >= 0:
			part, s.rest = s.rest[:i], s.rest[i+1:]
			return strings.TrimSpace(part), c
		}
	}
	part, s.rest = s.rest, ""
	return strings.TrimSpace(part), 0
}

// closingQuote returns the index of the quote that ends a quoted string, or -1.
func closingQuote(s string) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

// directive is one member of Cache-Control or of a field like it.
type directive struct {
	name, argument string
	// valued: there is an argument, which may be empty.
	valued bool
	// malformed: it is next to a semicolon or behind a quote that is not closed,
	// so caches read it differently.
	malformed bool
}

// directives iterates over the directives in all lines of a field.
type directives struct {
	lines []string
	split splitter
	last  byte
}

func (d *directives) next() (directive, bool) {
	for {
		for d.split.rest == "" {
			if len(d.lines) == 0 {
				return directive{}, false
			}
			d.split.rest, d.lines, d.last = d.lines[0], d.lines[1:], 0
		}
		before := d.last
		var part string
		part, d.last = d.split.next(",;")
		if part == "" {
			continue
		}
		name, argument, valued := strings.Cut(part, "=")
		return directive{
			name:      strings.TrimSpace(name),
			argument:  strings.TrimSpace(argument),
			valued:    valued,
			malformed: before == ';' || d.last == ';' || d.split.broken,
		}, true
	}
}

// lower returns a name in lower case. It uses buf, which is longer than any known
// name, so that switch string(lower(...)) does not allocate.
func lower(buf *[32]byte, name string) []byte {
	if len(name) > len(buf) {
		return nil
	}
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf[i] = c
	}
	return buf[:len(name)]
}

// positive reports whether a delta-seconds argument or a duration (60, "60",
// 10m, 3600+60) is more than zero. Like most caches it reads the leading digits.
func positive(argument string) bool {
	argument = strings.TrimLeft(argument, "\"+ \t")
	for i := 0; i < len(argument) && '0' <= argument[i] && argument[i] <= '9'; i++ {
		if argument[i] != '0' {
			return true
		}
	}
	return false
}

// count reports whether s is a whole number and whether it is more than zero.
func count(s string) (ok, more bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false, false
		}
		more = more || s[i] != '0'
	}
	return s != "", more
}
