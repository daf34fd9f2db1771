package caddymodule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/intilery/caddy-intilery/caddymodule/internal/reserved"
	"github.com/intilery/caddy-intilery/internal/freeport"
	"github.com/intilery/caddy-intilery/sandbox"
)

// chrome is a browser's User-Agent.
const chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36"

const testToken = "secret-token-of-the-test"

// rig is a running Caddy in this process with an app behind and a sandbox
// Intilery beside it. Caddy is global to a process: no test that uses it runs
// in parallel.
type rig struct {
	t       *testing.T
	dir     string // for storage, queue and logs
	url     string // of the site
	sandbox *sandbox.Sandbox
	api     *httptest.Server
	loaded  bool
	client  *http.Client // with a cookie jar, follows no redirect
}

// newRig starts the sandbox; serve starts Caddy.
func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), sandbox: sandbox.New(sandbox.Options{ClientID: "acme", Token: testToken})}
	r.api = httptest.NewServer(r.sandbox)
	t.Cleanup(func() {
		r.stop()
		r.sandbox.Close()
		r.api.Close()
	})
	r.url = "http://localhost:" + freePort(t)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	r.client = &http.Client{
		Transport: transport, Jar: newJar(t), Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return r
}

// global is the configuration around the sites. lines go into the intilery
// block, before the defaults that they do not set.
func (r *rig) global(lines string) string {
	for option, value := range map[string]string{
		"client_id": "acme", "auth_token": testToken, "endpoint": r.api.URL, "data_dir": filepath.Join(r.dir, "data"),
	} {
		if !strings.Contains(lines, option) {
			lines += fmt.Sprintf("\n\t\t%s %q", option, value)
		}
	}
	return fmt.Sprintf(`{
	admin off
	persist_config off
	grace_period 1s
	storage file_system %q
	log {
		output file %q
		level INFO
	}
	intilery {
		%s
	}
}
`, filepath.Join(r.dir, "storage"), r.logFile(), lines)
}

func (r *rig) logFile() string { return filepath.Join(r.dir, "caddy.log") }

// serve loads a configuration whose one site has the given body.
func (r *rig) serve(site string) { r.t.Helper(); r.load(r.global(""), site) }

// load loads a configuration. At a reload the site moves to another port: on
// the same one Caddy opens a second socket beside the old one, which takes the
// connections that wait on it along when it closes, with or without the module.
func (r *rig) load(global, site string) {
	r.t.Helper()
	if r.loaded {
		r.url = "http://localhost:" + freePort(r.t)
	}
	r.loaded = true
	r.loadHere(global, site)
}

// loadHere loads a configuration whose site stays on its port.
func (r *rig) loadHere(global, site string) {
	r.t.Helper()
	if err := r.tryLoad(global + r.url + " {\n" + site + "\n}\n"); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) tryLoad(caddyfile string) error {
	r.t.Helper()
	config, err := adapt(caddyfile)
	if err != nil {
		return err
	}
	return caddy.Load(config, true)
}

func (r *rig) stop() {
	r.t.Helper()
	if err := caddy.Stop(); err != nil {
		r.t.Error(err)
	}
	r.client.CloseIdleConnections()
}

// behind serves app behind a reverse_proxy with the module in front.
func (r *rig) behind(app http.HandlerFunc) {
	r.t.Helper()
	upstream := httptest.NewServer(app)
	r.t.Cleanup(upstream.Close)
	r.serve("intilery\nreverse_proxy " + upstream.Listener.Addr().String())
}

// get opens a page as a browser does.
func (r *rig) get(path string, edit ...func(*http.Request)) *http.Response {
	r.t.Helper()
	return r.do(http.MethodGet, path, nil, edit...)
}

func (r *rig) do(method, path string, body io.Reader, edit ...func(*http.Request)) *http.Response {
	r.t.Helper()
	req, err := http.NewRequest(method, r.url+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	asBrowser(req)
	for _, f := range edit {
		f(req)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(text))
	return resp
}

func asBrowser(r *http.Request) {
	r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	r.Header.Set("Accept-Language", "en-GB,en;q=0.9")
	r.Header.Set("Sec-Fetch-Dest", "document")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("User-Agent", chrome)
}

// newJar is an empty jar: another browser's.
func newJar(t *testing.T) http.CookieJar {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return jar
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// call is an event as Intilery received it.
type call struct {
	Type, Event, Name   string
	AnonymousID, UserID string
	MessageID           string
	Timestamp, SentAt   time.Time
	Traits, Properties  map[string]any
	Context             map[string]any
	AssetID             any
}

// calls waits for n events and returns all that arrived, in order.
func (r *rig) calls(n int) []call {
	r.t.Helper()
	var got []call
	eventually(r.t, func() bool {
		got = nil
		for _, e := range r.sandbox.Events() {
			var c call
			if err := json.Unmarshal(e.Raw, &c); err != nil {
				r.t.Fatal(err)
			}
			got = append(got, c)
		}
		return len(got) >= n
	}, func() string {
		return fmt.Sprintf("%d events arrived, want %d: %s; log:\n%s", len(got), n, paths(got), r.log())
	})
	if len(got) > n {
		r.t.Fatalf("%d events arrived, want %d: %s", len(got), n, summary(got))
	}
	return got
}

// summary names events as type:event.
func summary(calls []call) string {
	var names []string
	for _, c := range calls {
		names = append(names, c.Type+":"+c.Event+c.Name)
	}
	return strings.Join(names, " ")
}

func (r *rig) log() string {
	text, err := os.ReadFile(r.logFile())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// cookies returns the values of the cookies in the client's jar by name.
func (r *rig) cookies() map[string]string {
	site, err := url.Parse(r.url)
	if err != nil {
		r.t.Fatal(err)
	}
	values := map[string]string{}
	for _, c := range r.client.Jar.Cookies(site) {
		values[c.Name] = c.Value
	}
	return values
}

// eventually polls until done or a generous deadline: it waits for a state,
// it does not measure time.
func eventually(t *testing.T, done func() bool, failure func() string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(failure())
		}
	}
}

func adapt(caddyfile string) ([]byte, error) {
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), nil)
	return config, err
}

// validate does what `caddy validate` does.
func validate(t *testing.T, caddyfile string) error {
	t.Helper()
	config, err := adapt(caddyfile)
	if err != nil {
		return err
	}
	return validateJSON(t, config)
}

func validateJSON(t *testing.T, config []byte) error {
	t.Helper()
	var parsed caddy.Config
	if err := json.Unmarshal(config, &parsed); err != nil {
		t.Fatal(err)
	}
	return caddy.Validate(&parsed)
}

func freePort(t *testing.T) string {
	t.Helper()
	port, err := freeport.Next()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// wantStripped fails if anything under our prefix reached the client.
func wantStripped(t *testing.T, h http.Header, trailer http.Header) {
	t.Helper()
	for _, name := range append(slices.Collect(maps.Keys(h)), slices.Collect(maps.Keys(trailer))...) {
		if reserved.Is(name) {
			t.Errorf("%s reached the client", name)
		}
	}
	for _, name := range strings.Split(strings.Join(h["Trailer"], ","), ",") {
		if reserved.Is(strings.TrimSpace(name)) {
			t.Errorf("the trailer announcement of %q reached the client", name)
		}
	}
}

func bodyText(t *testing.T, resp *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// newServer starts an app and returns its address.
func newServer(t *testing.T, app http.Handler) string {
	t.Helper()
	s := httptest.NewServer(app)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func counter(t *testing.T, c prometheus.Collector) float64 {
	t.Helper()
	return testutil.ToFloat64(c)
}

// stranger is the same rig for another browser, which has no cookies yet.
func (r *rig) stranger() *rig {
	r.t.Helper()
	other, client := *r, *r.client
	client.Jar = newJar(r.t)
	other.client = &client
	return &other
}

// id is the anonymousId in the browser's readable cookie, "" for none.
func (r *rig) id() string {
	return strings.Trim(strings.ReplaceAll(r.cookies()["ajs_anonymous_id"], "%22", ""), `"`)
}

// keep takes over the cookies that another request's answer set.
func (r *rig) keep(resp *http.Response) {
	r.t.Helper()
	site, err := url.Parse(r.url)
	if err != nil {
		r.t.Fatal(err)
	}
	r.client.Jar.SetCookies(site, resp.Cookies())
}

// paths names page events by their path, and others by their name.
func paths(calls []call) string {
	var names []string
	for _, c := range calls {
		name := c.Type
		if c.Type == "track" {
			name = c.Event
		}
		if path, ok := c.Properties["path"].(string); ok && c.Type == "page" {
			name = path
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// echoing is an app that answers every request with an HTML page and the response
// headers that the query gives.
func echoing(w http.ResponseWriter, req *http.Request) {
	for name, values := range req.URL.Query() {
		for _, value := range values {
			w.Header().Add(name, value)
		}
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "text/html")
	}
	if location := w.Header().Get("Location"); location != "" {
		w.WriteHeader(http.StatusSeeOther)
	}
	fmt.Fprint(w, "page")
}
