package navigation

import (
	"net/http"
	"strings"
)

// IsPage is the response's half of the page rule: an HTML response, or a 304
// for one that the browser has. A download and an empty response are no pages.
// Without a Content-Type the body decides, as net/http does; a nil body is one
// that is not known yet.
func IsPage(status int, h http.Header, body []byte) bool {
	if status == http.StatusNotModified {
		return true
	}
	if status < 200 || status > 299 || status == http.StatusNoContent ||
		status == http.StatusResetContent || status == http.StatusPartialContent {
		return false
	}
	disposition, _, _ := strings.Cut(first(h, "Content-Disposition"), ";")
	if strings.EqualFold(strings.TrimSpace(disposition), "attachment") {
		return false
	}
	kind := first(h, "Content-Type")
	if kind == "" && body != nil {
		kind = http.DetectContentType(body)
	}
	if kind == "" {
		return true
	}
	kind, _, _ = strings.Cut(kind, ";")
	kind = strings.TrimSpace(kind)
	return strings.EqualFold(kind, "text/html") || strings.EqualFold(kind, "application/xhtml+xml")
}
