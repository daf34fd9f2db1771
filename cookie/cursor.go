package cookie

import (
	"iter"
	"strings"
)

const (
	// maxHeaderBytes bounds how much of the Cookie headers is looked at. A
	// browser that fills it has 16 cookies of the largest size for one site;
	// what comes later is ignored.
	maxHeaderBytes = 64 << 10

	// maxKeepers bounds how many cookies of the keeper's name are opened. It is
	// how many cookies Chromium keeps for a site, so that a subdomain that plants
	// keepers cannot hide the real one.
	maxKeepers = 180
)

// cursor walks the pairs of all Cookie headers in order, without allocating:
// net/http builds every cookie of the request, and two are wanted.
type cursor struct {
	name, value string

	line   string
	lines  []string
	budget int
}

func newCursor(lines []string) cursor {
	return cursor{lines: lines, budget: maxHeaderBytes}
}

// Values returns the values of the cookies with a name in the Cookie fields of a
// request, in order and as the browser sent them. Unlike net/http it gives values
// with bytes that RFC 6265 forbids, such as JSON: browsers send those too.
func Values(lines []string, name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for c := newCursor(lines); c.next(); {
			if c.name == name && !yield(c.value) {
				return
			}
		}
	}
}

// next moves to the next pair that has a name and an equals sign.
func (c *cursor) next() bool {
	for {
		for c.line == "" {
			if len(c.lines) == 0 || c.budget <= 0 {
				return false
			}
			c.line, c.lines = c.lines[0], c.lines[1:]
			// A value cut off here would be a wrong value, so that the whole
			// pair goes.
			if len(c.line) > c.budget {
				c.line = c.line[:strings.LastIndexByte(c.line[:c.budget], ';')+1]
				c.lines = nil
			}
			c.budget -= len(c.line)
		}
		pair := c.line
		if i := strings.IndexByte(pair, ';'); i >= 0 {
			pair, c.line = pair[:i], pair[i+1:]
		} else {
			c.line = ""
		}
		if i := strings.IndexByte(pair, '='); i > 0 {
			if c.name = trim(pair[:i]); c.name != "" {
				c.value = trim(pair[i+1:])
				return true
			}
		}
	}
}

// trim takes off the white space of HTTP, and no other.
func trim(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}
