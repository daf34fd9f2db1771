package tag

import (
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path"
	"strings"
	"sync"
	"time"
)

// directory is a source: files on disk, as they are at each request. Its script is
// rewritten, the others are served as they are.
type directory struct {
	path, name string
	condition  condition

	mu       sync.Mutex
	template *template // of the script when it was last read
	modified time.Time
	size     int64
}

func newDirectory(path, name string, logger *slog.Logger) *directory {
	return &directory{path: path, name: name, condition: condition{logger: logger.With("directory", path)}}
}

func (*directory) start() {}
func (*directory) close() {}

func (d *directory) script(w http.ResponseWriter, r *http.Request, at Where) {
	t, err := d.read()
	d.condition.set(err)
	if err != nil {
		unavailable(w, http.StatusNotFound)
		return
	}
	serveRewritten(w, r, t, at)
}

// read returns the script, read anew if the file has changed.
func (d *directory) read() (*template, error) {
	f, fi, err := d.open(d.name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.template != nil && fi.ModTime().Equal(d.modified) && fi.Size() == d.size {
		return d.template, nil
	}
	text, err := readScript(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", d.name, err)
	}
	d.template, d.modified, d.size = rewrite(text), fi.ModTime(), fi.Size()
	return d.template, nil
}

func (d *directory) file(w http.ResponseWriter, r *http.Request, _ Where, rest string) bool {
	// Other methods may be for the endpoint: a file may have the name of a call.
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	f, fi, err := d.open(rest)
	if err != nil {
		return false
	}
	defer f.Close()
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", scriptCaching)
	h.Set("ETag", `"`+digest(rest, fi.ModTime().UTC().String(), fmt.Sprint(fi.Size()))+`"`)
	switch path.Ext(rest) { // not what the machine's list of types has for them
	case ".js", ".mjs":
		h.Set("Content-Type", javaScript)
	case ".json", ".map":
		h.Set("Content-Type", jsonText)
	}
	http.ServeContent(w, r, rest, fi.ModTime(), f)
	return true
}

// open opens a regular file inside the directory. The directory is opened anew
// each time, because a deployment may have put another one in its place.
func (d *directory) open(name string) (io.ReadSeekCloser, fs.FileInfo, error) {
	if !fs.ValidPath(name) || strings.HasPrefix(name, ".") || strings.Contains(name, "/.") {
		return nil, nil, fs.ErrNotExist
	}
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	// Before it is opened: to open a pipe would wait for its writer.
	fi, err := root.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is not a file", name)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, nil, err
	}
	return f, fi, nil
}
