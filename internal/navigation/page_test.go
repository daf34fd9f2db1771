package navigation

import (
	"net/http"
	"testing"
)

func TestIsPage(t *testing.T) {
	html := http.Header{"Content-Type": {"text/html; charset=utf-8"}}
	disposed := func(value string) http.Header {
		return http.Header{"Content-Type": {"text/html"}, "Content-Disposition": {value}}
	}
	for _, tt := range []struct {
		name   string
		status int
		h      http.Header
		body   []byte
		want   bool
	}{
		{"HTML", 200, html, nil, true},
		{"HTML in capitals", 200, http.Header{"Content-Type": {"Text/HTML ;charset=utf-8"}}, nil, true},
		{"XHTML", 200, http.Header{"Content-Type": {"application/xhtml+xml"}}, nil, true},
		{"the browser's copy is fresh", 304, http.Header{}, nil, true},
		{"no type, unknown body", 200, http.Header{}, nil, true},
		{"no type, an HTML body", 200, http.Header{}, []byte("<!doctype html><p>"), true},
		{"no type, a PNG", 200, http.Header{}, []byte("\x89PNG\r\n\x1a\n"), false},
		{"JSON", 200, http.Header{"Content-Type": {"application/json"}}, nil, false},
		{"a download", 200, disposed("attachment; filename=a.html"), nil, false},
		{"a download in capitals", 200, disposed("ATTACHMENT"), nil, false},
		{"shown in place", 200, disposed("inline; filename=attachment.html"), nil, true},
		{"a redirect", 302, html, nil, false},
		{"not found", 404, html, nil, false},
		{"no content", 204, http.Header{}, nil, false},
		{"reset content", 205, html, nil, false},
		{"a part", 206, html, nil, false},
		{"created", 201, html, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := IsPage(tt.status, tt.h, tt.body); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
