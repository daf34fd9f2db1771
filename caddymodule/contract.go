package caddymodule

import (
	"io"
	"net/http"
	"strings"
)

// The response headers by which an app speaks of its visitor. They are read
// and stripped on every response; see docs/headers.md for their values.
const (
	headerUserID  = "Intilery-User-Id"
	headerTraits  = "Intilery-Traits"
	headerTrack   = "Intilery-Track"
	headerPage    = "Intilery-Page"
	headerReset   = "Intilery-Reset"
	headerConsent = "Intilery-Consent"
)

// headerAnonymousID and headerUserID are also the request headers by which the
// module tells the app who the visitor is.
const headerAnonymousID = "Intilery-Anonymous-Id"

// headerPrefix is reserved: nothing under it passes from a client to the app
// or from the app to a client, whatever its spelling.
const headerPrefix = "intilery-"

// reserved reports whether a header's name is under headerPrefix. Case is
// folded because Go handlers can write map keys in any case, and underscore
// equals hyphen because FastCGI and WSGI fold the two into one variable.
func reserved(name string) bool {
	if len(name) < len(headerPrefix) {
		return false
	}
	for i := range len(headerPrefix) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		} else if c == '_' {
			c = '-'
		}
		if c != headerPrefix[i] {
			return false
		}
	}
	return true
}

// stripRequest removes what a client sent under the module's prefix, so that
// an app can trust the Intilery-* headers it reads. Trailers arrive with the
// end of the body, so the body is wrapped when the client announced any.
func stripRequest(r *http.Request) {
	for name := range r.Header {
		if reserved(name) {
			delete(r.Header, name)
		}
	}
	if len(r.Trailer) == 0 {
		return
	}
	deleteReserved(r.Trailer)
	stripAnnouncement(r.Header)
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &trailerStripper{ReadCloser: r.Body, trailer: r.Trailer}
	}
}

// takeReserved removes every reserved header from h and returns what was
// there by canonical name; nil, without allocating, when there was none.
func takeReserved(h http.Header) http.Header {
	var taken http.Header
	for name, values := range h {
		if !reserved(name) {
			continue
		}
		if taken == nil {
			taken = make(http.Header, 4)
		}
		canonical := http.CanonicalHeaderKey(name)
		taken[canonical] = append(taken[canonical], values...)
		delete(h, name)
	}
	stripAnnouncement(h)
	return taken
}

// stripResponse is the unconditional last strip, after the handlers inside
// have returned: it also removes trailers, in both of net/http's forms.
func stripResponse(h http.Header) {
	deleteReserved(h)
	stripAnnouncement(h)
}

func deleteReserved(h http.Header) {
	for name := range h {
		if reserved(strings.TrimPrefix(name, http.TrailerPrefix)) {
			delete(h, name)
		}
	}
}

// stripAnnouncement edits the Trailer header, which would otherwise tell the
// other side that a reserved trailer exists.
func stripAnnouncement(h http.Header) {
	announced, ok := h["Trailer"]
	if !ok {
		return
	}
	var kept []string
	found := false
	for _, line := range announced {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.TrimSpace(name); reserved(name) {
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
// read them, before a proxy publishes them to the app.
type trailerStripper struct {
	io.ReadCloser
	trailer http.Header
}

func (t *trailerStripper) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if err != nil {
		deleteReserved(t.trailer)
	}
	return n, err
}
