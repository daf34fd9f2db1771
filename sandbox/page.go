package sandbox

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"time"
)

// static is the page: plain files that the browser gets as they are. Nothing
// of an event is ever written into them; the page's script fetches the events
// and shows them as text.
//
//go:embed static
var static embed.FS

// pagePolicy lets the page load its own files and talk to its own server, and
// nothing else. Trusted types make the browser refuse every way to turn a
// string into markup or script.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// contentTypes are those of the page's files. The system's table is not asked:
// it differs between machines.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// setPageHeaders protects whatever the sandbox shows to a browser.
func setPageHeaders(h http.Header) {
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
}

func serveIndex(w http.ResponseWriter, r *http.Request) { serveStatic(w, r, "index.html") }

// serveStatic answers with one file of the page.
func serveStatic(w http.ResponseWriter, r *http.Request, name string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		writeError(w, http.StatusMethodNotAllowed, "method not allowed")
		return
	}
	body, err := static.ReadFile("static/" + name)
	if err != nil {
		writeError(w, http.StatusNotFound, "not found")
		return
	}
	// A tag of the content, so that a new binary's page is seen at once.
	sum := sha256.Sum256(body)
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Type", contentTypes[path.Ext(name)])
	h.Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(body))
}
