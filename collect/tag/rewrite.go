package tag

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"unicode/utf8"
)

// maxScript is the largest script that is served, in bytes.
const maxScript = 5 << 20

// apiHosts finds, in a script, where a tag sends its events: a vendor's host with
// the path below it, as a URL or without its scheme, with / or \/. A tag may also
// put the two together when it runs, so the scheme before a variable's name counts.
var apiHosts = regexp.MustCompile(
	`(?:(https?):)?(\\?/\\?/)?(?:api\.segment\.io(?:\\?/v1\b)?|events\.intilery\.com(?:\\?/cdp\\?/events\\?/segment\b)?)` +
		`|["'](https?)://["'](?:\s*\+\s*|\.concat\()[\w$.]*apiHost\b` +
		"|`(https?)://\\$\\{[\\w$.]*apiHost\\}")

// rewrite makes a template of a script: it will send its events to the endpoint,
// with the protocol of the request.
func rewrite(text []byte) *template {
	var parts []string
	var holes []hole
	from := 0
	add := func(start, end int, h hole) {
		parts = append(parts, string(text[from:start]))
		holes = append(holes, h)
		from = end
	}
	for _, m := range apiHosts.FindAllSubmatchIndex(text, -1) {
		joined := max(m[6], m[8]) // the scheme before a variable
		switch {
		case joined >= 0:
			end := m[7]
			if m[6] < 0 {
				end = m[9]
			}
			add(joined, end, scheme)
		case partOfName(text, m[0], m[1]):
			continue
		default:
			host := m[0]
			if m[2] >= 0 {
				if m[4] < 0 {
					continue // "https:api.segment.io" is no URL
				}
				add(m[2], m[3], scheme)
				host = m[5]
			} else if m[4] >= 0 {
				host = m[5]
			}
			add(host, m[1], hostPath)
		}
	}
	return newTemplate(append(parts, string(text[from:])), holes)
}

// partOfName reports whether the host at text[start:end] is part of a longer name:
// my-api.segment.io, or api.segment.io.example.
func partOfName(text []byte, start, end int) bool {
	before := start > 0 && text[start] != '/' && text[start] != '\\' && (inName(text[start-1]) || text[start-1] == '.')
	after := end < len(text) && inName(text[end])
	if host := text[start:end]; bytes.HasSuffix(host, []byte(".io")) || bytes.HasSuffix(host, []byte(".com")) {
		after = after || end+1 < len(text) && text[end] == '.' && inName(text[end+1])
	}
	return before || after
}

func inName(c byte) bool {
	return c == '-' || c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// readScript reads a script, and refuses what is too large or clearly is none.
func readScript(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxScript+1))
	switch start := bytes.TrimSpace(text); {
	case err != nil:
		return nil, err
	case len(text) > maxScript:
		return nil, fmt.Errorf("larger than %d bytes", maxScript)
	case len(start) == 0:
		return nil, errors.New("empty")
	case start[0] == '<':
		return nil, errors.New("HTML, not JavaScript")
	case !utf8.Valid(text):
		return nil, errors.New("not UTF-8")
	}
	return text, nil
}

// safeHost matches hosts that do not end a string of JavaScript.
var safeHost = regexp.MustCompile(`^[A-Za-z0-9._:\[\]-]+$`)

// serveRewritten serves a script that the host is written into.
func serveRewritten(w http.ResponseWriter, r *http.Request, t *template, at Where) {
	if !safeHost.MatchString(at.Host) {
		unavailable(w, http.StatusBadRequest)
		return
	}
	t.fill(at).serve(w, r)
}

// unavailable answers with a script that does nothing, and that nobody keeps.
func unavailable(w http.ResponseWriter, status int) {
	h := w.Header()
	h.Set("Content-Type", javaScript)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "5")
	}
	w.WriteHeader(status)
}
