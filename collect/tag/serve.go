package tag

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// How long caches keep what is served.
const (
	scriptCaching   = "public, max-age=300, stale-while-revalidate=86400"
	chunkCaching    = "public, max-age=31536000, immutable"
	settingsCaching = "public, max-age=60"
)

const (
	javaScript = "text/javascript; charset=utf-8"
	jsonText   = "application/json"
)

// keyPattern is what a write key in a path may look like: base64 of either
// alphabet, and what other vendors use.
var keyPattern = regexp.MustCompile(`^[A-Za-z0-9+/=_.:-]{1,512}$`)

// Serve answers a request for the script, its settings or a chunk, and reports
// whether it was one. If not, nothing has been written.
func (s *Server) Serve(w http.ResponseWriter, r *http.Request, at Where) bool {
	rest := strings.TrimLeft(at.Rest, "/")
	if rest == s.config.FileName {
		if allowed(w, r) {
			s.source.script(w, r, at)
		}
		return true
	}
	if key, ok := between(strings.TrimPrefix(rest, "v1/"), "projects/", "/settings"); ok {
		if allowed(w, r) {
			at.Key = key
			ServeSettings(w, r, at)
		}
		return true
	}
	return s.source.file(w, r, at, rest)
}

// between returns the key between the two parts of a path.
func between(rest, before, after string) (key string, ok bool) {
	rest, ok = strings.CutPrefix(rest, before)
	if !ok {
		return "", false
	}
	key, ok = strings.CutSuffix(rest, after)
	return key, ok && keyPattern.MatchString(key)
}

// allowed reports whether the method is one that reads, and answers if not.
func allowed(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	w.Header().Set("Content-Type", jsonText)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusMethodNotAllowed)
	_, _ = w.Write([]byte(`{"success":false,"error":"method_not_allowed","code":"method_not_allowed","message":"only GET and HEAD"}`))
	return false
}

// content is one answer: its bytes, and what is said of them.
type content struct {
	body        []byte
	contentType string
	caching     string
	tag         string // the ETag, without quotes
}

func (c content) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", c.contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", c.caching)
	h.Set("ETag", `"`+c.tag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(c.body))
}

// settings is what analytics-next and the mobile SDKs ask their vendor for: where
// to send events, and that there is nothing else to load or to report.
type settings struct {
	Integrations  map[string]integration `json:"integrations"`
	Metrics       metrics                `json:"metrics"`
	RemotePlugins []struct{}             `json:"remotePlugins"`
}

type integration struct {
	APIKey   string `json:"apiKey"`
	APIHost  string `json:"apiHost"`
	Protocol string `json:"protocol"`
}

type metrics struct {
	SampleRate int `json:"sampleRate"`
}

// ServeSettings answers a tag or an app that asks for the settings of at.Key.
func ServeSettings(w http.ResponseWriter, r *http.Request, at Where) {
	body, err := json.Marshal(settings{
		Integrations:  map[string]integration{"Segment.io": {at.Key, at.Host + escapePath(at.Prefix), at.scheme()}},
		RemotePlugins: []struct{}{},
	})
	if err != nil { // strings always marshal
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	content{body, jsonText, settingsCaching, digest(string(body))}.serve(w, r)
}

func (at Where) scheme() string {
	if at.Secure {
		return "https"
	}
	return "http"
}

// escapePath returns a path as it stands in a URL. The result has no character
// that ends a string of JavaScript or an attribute of HTML, but for &.
func escapePath(path string) string {
	return (&url.URL{Path: path}).EscapedPath()
}
