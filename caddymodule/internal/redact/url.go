package redact

import "strings"

// Query returns a raw query without secret parameters and without those that
// contain an e-mail address. What is left is spelled as it was, in order. It
// returns its argument, without an allocation, when nothing is to remove. A
// fragment, which no query has, is cut off.
func (r *Rules) Query(query string) string {
	query, _, _ = strings.Cut(query, "#")
	if len(query) > maxBytes {
		return ""
	}
	if !r.hides(query) {
		return query
	}
	var kept strings.Builder
	kept.Grow(len(query))
	for rest := query; rest != ""; {
		n := pieceLen(rest, "&;?")
		piece := rest[:n]
		rest = rest[n:]
		if r.hides(piece) {
			continue
		}
		if kept.Len() == 0 && strings.IndexByte("&;?", piece[0]) >= 0 {
			piece = piece[1:]
		}
		kept.WriteString(piece)
	}
	return kept.String()
}

// pieceLen is the length of a text's first piece: its separator, if it begins
// with one, and what follows up to the next one.
func pieceLen(s, separators string) int {
	if n := strings.IndexAny(s[1:], separators); n >= 0 {
		return 1 + n
	}
	return len(s)
}

// URL returns a URL such as a referrer without user information and fragment,
// and with its path and query redacted. What is no absolute URL with "://", as
// browsers send it (W3C Referrer Policy), becomes "".
func (r *Rules) URL(raw string) string {
	raw, _, _ = strings.Cut(raw, "#")
	if len(raw) > maxBytes {
		return ""
	}
	base, query, _ := strings.Cut(raw, "?")
	start, ok := authority(base)
	if !ok {
		return ""
	}
	end := len(base)
	if n := strings.IndexAny(base[start:], `/\`); n >= 0 {
		end = start + n
	}
	host := base[start:end]
	host = host[strings.LastIndexByte(host, '@')+1:]
	if r.hides(host) || host == "" && end > start {
		host = mark // without a host, the path would become one
	}
	path, kept := r.Path(base[end:]), r.Query(query)
	switch {
	case host != base[start:end] || path != base[end:]:
		base = base[:start] + host + path
	case kept == query && query != "":
		return raw
	}
	if kept == "" {
		return base
	}
	return base + "?" + kept
}

// authority returns where an absolute URL's authority begins. Browsers ignore
// further slashes before it and take backslashes for them (URL standard, "special
// authority ignore slashes state").
func authority(base string) (start int, ok bool) {
	start = strings.Index(base, "://")
	if start < 1 || !isScheme(base[:start]) {
		return 0, false
	}
	start += len("://")
	for start < len(base) && (base[start] == '/' || base[start] == '\\') {
		start++
	}
	return start, true
}

// isScheme follows RFC 3986, section 3.1.
func isScheme(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c >= 0x80 || !isLetter(c) && (i == 0 || !isDigit(c) && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return true
}
