package caddymodule

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/intilery/caddy-intilery/sandbox"
)

// startLine is the line that tells of a start.
type startLine struct {
	Level, Version, DataDir string
	Destinations, Endpoints []string
	Backlog                 int
}

// startLines are the rig's so far.
func (r *rig) startLines() (lines []startLine) {
	r.t.Helper()
	for text := range strings.Lines(r.log()) {
		var line struct {
			Level, Logger, Msg, Version string
			Destinations, Endpoints     []string
			DataDir                     string `json:"data_dir"`
			Backlog                     int
		}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			r.t.Fatalf("%q: %v", text, err)
		}
		if line.Logger == "intilery" && line.Msg == "started" {
			lines = append(lines, startLine{line.Level, line.Version, line.DataDir, line.Destinations, line.Endpoints, line.Backlog})
		}
	}
	return lines
}

// waitStarted waits for the n-th start line.
func (r *rig) waitStarted(n int) startLine {
	r.t.Helper()
	var lines []startLine
	eventually(r.t, func() bool { lines = r.startLines(); return len(lines) >= n },
		func() string { return fmt.Sprintf("%d starts are logged, want %d:\n%s", len(lines), n, r.log()) })
	if len(lines) > n {
		r.t.Fatalf("%d starts are logged, want %d", len(lines), n)
	}
	return lines[n-1]
}

func TestStartLine(t *testing.T) {
	r := newRig(t)
	r.sandbox.SetFault(sandbox.Fault503)
	r.serve(trackingSite)
	api, err := url.Parse(r.api.URL)
	if err != nil {
		t.Fatal(err)
	}
	want := startLine{"info", version(), filepath.Join(r.dir, "data"), []string{"default"}, []string{api.Host}, 0}
	if diff := cmp.Diff(want, r.waitStarted(1)); diff != "" {
		t.Errorf("start line: %s", diff)
	}

	// What waits is told at the next start.
	for i := range 3 {
		r.get(fmt.Sprintf("/%d", i))
	}
	r.stop()
	r.serve(trackingSite)
	want.Backlog = 3
	if diff := cmp.Diff(want, r.waitStarted(2)); diff != "" {
		t.Errorf("start line: %s", diff)
	}

	// A configuration that does not start logs none; each that does logs one.
	blocker := httptest.NewServer(nil)
	defer blocker.Close()
	if err := r.tryLoad(r.global("") + blocker.URL + " {\n" + trackingSite + "\n}\n"); err == nil {
		t.Fatal("the bad configuration was loaded")
	}
	var more strings.Builder
	for i := range 12 {
		fmt.Fprintf(&more, "intilery shop%02d {\nclient_id acme\nauth_token x\nendpoint http://127.0.0.%d\n}\n", i, i+1)
	}
	r.load(strings.Replace(r.global(""), "intilery {", more.String()+"intilery {", 1), trackingSite)
	line := r.waitStarted(3)
	if n := len(line.Destinations); n != maxNamed+1 || line.Destinations[n-1] != "and 3 more" || line.Destinations[0] != "default" {
		t.Errorf("destinations %q", line.Destinations)
	}
	if n := len(line.Endpoints); n != maxNamed+1 || line.Endpoints[n-1] != "and 3 more" || !slices.Contains(line.Endpoints, "127.0.0.1") {
		t.Errorf("endpoints %q", line.Endpoints)
	}
}

// A queue that cannot be opened delays neither the start nor the stop, and no
// start is logged.
func TestNoStartLineWithoutQueue(t *testing.T) {
	r := newRig(t)
	r.load(r.global("data_dir /dev/null/data"), trackingSite)
	r.get("/")
	r.stop()
	if lines := r.startLines(); len(lines) > 0 {
		t.Errorf("start lines %v", lines)
	}
}
