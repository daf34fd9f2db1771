package tag

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// oddPrefix has what a URL, HTML and JavaScript give a meaning to.
const oddPrefix = `/it's <odd> & "path`

// visitPage is a page that makes calls before the tag is there.
const visitPage = `<!doctype html><title>T</title>%s<a id="link" href="/left">leave</a><script>
analytics.identify("u1", {plan: "gold"});
analytics.track("early");
analytics.trackLink(document.getElementById("link"), "clicked");
</script>`

// seen is what testdata/visit.mjs tells of one page.
type seen struct {
	Calls    []struct{ Path, Body string }
	Others   []string // URLs on other hosts
	Messages []string
}

// A real browser sends its calls to the endpoint, each once, and asks no other
// host for anything. Skipped without Chromium or the packages of e2e/.
func TestChromium(t *testing.T) {
	modules, err := filepath.Abs("../../e2e")
	if err != nil {
		t.Fatal(err)
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium")
	}
	if _, err := os.Stat(filepath.Join(modules, "node_modules/playwright-core")); err != nil || testing.Short() {
		t.Skip("no packages of e2e/, or -short")
	}

	vendor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		// The classic tag as a vendor hosts it.
		_, _ = io.WriteString(w, strings.NewReplacer(
			"intilery.settings.integrations", `{"Segment.io":{apiKey:"`+key+`",apiHost:"events.intilery.com/cdp/events/segment"}}`,
			"intilery.base", `"https://"+this.options.apiHost`,
			"intilery.host", `"api.segment.io/v1"`,
		).Replace(classicBody(t)))
	}))
	defer vendor.Close()
	sites := map[string]*Server{
		"next": open(t, Config{Source: Next}), "classic": open(t, Config{Source: Classic}),
		"url": open(t, Config{Source: vendor.URL + "/", Logger: slog.New(slog.DiscardHandler)}),
	}
	remote, ok := sites["url"].source.(*remote)
	if !ok {
		t.Fatal("not a remote source")
	}
	script, err := remote.fetch(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	remote.current.Store(rewrite([]byte(script.Text)))

	site := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		s, ok := sites[name]
		if !ok {
			return // the page that a link leads to, and the browser's icon
		}
		prefix := "/" + name + oddPrefix
		switch rest, below := strings.CutPrefix("/"+rest, oddPrefix+"/"); {
		case !below:
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = fmt.Fprintf(w, visitPage, s.Snippet(prefix))
		case s.Serve(w, r, Where{Rest: rest, Host: r.Host, Prefix: prefix, Secure: r.TLS != nil, Key: key}):
		default:
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"success":true}`)
		}
	})
	plain := httptest.NewServer(site)
	defer plain.Close()
	encrypted := httptest.NewUnstartedServer(site)
	encrypted.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo) // the browser tries the certificate first
	encrypted.StartTLS()
	defer encrypted.Close()

	type visit struct {
		URL   string   `json:"url"`
		Click string   `json:"click"`
		Until []string `json:"until"`
	}
	want := []string{"identify", "page", "track clicked", "track early", "track fromQuery", "track late"}
	var visits []visit
	var names []string
	for _, name := range []string{"next", "classic", "url"} {
		for _, base := range []string{plain.URL, encrypted.URL} {
			names = append(names, name+" "+base)
			visits = append(visits, visit{
				base + "/" + name + "/?ajs_event=fromQuery", "#link",
				[]string{`"type":"page"`, `"type":"identify"`, `"early"`, `"fromQuery"`, `"late"`, `"clicked"`},
			})
		}
	}
	list, err := json.Marshal(visits)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "testdata/visit.mjs", modules, string(list))
	cmd.Env = append(os.Environ(), "CHROMIUM="+chromium)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var results []seen
	if err := json.Unmarshal(out, &results); err != nil || len(results) != len(visits) {
		t.Fatalf("%v: %s", err, out)
	}
	for i, result := range results {
		var calls []string
		for _, c := range result.Calls {
			var call struct{ Type, Event, WriteKey string }
			if err := json.Unmarshal([]byte(c.Body), &call); err != nil {
				t.Errorf("%s: %v: %s", names[i], err, c.Body)
			}
			calls = append(calls, strings.TrimSpace(call.Type+" "+call.Event))
			name, _, _ := strings.Cut(names[i], " ")
			if want := "/" + name + oddPrefix + "/" + call.Type[:1]; c.Path != want {
				t.Errorf("%s: a call went to %s, want %s", names[i], c.Path, want)
			}
			if call.WriteKey != key {
				t.Errorf("%s: key %q", names[i], call.WriteKey)
			}
		}
		slices.Sort(calls)
		if d := cmp.Diff(want, calls); d != "" {
			t.Errorf("%s: %s", names[i], d)
		}
		if len(result.Others) > 0 || len(result.Messages) > 0 {
			t.Errorf("%s: other hosts %v, messages %v", names[i], result.Others, result.Messages)
		}
	}
}

// classicBody is the built-in classic script without what surrounds it.
func classicBody(t *testing.T) string {
	t.Helper()
	text, err := assets.ReadFile("assets/classic.js")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
