package tag

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"strings"
)

// The built-in sources.
const (
	// Next is analytics-next.
	Next = "next"
	// Classic is analytics.js-core with its segmentio integration.
	Classic = "classic"
)

// DefaultFileName is the script's name when none is configured.
const DefaultFileName = "s.js"

// Config says which tag is served.
type Config struct {
	// Source is Next, Classic, the path of a directory, or a URL: https, or http
	// of a loopback address. Required.
	Source string
	// FileName is the script's name below the prefix: letters, digits, dot, hyphen
	// and underscore, not beginning with a dot, ending in .js. Default
	// DefaultFileName; required for a directory, where it names the file.
	FileName string
	// CacheDir is where the script of a URL is kept. It is made when it is needed.
	// Empty: it is kept in memory only, and fetched anew after a restart.
	CacheDir string
	// Logger is told when a URL cannot be fetched, and when it can again. Default
	// is slog.Default.
	Logger *slog.Logger
}

// Where is what one request says of the place that it came to.
type Where struct {
	// Rest is the path below the prefix, unescaped. A leading slash is optional.
	Rest string
	// Host is the host as the browser sees it, with its port if it has one.
	Host string
	// Prefix is the path of the endpoint, unescaped, with a leading slash and
	// without a trailing one. Empty is the root.
	Prefix string
	// Secure says that the browser came by https.
	Secure bool
	// Key is the write key for requests whose path has none.
	Key string
}

// Server serves one tag.
type Server struct {
	config Config
	source source
}

// source is where scripts come from.
type source interface {
	start()
	close()
	// script answers with the tag. The key is at.Key or what the path named.
	script(w http.ResponseWriter, r *http.Request, at Where)
	// file answers what only this source has, and reports whether it has it. rest
	// has no leading slash.
	file(w http.ResponseWriter, r *http.Request, at Where, rest string) bool
}

var fileName = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]*\.js$`)

// New returns the server of a tag. It checks the configuration, and that a
// directory is one; it reads and fetches nothing.
func New(c Config) (*Server, error) {
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.FileName != "" && (!fileName.MatchString(c.FileName) || len(c.FileName) > 100) {
		return nil, fmt.Errorf("file name %q: want letters, digits, dot, hyphen and underscore, ending in .js", c.FileName)
	}
	s := &Server{config: c}
	switch {
	case c.Source == "":
		return nil, errors.New("no source: want next, classic, a directory or a URL")
	case c.Source == Next, c.Source == Classic:
		s.source = builtIn(c.Source)
	case strings.Contains(c.Source, "://"):
		u, err := parseSource(c.Source)
		if err != nil {
			return nil, err
		}
		s.source = newRemote(u, c)
	default:
		if c.FileName == "" {
			return nil, fmt.Errorf("directory %s: the name of the script is missing", c.Source)
		}
		fi, err := os.Stat(c.Source)
		if err != nil {
			return nil, fmt.Errorf("source: want next, classic, a directory or a URL: %w", err)
		}
		if !fi.IsDir() {
			return nil, fmt.Errorf("%s is not a directory", c.Source)
		}
		s.source = newDirectory(c.Source, c.FileName, c.Logger)
	}
	s.config.FileName = cmp.Or(c.FileName, DefaultFileName)
	return s, nil
}

// Start begins to fetch, if the source is a URL. It does not wait for it.
func (s *Server) Start() { s.source.start() }

// Close ends what Start began and releases files. It may be called without Start.
func (s *Server) Close() { s.source.close() }
