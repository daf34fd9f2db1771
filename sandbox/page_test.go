package sandbox

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"
)

func files(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := fs.ReadDir(static, "static")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		body, err := static.ReadFile("static/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(body)
	}
	return out
}

func TestPageHeaders(t *testing.T) {
	s := newTest(t, Options{})
	for _, target := range []string{"/", "/static/app.js", "/static/app.css", "/static/icon.svg", "/api/events", "/faults", "/nothing"} {
		h := do(t, s, httptest.NewRequest(http.MethodGet, target, nil)).header
		policy := h.Get("Content-Security-Policy")
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
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cross-Origin-Resource-Policy") != "same-origin" ||
			h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %v", target, h)
		}
	}
}

func TestStaticFiles(t *testing.T) {
	s := newTest(t, Options{})
	for name, body := range files(t) {
		target := "/static/" + name
		if name == "index.html" {
			target = "/"
		}
		a := do(t, s, httptest.NewRequest(http.MethodGet, target, nil))
		if a.status != http.StatusOK || a.body != body {
			t.Errorf("%s: %d, %d bytes", target, a.status, len(a.body))
		}
		if want := contentTypes[path.Ext(name)]; want == "" || a.header.Get("Content-Type") != want {
			t.Errorf("%s: content-type %q", target, a.header.Get("Content-Type"))
		}
		again := httptest.NewRequest(http.MethodGet, target, nil)
		again.Header.Set("If-None-Match", a.header.Get("ETag"))
		if a := do(t, s, again); a.status != http.StatusNotModified {
			t.Errorf("%s again: %d", target, a.status)
		}
	}
}

// The page is the same whatever was received: events reach it as JSON only,
// and its script has no way to turn a string into markup.
func TestPageShowsEventsAsTextOnly(t *testing.T) {
	s := newTest(t, testAccount)
	const evil = `</script><script>alert(1)</script><img src=x onerror=alert(2)>`
	accept(t, s, "track", `{"event":"`+evil+`","userId":"`+evil+`","anonymousId":"`+evil+`","messageId":"`+evil+`"}`)
	accept(t, s, "identify", identify(evil, evil, `{"`+evil+`":"`+evil+`"}`))
	for _, target := range []string{"/", "/static/app.js", "/api/events", "/api/profiles"} {
		a := do(t, s, httptest.NewRequest(http.MethodGet, target, nil))
		if strings.Contains(a.body, "alert(1)</script>") {
			t.Errorf("%s carries the event's markup", target)
		}
		if strings.HasPrefix(target, "/api/") {
			if got := a.header.Get("Content-Type"); got != "application/json" {
				t.Errorf("%s: content-type %q", target, got)
			}
		}
	}
	sinks := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|setHTML|document\.write|DOMParser|createContextualFragment|` +
		`srcdoc|\beval\b|new Function|setTimeout\(\s*["'` + "`" + `]|javascript:|\.(href|src|action)\s*=|cssText|\bimport\(`)
	scripts := 0
	for name, body := range files(t) {
		if path.Ext(name) != ".js" {
			continue
		}
		scripts++
		if found := sinks.FindString(body); found != "" {
			t.Errorf("%s uses %q", name, found)
		}
	}
	if scripts == 0 {
		t.Error("no script was read")
	}
}

func TestPageIsSelfContained(t *testing.T) {
	address := regexp.MustCompile(`(?i)(https?:)?//[a-z]`)
	all := files(t)
	for name, body := range all {
		body = strings.ReplaceAll(body, `xmlns="http://www.w3.org/2000/svg"`, "")
		if path.Ext(name) == ".js" {
			body = regexp.MustCompile(`(?m)^\s*//.*$`).ReplaceAllString(body, "")
		}
		if found := address.FindString(body); found != "" {
			t.Errorf("%s names another host: %q", name, found)
		}
	}
	page := all["index.html"]
	for what, pattern := range map[string]string{
		"inline script":  `<script[^>]*>\s*[^<\s]`,
		"inline style":   `<style|\sstyle=`,
		"inline handler": `\son[a-z]+=`,
		"absolute path":  `(src|href)="/`,
	} {
		if found := regexp.MustCompile(pattern).FindString(page); found != "" {
			t.Errorf("%s: %q", what, found)
		}
	}
	for _, m := range regexp.MustCompile(`(?:src|href)="static/([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if all[m[1]] == "" {
			t.Errorf("the page asks for %s, which is not there", m[1])
		}
	}
	for name, body := range all {
		for _, m := range regexp.MustCompile(`from "\./([^"]+)"`).FindAllStringSubmatch(body, -1) {
			if all[m[1]] == "" {
				t.Errorf("%s imports %s, which is not there", name, m[1])
			}
		}
	}
	for _, m := range regexp.MustCompile(`byId\("([^"]+)"\)`).FindAllStringSubmatch(all["app.js"]+all["events.js"]+all["profiles.js"], -1) {
		if !strings.Contains(page, `id="`+m[1]+`"`) {
			t.Errorf("a script asks for #%s, which the page has not", m[1])
		}
	}
	for _, f := range faults {
		if !strings.Contains(page, `name="fault" value="`+string(f)+`"`) {
			t.Errorf("the page does not offer the fault %s", f)
		}
	}
}
