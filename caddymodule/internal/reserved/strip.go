package reserved

import (
	"io"
	"net/http"
	"slices"
	"strings"
)

// StripRequest removes the reserved headers that a client sent, so that an app
// can trust those that it reads. The server learns trailers only at the end of
// the body, so the body is wrapped when the client announced any.
func StripRequest(r *http.Request) {
	for name := range r.Header {
		if Is(name) {
			delete(r.Header, name)
		}
	}
	if len(r.Trailer) == 0 {
		return
	}
	stripTrailers(r.Trailer)
	stripAnnouncement(r.Header)
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &trailerStripper{ReadCloser: r.Body, trailer: r.Trailer}
	}
}

// Take removes the reserved headers from h and returns them by canonical name.
// When there are none it returns nil and does not allocate.
func Take(h http.Header) http.Header {
	var taken http.Header
	for name, values := range h {
		if !Is(name) {
			continue
		}
		if taken == nil {
			taken = make(http.Header)
		}
		canonical := http.CanonicalHeaderKey(name)
		if others := taken[canonical]; others != nil {
			values = append(others, values...)
		}
		// Clipped, so that appending never writes into a slice of the app's.
		taken[canonical] = slices.Clip(values)
		delete(h, name)
	}
	stripAnnouncement(h)
	return taken
}

// StripResponse removes the reserved headers and trailers, in both forms of
// net/http, from a response. It is the last step, after all handlers.
func StripResponse(h http.Header) {
	stripTrailers(h)
	stripAnnouncement(h)
}

func stripTrailers(h http.Header) {
	for name := range h {
		if Is(strings.TrimPrefix(name, http.TrailerPrefix)) {
			delete(h, name)
		}
	}
}

// stripAnnouncement edits the Trailer header (RFC 9110, section 6.6.2), which
// would otherwise tell the other side that a reserved trailer exists.
func stripAnnouncement(h http.Header) {
	announced, ok := h["Trailer"]
	if !ok {
		return
	}
	var kept []string
	found := false
	for _, line := range announced {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.TrimSpace(name); Is(name) {
				found = true
			} else if name != "" {
				kept = append(kept, name)
			}
		}
	}
	switch {
	case !found: // leave the app's own spelling alone
	case len(kept) == 0:
		delete(h, "Trailer")
	default:
		h["Trailer"] = []string{strings.Join(kept, ", ")}
	}
}

// trailerStripper removes reserved request trailers as soon as the server has
// read them, before a proxy forwards them to the app.
type trailerStripper struct {
	io.ReadCloser
	trailer http.Header
}

func (t *trailerStripper) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if err != nil {
		stripTrailers(t.trailer)
	}
	return n, err
}
