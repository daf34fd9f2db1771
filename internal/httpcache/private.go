package httpcache

import (
	"net/http"
	"strings"
)

// KeepPrivate marks a Silent response that now carries a Set-Cookie, so that no
// shared cache stores the cookie and hands it to the next visitor. What the
// browser itself may cache does not change.
func KeepPrivate(h http.Header) {
	DropTargeted(h)
	add(h, "private")
}

// MakePrivate takes a Shared response away from shared caches. What concerns them
// alone is removed, what is meant for the browser stays.
func MakePrivate(h http.Header) {
	DropTargeted(h)
	kept := []string{"private"}
	var split splitter
	var buf [32]byte
	for _, line := range h["Cache-Control"] {
		for split.rest = line; split.rest != ""; {
			part, _ := split.next(",;")
			name, _, _ := strings.Cut(part, "=")
			switch string(lower(&buf, strings.TrimSpace(name))) {
			case "public", "private", "s-maxage", "proxy-revalidate", "must-understand":
			default:
				if part != "" {
					kept = append(kept, part)
				}
			}
		}
	}
	h["Cache-Control"] = []string{strings.Join(kept, ", ")}
}

// DropTargeted removes the targeted fields (RFC 9213 and older ones), so that
// Cache-Control applies to every cache. Only what such a field has about the
// processing of the body stays: without content="ESI/1.0" a surrogate
// would send the page with its includes unresolved.
func DropTargeted(h http.Header) {
	for name, lines := range h {
		if !targeted(name) {
			continue
		}
		var kept []string
		if name != "X-Accel-Expires" {
			kept = onlyProcessing(lines)
		}
		if kept == nil {
			delete(h, name)
		} else {
			h[name] = []string{strings.Join(kept, ", ")}
		}
	}
}

func onlyProcessing(lines []string) (kept []string) {
	var split splitter
	for _, line := range lines {
		for split.rest = line; split.rest != ""; {
			part, _ := split.next(",")
			name, _, _ := strings.Cut(part, "=")
			// Behind an open quote or a semicolon, it may say more.
			if processing(strings.TrimSpace(name)) && !split.broken && !strings.Contains(part, ";") {
				kept = append(kept, part)
			}
		}
	}
	return kept
}

// Revalidate makes browsers ask before they reuse a document, which they
// otherwise do at their own discretion if it has a Last-Modified and no freshness
// (RFC 9111, 4.2.2): such views never reach the server. It adds no-cache to
// Cache-Control and reports true if the response has a validator (ETag or
// Last-Modified) and says nothing of freshness in Cache-Control, Expires or
// Pragma. The answer to the browser's question is then a 304.
func Revalidate(h http.Header) bool {
	if first(h, "Etag") == "" && first(h, "Last-Modified") == "" {
		return false
	}
	if len(h["Expires"]) > 0 || hasFreshness(h["Cache-Control"]) || hasFreshness(h["Pragma"]) {
		return false
	}
	add(h, "no-cache")
	return true
}

// hasFreshness reports whether a field has a directive by which a browser
// decides whether to reuse a response.
func hasFreshness(lines []string) bool {
	all := directives{lines: lines}
	var buf [32]byte
	for {
		d, ok := all.next()
		if !ok {
			return false
		}
		switch string(lower(&buf, d.name)) {
		case "max-age", "s-maxage", "no-cache", "no-store", "must-revalidate", "immutable":
			return true
		}
	}
}

// add appends a directive to Cache-Control, or puts it in front if a quote in
// there is not closed and would quote it.
func add(h http.Header, directive string) {
	split := splitter{rest: strings.Join(h["Cache-Control"], ", ")}
	present := split.rest
	for split.rest != "" {
		split.next(",")
	}
	switch {
	case strings.Trim(present, ", \t") == "":
		h["Cache-Control"] = []string{directive}
	case split.broken:
		h["Cache-Control"] = []string{directive + ", " + present}
	default:
		h["Cache-Control"] = []string{present + ", " + directive}
	}
}

func first(h http.Header, name string) string {
	if lines := h[name]; len(lines) > 0 {
		return lines[0]
	}
	return ""
}
