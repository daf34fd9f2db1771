package caddymodule

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/intilery/caddy-intilery/preflight"
)

// exitCode is the one that Caddy's main function takes from an error.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if v := reflect.ValueOf(err); v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Struct {
		if code := v.Elem().FieldByName("ExitCode"); code.IsValid() {
			return int(code.Int())
		}
	}
	return 1
}

// checks writes a Caddyfile, runs the check of it and returns what it prints.
func checks(t *testing.T, code int, caddyfile string, args ...string) string {
	t.Helper()
	out, _, err := run(t, append([]string{"check", "--config", writeFile(t, "Caddyfile", []byte(caddyfile))}, args...)...)
	if got := exitCode(err); got != code {
		t.Errorf("exit code %d, want %d: %v\n%s", got, code, err, out)
	}
	return out
}

func contains(t *testing.T, text string, wants ...string) {
	t.Helper()
	squeezed := strings.Join(strings.Fields(text), " ")
	for _, want := range wants {
		if !strings.Contains(squeezed, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// The check beside a Caddy that runs with the same configuration, which it leaves
// alone: the queue works on, and nothing but the visits reaches Intilery.
func TestCheckBesideARunningCaddy(t *testing.T) {
	r := newRig(t)
	config := r.global("auth_token {file."+writeFile(t, "token", []byte(testToken+"\n"))+"}") + r.url + " {\nintilery\nheader Content-Type text/html\nrespond hello\n}\n"
	if out := checks(t, 0, config); !strings.Contains(out, "the site is not up") {
		t.Errorf("before the start:\n%s", out)
	}
	if _, err := os.Stat(filepath.Join(r.dir, "data")); err == nil {
		t.Fatal("the check has made the data directory")
	}
	if err := r.tryLoad(config); err != nil {
		t.Fatal(err)
	}
	r.get("/")
	r.calls(1)
	out := checks(t, 0, config, "--no-sites")
	contains(t, out, "ok destinations default", "ok sites 1 site with", "ok lock a running Caddy uses the queue", "ok permissions",
		"ok token accepted", "problems: 0, warnings: 0")
	if strings.Contains(out, testToken) {
		t.Errorf("the token is shown:\n%s", out)
	}
	r.calls(1) // none of the check's
	contains(t, checks(t, 0, config), "ok second visit the visitor is known")
	r.stranger().get("/")
	r.calls(5) // three pages of the doctor's two visitors, and the stranger's
}

// What a check prints, and that its steps leave no trace.
func TestCheckOutput(t *testing.T) {
	r := newRig(t)
	config := r.global("auth_token wrong\nfleet nats {\nservers nats://127.0.0.1:1\nnode web\n}") +
		"*.example.com {\ntls internal\nintilery\nrespond hello\n}\n"
	tree := func() (all []string) {
		err := filepath.WalkDir(r.dir, func(path string, _ fs.DirEntry, err error) error {
			all = append(all, path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := tree()
	out := checks(t, 1, config)
	contains(t, out, "problem token refused (403): auth-token is not valid fix: check auth_token",
		"fleet problem broker connecting: nats: no servers available for connection fix: check the servers",
		"note visit left out: *.example.com is not a single host fix: name a page with --site <url>",
		"problems: 2, warnings: 0")
	if diff := cmp.Diff(before, tree()); diff != "" {
		t.Errorf("the check has made files:\n%s", diff)
	}
	var report struct {
		Problems int
		Sections []struct {
			Subject  string
			Findings []map[string]string
		}
	}
	out = checks(t, 1, config, "--json", "--no-sites", "--no-call")
	if err := json.Unmarshal([]byte(out), &report); err != nil || report.Problems != 1 || report.Sections[2].Subject != "destination default" {
		t.Errorf("%v: %+v in %s", err, report, out)
	}
	contains(t, checks(t, 1, strings.Replace(config, "auth_token wrong", "auth_token {env.NOT_SET_HERE}", 1), "--no-sites"),
		"problem token auth_token: evaluated placeholder {env.NOT_SET_HERE} is empty", "ok connection 127.0.0.1:")
	contains(t, checks(t, 1, "{\nadmin off\n}\n"), "problem destinations none is configured")
}

func TestCheckUsage(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, args := range [][]string{
		{"check", "--bad"}, {"check", "argument"}, {"check"}, {"check", "--config", "nowhere"}, {"check", "--timeout", "0s"},
		{"check", "--user", "no-such-user-here"}, {"check", "--site", "ftp://a"}, {"check", "--site", "a", "--no-sites"},
		{"check", "--config", writeFile(t, "Caddyfile", []byte("{\nintilery {\nnonsense\n}\n}\n"))},
		{"check", "--config", writeFile(t, "c.json", []byte(`{"apps": {"intilery": {"nonsense": 1}}}`))},
		{"check", "--config", writeFile(t, "c.json", []byte(`{"apps": {"intilery": {"destinations": {"default": null}}}}`))},
	} {
		if out, _, err := run(t, args...); exitCode(err) != 2 || out != "" {
			t.Errorf("%v: exit code %d, %v\n%s", args, exitCode(err), err, out)
		}
	}
}

func TestSitesOfAConfiguration(t *testing.T) {
	config, err := adapt(`{
	http_port 8000
}
&(common) {
	intilery
}
https://named.example.com:8444 {
	invoke common
}
http://localhost:8080 {
	intilery {
		cookie {
			name mine
		}
		collect /x7
	}
}
shop.example.com, *.example.org {
	intilery
}
https://[::1]:8443 {
	intilery
}
http://plain.example.com {
	handle /a/* {
		intilery
	}
}
http://wide.example.com {
	handle {
		intilery
	}
}
:9443 {
	intilery
}
off.example.com {
	intilery off
}
none.example.com {
	respond hello
}
`)
	if err != nil {
		t.Fatal(err)
	}
	var c check
	if err := c.read(config); err != nil {
		t.Fatal(err)
	}
	sites, err := c.http.sites()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range sites {
		got = append(got, s.address+s.whyNot)
	}
	want := []string{
		"https://shop.example.com/",
		"*.example.org is not a single host",
		"the directive of plain.example.com is for some of its requests only",
		"http://wide.example.com:8000/",
		"http://localhost:8080/",
		"https://[::1]:8443/",
		"https://named.example.com:8444/",
		"a site for any host",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if h := handlerOf("http://localhost:8080/page", sites); h.Cookie == nil || h.Cookie.Name != "mine" || h.Collect == nil {
		t.Errorf("the options of the site are %+v", h.Cookie)
	}
}

// Handlers of others have fields that mean something else, and named routes may invoke
// themselves.
func TestOddRoutes(t *testing.T) {
	var c check
	if err := c.read([]byte(`{"apps": {"http": {"servers": {"a": null, "b": {"listen": [":8080"], "named_routes": {
		"again": {"handle": [{"handler": "invoke", "name": "again"}, {"handler": "intilery"}]}
	}, "routes": [null, {"match": [{"host": ["a.test"]}], "handle": [null, {"handler": "other", "routes": {"to": 1}, "name": 2}, {"handler": "invoke", "name": "again"}]}]}}}}}`)); err != nil {
		t.Fatal(err)
	}
	sites, err := c.http.sites()
	if err != nil || len(sites) != 1 || sites[0].address != "https://a.test:8080/" {
		t.Errorf("%+v, %v", sites, err)
	}
}

// Root may read what Caddy's user may not.
func TestCheckTokenFile(t *testing.T) {
	nobody, err := preflight.LookupUser("nobody")
	if err != nil || os.Getuid() != 0 {
		t.Skip("needs root, and the user nobody")
	}
	dir, err := os.MkdirTemp("", "check") // others may enter what is above it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	file := filepath.Join(dir, "token")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(file, []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[fs.FileMode]string{0o600: "problem token user nobody may not read " + file, 0o644: ""} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		c := check{user: nobody}
		s := c.report.Section("destination")
		c.tokenFile(s, &Destination{AuthToken: "{file." + file + "}"})
		if err := c.report.Write(&out); err != nil {
			t.Fatal(err)
		}
		if want == "" && len(s.Findings) > 0 {
			t.Errorf("%v: %s", mode, out.String())
		}
		contains(t, out.String(), want)
	}
}
