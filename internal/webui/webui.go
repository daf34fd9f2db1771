// Package webui is what the project's pages share: their look, the building
// blocks of their scripts, and a way to serve them.
//
// A page is plain files that the browser gets as they are. Nothing that came
// from outside is ever written into them: a page's script fetches data as JSON
// and shows it as text. The files are served from static/ beside the page, so
// that a page works under any path.
//
// Shared files are base.css, dom.js and icon.svg.
package webui

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"time"
)

//go:embed static
var static embed.FS

// policy lets a page load its own files and talk to its own server, and
// nothing else. Trusted types make the browser refuse every way to turn a
// string into markup or script.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// contentTypes are those of a page's files. The system's table is not asked:
// it differs between machines.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// SetHeaders protects an answer to a browser: the policy of the page, no
// sniffing, no framing, no sharing with other origins, no caching. It belongs
// on every answer of a page's server, errors and JSON included.
func SetHeaders(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
}

// Files are the files of one page together with the shared ones.
type Files struct{ own fs.FS }

// New returns the files in the directory static of own, and the shared files
// that own does not have.
func New(own fs.FS) Files { return Files{own} }

// Read returns the content of a file by its name in static. The error is that
// of the file system.
func (f Files) Read(name string) ([]byte, error) {
	if body, err := fs.ReadFile(f.own, "static/"+name); err == nil {
		return body, nil
	}
	return static.ReadFile("static/" + name)
}

// Serve answers GET and HEAD with a file, such as index.html for the page
// itself, with the headers of [SetHeaders]. The browser asks each time whether
// the file has changed, so that a new binary's page is seen at once. It reports
// whether there is such a file, and writes nothing if there is none.
func (f Files) Serve(w http.ResponseWriter, r *http.Request, name string) bool {
	body, err := f.Read(name)
	if err != nil {
		return false
	}
	sum := sha256.Sum256(body)
	h := w.Header()
	SetHeaders(h)
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Type", contentTypes[path.Ext(name)])
	h.Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(body))
	return true
}
