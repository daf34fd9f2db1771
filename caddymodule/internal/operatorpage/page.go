package operatorpage

import (
	"embed"
	"net/http"
	"strings"

	"github.com/intilery/caddy-intilery/internal/webui"
)

//go:embed static
var static embed.FS

var files = webui.New(static)

// Serve answers GET and HEAD for the page, at the empty path, and its files, below
// static/. It reports whether there is such a file, and writes nothing if there is
// none.
func Serve(w http.ResponseWriter, r *http.Request, path string) bool {
	name, isFile := strings.CutPrefix(path, "static/")
	switch {
	case path == "":
		name = "index.html"
	case !isFile || name == "index.html":
		return false
	}
	return files.Serve(w, r, name)
}
