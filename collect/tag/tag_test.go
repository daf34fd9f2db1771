package tag

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const key = "YWNtZTphY21lOkFDTUU="

func open(t *testing.T, c Config) *Server {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// place is a request's Where, over https.
func place(rest string) Where {
	return Where{Rest: rest, Host: "shop.example", Prefix: "/p", Secure: true, Key: key}
}

// ask makes a request, and returns nil if it was not one for the tag.
func ask(t *testing.T, s *Server, method string, at Where, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, "https://shop.example/", nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	if !s.Serve(w, r, at) {
		if w.Body.Len() > 0 || len(w.Header()) > 0 {
			t.Error("wrote an answer and left the request to others")
		}
		return nil
	}
	return w.Result()
}

func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	if resp == nil {
		t.Fatal("not served")
	}
	var b strings.Builder
	if err := resp.Write(&b); err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(b.String(), "\r\n\r\n")
	return body
}

func TestConfig(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		source, file string
		ok           bool
	}{
		{Next, "", true},
		{Classic, "a-b_c.1.js", true},
		{dir, "tag.js", true},
		{"https://cdn.example/a.js", "", true},
		{"http://127.0.0.1:8080/a.js", "", true},
		{"http://[::1]/a.js", "", true},
		{"http://localhost/a.js", "", true},
		{"", "", false},
		{Next, "a/b.js", false},
		{Next, ".a.js", false},
		{Next, "..", false},
		{Next, "t", false},
		{Next, `a".js`, false},
		{Next, strings.Repeat("a", 98) + ".js", false},
		{dir, "", false},
		{filepath.Join(dir, "none"), "tag.js", false},
		{"http://cdn.example/a.js", "", false},
		{"ftp://cdn.example/a.js", "", false},
		{"https:///a.js", "", false},
		{"file:///etc/passwd", "", false},
		{"https://cdn.example:port/", "", false},
	} {
		s, err := New(Config{Source: c.source, FileName: c.file})
		if (err == nil) != c.ok {
			t.Errorf("%q %q: %v", c.source, c.file, err)
		}
		if err == nil {
			s.Close()
		}
	}
}

func TestPaths(t *testing.T) {
	const chunk = "analytics-next/bundles/queryString.bundle.34b193ada8fe288d1bd1.js"
	for _, c := range []struct {
		source, rest       string
		status             int
		contentType, cache string
	}{
		{Next, "s.js", 200, javaScript, scriptCaching},
		{Next, "/s.js", 200, javaScript, scriptCaching},
		{Classic, "s.js", 200, javaScript, scriptCaching},
		{Next, "analytics.js/v1/abc/analytics.min.js", 200, javaScript, scriptCaching},
		{Classic, "js/" + key + "/analytics.js", 200, javaScript, scriptCaching},
		{Next, chunk, 200, javaScript, chunkCaching},
		{Next, "//" + chunk, 200, javaScript, chunkCaching},
		{Next, "v1/projects/abc/settings", 200, jsonText, settingsCaching},
		{Classic, "projects/a/b==/settings", 200, jsonText, settingsCaching},
		{Next, "", 0, "", ""},
		{Next, "t", 0, "", ""},
		{Next, "v1/batch", 0, "", ""},
		{Next, "S.js", 0, "", ""},
		{Next, "js/abc/analytics.js", 0, "", ""},
		{Classic, "analytics.js/v1/abc/analytics.min.js", 0, "", ""},
		{Classic, chunk, 0, "", ""},
		{Next, "projects//settings", 0, "", ""},
		{Next, "projects/a b/settings", 0, "", ""},
		{Next, "projects/<script>/settings", 0, "", ""},
		{Next, "projects/" + strings.Repeat("a", 513) + "/settings", 0, "", ""},
		{Next, "analytics-next/bundles/", 0, "", ""},
		{Next, "analytics-next/bundles/../next.js", 0, "", ""},
		{Next, "analytics-next/bundles/none.bundle.00.js", 0, "", ""},
		{Next, "assets/next.js", 0, "", ""},
	} {
		resp := ask(t, open(t, Config{Source: c.source}), http.MethodGet, place(c.rest))
		if resp == nil {
			if c.status != 0 {
				t.Errorf("%s %s: not served", c.source, c.rest)
			}
			continue
		}
		if resp.StatusCode != c.status {
			t.Errorf("%s %s: status %d, want %d", c.source, c.rest, resp.StatusCode, c.status)
		}
		want := map[string]string{
			"Content-Type": c.contentType, "Cache-Control": c.cache, "X-Content-Type-Options": "nosniff", "Set-Cookie": "",
		}
		got := map[string]string{}
		for name := range want {
			got[name] = resp.Header.Get(name)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s %s: %s", c.source, c.rest, d)
		}
	}
}

func TestMethods(t *testing.T) {
	s := open(t, Config{Source: Next})
	for _, rest := range []string{
		"s.js", "projects/a/settings", "analytics.js/v1/a/analytics.min.js",
		chunkDir + "queryString.bundle.34b193ada8fe288d1bd1.js",
	} {
		get := ask(t, s, http.MethodGet, place(rest))
		head := ask(t, s, http.MethodHead, place(rest))
		if head.StatusCode != 200 || head.Header.Get("Content-Length") != get.Header.Get("Content-Length") || head.Header.Get("ETag") != get.Header.Get("ETag") {
			t.Errorf("%s: HEAD %d %v, GET %v", rest, head.StatusCode, head.Header, get.Header)
		}
		post := ask(t, s, http.MethodPost, place(rest))
		if post.StatusCode != 405 || post.Header.Get("Allow") != "GET, HEAD" || !json.Valid([]byte(text(t, post))) {
			t.Errorf("%s: POST %d %v", rest, post.StatusCode, post.Header)
		}
		if same := ask(t, s, http.MethodGet, place(rest), "If-None-Match", get.Header.Get("ETag")); same.StatusCode != 304 {
			t.Errorf("%s: status %d with its own ETag", rest, same.StatusCode)
		}
		if other := ask(t, s, http.MethodGet, place(rest), "If-None-Match", `"other"`); other.StatusCode != 200 {
			t.Errorf("%s: status %d with another ETag", rest, other.StatusCode)
		}
	}
}

func TestSettings(t *testing.T) {
	s := open(t, Config{Source: Next})
	at := Where{Rest: "v1/projects/abc/settings", Host: `shop.example:8443`, Prefix: "/a b", Secure: false, Key: key}
	got := text(t, ask(t, s, http.MethodGet, at))
	want := `{"integrations":{"Segment.io":{"apiKey":"abc","apiHost":"shop.example:8443/a%20b","protocol":"http"}},"metrics":{"sampleRate":0},"remotePlugins":[]}`
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	at.Secure = true
	if got := text(t, ask(t, s, http.MethodGet, at)); !strings.Contains(got, `"protocol":"https"`) {
		t.Errorf("over https: %s", got)
	}
}

// The script has what is of its place, and its ETag changes with just that.
func TestScriptSaysWhereItIs(t *testing.T) {
	for _, source := range []string{Next, Classic} {
		s := open(t, Config{Source: source})
		base := ask(t, s, http.MethodGet, place("s.js"))
		if body := text(t, base); !strings.HasSuffix(body, `({"key":"`+key+`","prefix":"/p"}));`+"\n") {
			t.Errorf("%s ends in %q", source, body[len(body)-60:])
		}
		for name, c := range map[string]struct {
			change func(*Where)
			same   bool
		}{
			"host":   {func(at *Where) { at.Host = "other.example" }, true},
			"secure": {func(at *Where) { at.Secure = false }, true},
			"prefix": {func(at *Where) { at.Prefix = "/q" }, false},
			"key":    {func(at *Where) { at.Key = "other" }, false},
		} {
			at := place("s.js")
			c.change(&at)
			if same := ask(t, s, http.MethodGet, at).Header.Get("ETag") == base.Header.Get("ETag"); same != c.same {
				t.Errorf("%s, another %s: same ETag is %v", source, name, same)
			}
		}
	}
	s := open(t, Config{Source: Next})
	if body := text(t, ask(t, s, http.MethodGet, place("analytics.js/v1/abc/analytics.min.js"))); !strings.Contains(body, `({"key":"abc",`) {
		t.Error("the key of the path is not that of the script")
	}
	at := place("s.js")
	at.Key, at.Prefix = "</script>\u2028", "/'\"</script>"
	body := text(t, ask(t, s, http.MethodGet, at))
	if tail := body[strings.LastIndex(body, `({"key"`):]; strings.ContainsAny(tail, "<>'\u2028") {
		t.Errorf("not escaped: %s", tail)
	}
}

// What is built in names no host to send to or to load from.
func TestNoVendorHosts(t *testing.T) {
	err := fs.WalkDir(assets, "assets", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".js") {
			return err
		}
		text, err := fs.ReadFile(assets, path)
		for _, host := range []string{"api.segment.io", "cdn.segment.com", "cdnjs.", "events.intilery.com", "sourceMappingURL"} {
			if strings.Contains(string(text), host) {
				t.Errorf("%s contains %s", path, host)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSnippet(t *testing.T) {
	s := open(t, Config{Source: Next, FileName: "x.js"})
	got := s.Snippet(`/a"><script>alert('1')&amp;`)
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines: %s", len(lines), got)
	}
	if want := `<script async src="/a%22%3E%3Cscript%3Ealert%28%271%27%29&amp;amp;/x.js"></script>`; lines[1] != want {
		t.Errorf("got  %s\nwant %s", lines[1], want)
	}
	if !strings.HasPrefix(lines[0], "<script>") || strings.Count(lines[0], "a.page()") != 1 {
		t.Errorf("stub: %s", lines[0])
	}
	if !strings.Contains(lines[0], "bpc") || strings.Contains(open(t, Config{Source: Classic}).Snippet("/p"), "bpc") {
		t.Error("the note of the page is for analytics-next, and for it only")
	}
	if strings.Contains(got, "CONTEXT") {
		t.Error("a hole is left in the stub")
	}
}

func FuzzServe(f *testing.F) {
	for _, rest := range []string{"s.js", "v1/projects/a/settings", "analytics.js/v1/a/analytics.min.js", chunkDir + "../x", "%2e%2e/\x00"} {
		f.Add(rest, "host", "/p", "k")
	}
	s, err := New(Config{Source: Next})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, rest, host, prefix, key string) {
		resp := ask(t, s, http.MethodGet, Where{Rest: rest, Host: host, Prefix: prefix, Key: key})
		if resp != nil && resp.StatusCode != 200 {
			t.Errorf("status %d", resp.StatusCode)
		}
		if resp != nil && resp.Header.Get("Content-Type") == jsonText && !json.Valid([]byte(text(t, resp))) {
			t.Error("settings are no JSON")
		}
	})
}
