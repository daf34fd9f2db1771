package sandbox

import (
	"embed"
	"net/http"

	"github.com/intilery/caddy-intilery/internal/webui"
)

//go:embed static
var static embed.FS

var page = webui.New(static)

func serveIndex(w http.ResponseWriter, r *http.Request) { page.Serve(w, r, "index.html") }

// serveStatic answers with one file of the page.
func serveStatic(w http.ResponseWriter, r *http.Request, name string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		writeError(w, http.StatusMethodNotAllowed, "method not allowed")
		return
	}
	if !page.Serve(w, r, name) {
		writeError(w, http.StatusNotFound, "not found")
	}
}
