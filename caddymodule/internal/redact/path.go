package redact

import (
	"regexp"
	"slices"
	"strings"
)

// Path returns an escaped path without secrets and e-mail addresses. It returns
// its argument, without an allocation, when nothing is to remove.
//
//   - A segment is replaced by "redacted" if it contains an e-mail address or a
//     secret as name=value.
//   - Of the parameters of a segment, after ";" or "&", those that would be removed
//     from a query are removed: ;jsessionid=5.
//   - What redact_path then matches is replaced by "redacted"; of an expression
//     with groups, only what the groups match. Expressions are matched against the
//     decoded path, as Caddy's path_regexp does, except that %2F stays encoded:
//     [^/]+ is a whole segment.
func (r *Rules) Path(path string) string {
	if len(path) > maxBytes {
		return "/" + mark
	}
	path = r.segments(path)
	if matched := r.expressions(path); matched != path {
		return r.segments(matched) // a replacement may complete an address: a@1.redacted
	}
	return path
}

// segments applies the built-in rules.
func (r *Rules) segments(path string) string {
	if !r.hides(path) {
		return path
	}
	var kept strings.Builder
	kept.Grow(len(path) + len(mark))
	for rest := path; rest != ""; {
		n := pieceLen(rest, "/;&")
		piece := rest[:n]
		rest = rest[n:]
		switch {
		case !r.hides(piece):
			kept.WriteString(piece)
		case piece[0] == ';' || piece[0] == '&':
		case piece[0] == '/':
			kept.WriteString("/" + mark)
		default:
			kept.WriteString(mark)
		}
	}
	return kept.String()
}

// span is a part of a text.
type span struct{ start, end int }

// expressions replaces what redact_path matches. All expressions see the same
// path, so that their order does not matter.
func (r *Rules) expressions(path string) string {
	if len(r.paths) == 0 {
		return path
	}
	decoded, offsets := path, []int(nil)
	if strings.IndexByte(path, '%') >= 0 {
		decoded, offsets = decodePath(path)
	}
	var spans []span
	for _, re := range r.paths {
		if re.MatchString(decoded) {
			spans = appendSpans(spans, re, decoded)
		}
	}
	if len(spans) == 0 {
		return path
	}
	slices.SortFunc(spans, func(a, b span) int { return a.start - b.start })
	var kept strings.Builder
	copied := 0 // of decoded
	from := 0   // of path
	for i, s := range spans {
		if i == 0 || s.start > copied { // else it continues the one before
			start := s.start
			if offsets != nil {
				start = offsets[start]
			}
			kept.WriteString(path[from:start])
			kept.WriteString(mark)
		}
		copied = max(copied, s.end)
		if from = copied; offsets != nil {
			from = offsets[copied]
		}
	}
	kept.WriteString(path[from:])
	return kept.String()
}

// appendSpans appends what an expression matches. Empty matches replace nothing.
func appendSpans(spans []span, re *regexp.Regexp, path string) []span {
	for _, m := range re.FindAllStringSubmatchIndex(path, -1) {
		if len(m) > 2 {
			m = m[2:]
		}
		for i := 0; i < len(m); i += 2 {
			if m[i] < m[i+1] {
				spans = append(spans, span{m[i], m[i+1]})
			}
		}
	}
	return spans
}

// decodePath decodes a path, all but %2F. offsets has, for each byte of the
// result and for its end, where that byte is in the path.
func decodePath(path string) (decoded string, offsets []int) {
	buf := make([]byte, 0, len(path))
	offsets = make([]int, 0, len(path)+1)
	for i := 0; i < len(path); i++ {
		offsets = append(offsets, i)
		c := path[i]
		if c == '%' && i+2 < len(path) && isHex(path[i+1]) && isHex(path[i+2]) {
			if d := fromHex(path[i+1])<<4 | fromHex(path[i+2]); d != '/' {
				c = d
				i += 2
			}
		}
		buf = append(buf, c)
	}
	return string(buf), append(offsets, len(path))
}
