package tag

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDirectory(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "tag")
	write(t, filepath.Join(root, "secret.js"), "secret")
	write(t, filepath.Join(dir, "tag.js"), `post("https://api.segment.io/v1/t")`)
	write(t, filepath.Join(dir, "sub", "chunk.mjs"), `"api.segment.io/v1"`)
	write(t, filepath.Join(dir, "a.json"), "{}")
	write(t, filepath.Join(dir, ".env"), "secret")
	write(t, filepath.Join(dir, ".git", "config"), "secret")
	write(t, filepath.Join(dir, "t"), "a file with the name of a call")
	if err := os.Symlink("../secret.js", filepath.Join(dir, "link.js")); err != nil {
		t.Fatal(err)
	}
	s := open(t, Config{Source: dir, FileName: "tag.js"})
	s.Start()

	if got := text(t, ask(t, s, http.MethodGet, place("tag.js"))); got != `post("https://shop.example/p/t")` {
		t.Errorf("script: %s", got)
	}
	chunk := ask(t, s, http.MethodGet, place("sub/chunk.mjs"))
	if got := text(t, chunk); got != `"api.segment.io/v1"` || chunk.Header.Get("Content-Type") != javaScript {
		t.Errorf("chunk: %s %v", got, chunk.Header)
	}
	if same := ask(t, s, http.MethodGet, place("sub/chunk.mjs"), "If-None-Match", chunk.Header.Get("ETag")); same.StatusCode != 304 {
		t.Errorf("chunk: status %d with its own ETag", same.StatusCode)
	}
	if got := ask(t, s, http.MethodGet, place("a.json")).Header.Get("Content-Type"); got != jsonText {
		t.Errorf("JSON: %s", got)
	}
	if ask(t, s, http.MethodPost, place("t")) != nil {
		t.Error("a file takes a call's POST")
	}
	for _, rest := range []string{
		"../secret.js", "sub/../../secret.js", "sub/../tag.js", "link.js", ".env", ".git/config", "sub", "", "./tag.js",
		"tag.js/", "sub//chunk.mjs", `..\secret.js`, "none.js", "tag.js\x00", filepath.Join(dir, "tag.js"),
	} {
		if resp := ask(t, s, http.MethodGet, place(rest)); resp != nil {
			t.Errorf("%q: served with %d", rest, resp.StatusCode)
		}
	}
}

func TestDirectoryChanges(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tag.js")
	s := open(t, Config{Source: dir, FileName: "tag.js"})
	get := func() *http.Response { return ask(t, s, http.MethodGet, place("tag.js")) }

	if resp := get(); resp.StatusCode != 404 || resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Content-Type") != javaScript {
		t.Errorf("missing: %d %v", resp.StatusCode, resp.Header)
	}
	write(t, path, "one()")
	first := get()
	if got := text(t, first); got != "one()" {
		t.Errorf("got %s", got)
	}
	write(t, path, "two()")
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
	second := get()
	if got := text(t, second); got != "two()" || first.Header.Get("ETag") == second.Header.Get("ETag") {
		t.Errorf("changed: %s %v", got, second.Header)
	}
	for name, bad := range map[string]string{"empty": " \n", "HTML": "\n<!doctype html>", "too large": strings.Repeat("a", maxScript+1)} {
		write(t, path, bad)
		if resp := get(); resp.StatusCode != 404 {
			t.Errorf("%s: status %d", name, resp.StatusCode)
		}
	}
}
