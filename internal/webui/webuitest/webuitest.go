// Package webuitest has the tests that each page of webui must pass.
package webuitest

import (
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/intilery/caddy-intilery/internal/webui"
)

var (
	sinks = regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|setHTML|document\.write|DOMParser|createContextualFragment|` +
		`srcdoc|\beval\b|new Function|setTimeout\(\s*["'` + "`" + `]|javascript:|\.(href|src|action)\s*=|cssText|\bimport\(`)
	address     = regexp.MustCompile(`(?i)(https?:)?//[a-z]`)
	lineComment = regexp.MustCompile(`(?m)^\s*//.*$`)
	asked       = regexp.MustCompile(`(?:src|href)="static/([^"]+)"`)
	imported    = regexp.MustCompile(`from "\./([^"]+)"`)
	byID        = regexp.MustCompile(`byId\("([^"]+)"\)`)
	inPage      = map[string]*regexp.Regexp{
		"inline script":  regexp.MustCompile(`<script[^>]*>\s*[^<\s]`),
		"inline style":   regexp.MustCompile(`<style|\sstyle=`),
		"inline handler": regexp.MustCompile(`\son[a-z]+=`),
		"absolute path":  regexp.MustCompile(`(src|href)="/`),
	}
)

// Read returns the content of the files in the directory static of own, by
// name, and of the shared files that these use.
func Read(t *testing.T, own fs.FS) map[string]string {
	t.Helper()
	files := webui.New(own)
	entries, err := fs.ReadDir(own, "static")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	var read func(name, from string)
	read = func(name, from string) {
		if _, known := all[name]; known {
			return
		}
		body, err := files.Read(name)
		if err != nil {
			t.Errorf("%s asks for %s, which is not there", from, name)
			return
		}
		all[name] = string(body)
		for _, use := range []*regexp.Regexp{asked, imported} {
			for _, m := range use.FindAllStringSubmatch(string(body), -1) {
				read(m[1], name)
			}
		}
	}
	for _, e := range entries {
		read(e.Name(), "the page")
	}
	return all
}

// Page fails unless the page is made of files that ask no other host, have
// nothing inline that the policy would refuse, turn no string into markup or
// script, and ask for no file or element that is not there.
func Page(t *testing.T, own fs.FS) {
	t.Helper()
	all := Read(t, own)
	page := all["index.html"]
	for what, pattern := range inPage {
		if found := pattern.FindString(page); found != "" {
			t.Errorf("%s: %q", what, found)
		}
	}
	scripts := 0
	for name, body := range all {
		body = strings.ReplaceAll(body, `xmlns="http://www.w3.org/2000/svg"`, "")
		if path.Ext(name) == ".js" {
			scripts++
			body = lineComment.ReplaceAllString(body, "")
			if found := sinks.FindString(body); found != "" {
				t.Errorf("%s uses %q", name, found)
			}
			for _, m := range byID.FindAllStringSubmatch(body, -1) {
				if !strings.Contains(page, `id="`+m[1]+`"`) {
					t.Errorf("%s asks for #%s, which the page has not", name, m[1])
				}
			}
		}
		if found := address.FindString(body); found != "" {
			t.Errorf("%s names another host: %q", name, found)
		}
	}
	if scripts == 0 {
		t.Error("no script was read")
	}
}

// Served fails unless h serves the page at root, which ends in a slash, and
// its files below it: each with its type, and once only to a browser that has
// it.
func Served(t *testing.T, h http.Handler, root string, own fs.FS) {
	t.Helper()
	types := map[string]string{
		".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
		".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
	}
	for name, body := range Read(t, own) {
		target := root + "static/" + name
		if name == "index.html" {
			target = root
		}
		a := get(h, target, nil)
		if a.Code != http.StatusOK || a.Body.String() != body {
			t.Errorf("%s: %d, %d bytes", target, a.Code, a.Body.Len())
		}
		if got := a.Header().Get("Content-Type"); got != types[path.Ext(name)] || got == "" {
			t.Errorf("%s: content-type %q", target, got)
		}
		if a := get(h, target, http.Header{"If-None-Match": {a.Header().Get("ETag")}}); a.Code != http.StatusNotModified {
			t.Errorf("%s again: %d", target, a.Code)
		}
	}
}

// Headers fails unless h protects each of the targets as [webui.SetHeaders]
// says.
func Headers(t *testing.T, h http.Handler, targets ...string) {
	t.Helper()
	for _, target := range targets {
		got := get(h, target, nil).Header()
		policy := got.Get("Content-Security-Policy")
		for _, part := range []string{
			"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "base-uri 'none'",
			"form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'",
		} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: policy lacks %s: %q", target, part, policy)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
			t.Errorf("%s: policy is loose: %q", target, policy)
		}
		if got.Get("X-Content-Type-Options") != "nosniff" || got.Get("Cross-Origin-Resource-Policy") != "same-origin" ||
			got.Get("Access-Control-Allow-Origin") != "" || got.Get("Cache-Control") == "" {
			t.Errorf("%s: %v", target, got)
		}
	}
}

// get asks h as a browser on this machine does.
func get(h http.Handler, target string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Host = "localhost:8081"
	maps.Copy(r.Header, header)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
