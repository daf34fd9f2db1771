package caddymodule

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/intilery/caddy-intilery/sandbox"
)

const trackingSite = `
	intilery
	header Content-Type text/html
	route {
		header Intilery-Track {path}
		header Intilery-Page off
		respond "served"
	}`

// Reloads under load: no event is lost, and none is sent twice by an old
// consumer beside the new.
func TestReloadsLoseAndRepeatNothing(t *testing.T) {
	r := newRig(t)
	r.serve(trackingSite)
	const visitors, visits = 4, 25
	var failed atomic.Int64
	var wg sync.WaitGroup
	for v := range visitors {
		wg.Go(func() {
			for i := 0; i < visits && failed.Load() < visits; {
				if served(t, fmt.Sprintf("%s/%d/%d", r.url, v, i), v) {
					i++
				} else {
					failed.Add(1) // a listener that is being replaced may refuse
				}
			}
		})
	}
	for range 6 {
		r.loadHere(r.global(""), trackingSite)
	}
	wg.Wait()
	http.DefaultClient.CloseIdleConnections()

	var names []string
	eventually(t, func() bool {
		names = nil
		for _, e := range r.sandbox.Events() {
			names = append(names, e.Name)
		}
		return len(slices.Compact(slices.Sorted(slices.Values(names)))) == visitors*visits
	}, func() string { return fmt.Sprintf("%d events arrived; log:\n%s", len(names), r.log()) })
	// A visit whose answer was cut off may have been counted before it was
	// repeated: that many may be there twice, and none other.
	if extra := len(names) - visitors*visits; extra > int(failed.Load()) {
		t.Errorf("%d events too many, %d visits failed", extra, failed.Load())
	}
	last := make(map[string]int)
	for _, name := range names {
		v, text, _ := strings.Cut(strings.TrimPrefix(name, "/"), "/")
		i, err := strconv.Atoi(text)
		if err != nil || i < last[v] || i > last[v]+1 {
			t.Fatalf("visitor %s: visit %s after %d", v, text, last[v])
		}
		last[v] = i
	}
	for _, e := range r.sandbox.Events() {
		if e.Duplicates != 0 {
			t.Errorf("%s was sent %d times more", e.Name, e.Duplicates)
		}
	}
}

// served makes one visit of visitor v and reports whether it was answered.
func served(t *testing.T, url string, v int) bool {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Error(err)
		return true
	}
	req.Header.Set("Cookie", fmt.Sprintf("ajs_anonymous_id=%%2200000000-0000-4000-8000-%012d%%22", v))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || string(text) != "served") {
		t.Errorf("%d %q", resp.StatusCode, text)
	}
	return err == nil
}

// A reload that fails leaves the old configuration's delivery as it was.
func TestFailedReload(t *testing.T) {
	r := newRig(t)
	r.serve(trackingSite)
	// The port of the site is taken by the site: another app's failure to
	// start comes after ours has started, or before; both must hold.
	blocker := httptest.NewServer(http.NotFoundHandler())
	defer blocker.Close()
	other := strings.Replace(r.global(""), "endpoint", "endpoint http://localhost:1 #", 1)
	err := r.tryLoad(other + blocker.URL + " {\n" + trackingSite + "\n}\n")
	if err == nil {
		t.Fatal("the bad configuration was loaded")
	}
	r.get("/after")
	if got := summary(r.calls(1)); got != "track:/after" {
		t.Errorf("events %s", got)
	}
}

// `caddy validate` beside a live server must not touch the server's queue.
func TestValidateBesideLiveServer(t *testing.T) {
	r := newRig(t)
	r.serve(trackingSite)
	if err := validate(t, r.global("")+r.url+" {\n"+trackingSite+"\n}\n"); err != nil {
		t.Errorf("validate: %v", err)
	}
	r.get("/live")
	r.calls(1)
}

// Validating alone leaves nothing on the disk.
func TestValidateWritesNothing(t *testing.T) {
	r := newRig(t)
	if err := validate(t, r.global("")+r.url+" {\n"+trackingSite+"\n}\n"); err != nil {
		t.Errorf("validate: %v", err)
	}
	for _, name := range []string{"data", "storage"} {
		if _, err := os.Stat(filepath.Join(r.dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s was made: %v", name, err)
		}
	}
}

// Start, reload and stop leave no goroutine behind.
func TestNoGoroutineIsLeft(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	r := newRig(t)
	r.serve(trackingSite)
	r.get("/one")
	r.serve(trackingSite + "\n\theader X-Changed yes")
	r.get("/two")
	r.calls(2)
	r.stop()
	r.api.CloseClientConnections()
	goleak.VerifyNone(t, ignore,
		// Caddy's own, which end later or with the process: the refresher of a
		// storage lock notices after a sleep that its file is gone, and the
		// log's roller has no end.
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
		goleak.IgnoreAnyFunction("github.com/DeRuina/timberjack.(*Logger).millRun"),
		// The test's own sandbox.
		goleak.IgnoreAnyFunction("net/http/httptest.(*Server).goServe.func1"),
	)
}

// Stopped while Intilery fails, started again: what was captured is sent.
func TestRestartSendsWhatWasHeld(t *testing.T) {
	r := newRig(t)
	r.sandbox.SetFault(sandbox.Fault503)
	r.serve(trackingSite)
	for i := range 5 {
		r.get(fmt.Sprintf("/%d", i))
	}
	r.stop()
	r.sandbox.SetFault(sandbox.FaultNone)
	r.serve(trackingSite)
	if got := summary(r.calls(5)); got != "track:/0 track:/1 track:/2 track:/3 track:/4" {
		t.Errorf("events %s", got)
	}
}

// Faults at start: the site serves, the log says once what to fix, and what
// was captured meanwhile arrives once it is fixed.
func TestFaultsAtStart(t *testing.T) {
	t.Run("Intilery is down", func(t *testing.T) {
		r := newRig(t)
		r.sandbox.SetFault(sandbox.FaultDrop)
		r.serve(trackingSite)
		if text := bodyText(t, r.get("/down")); text != "served" {
			t.Errorf("answered %q", text)
		}
		eventually(t, func() bool {
			return strings.Contains(r.log(), "cannot be reached") || strings.Contains(r.log(), "unavailable")
		},
			func() string { return r.log() })
		r.sandbox.SetFault(sandbox.FaultNone)
		r.calls(1)
	})
	t.Run("the token is wrong, and its file is corrected", func(t *testing.T) {
		r := newRig(t)
		file := filepath.Join(r.dir, "token")
		if err := os.WriteFile(file, []byte("wrong\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		global := r.global(fmt.Sprintf("auth_token {file.%s}", file))
		r.load(global, trackingSite)
		if text := bodyText(t, r.get("/refused")); text != "served" {
			t.Errorf("answered %q", text)
		}
		eventually(t, func() bool { return strings.Contains(r.log(), "auth_token") }, func() string { return r.log() })
		if err := os.WriteFile(file, []byte(testToken+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		r.calls(1)
		if log := r.log(); strings.Contains(log, testToken) {
			t.Error("the log holds the token")
		}
	})
	t.Run("data_dir is a file, then a directory", func(t *testing.T) {
		r := newRig(t)
		dir := filepath.Join(r.dir, "data")
		if err := os.WriteFile(dir, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		r.serve(trackingSite)
		if text := bodyText(t, r.get("/held")); text != "served" {
			t.Errorf("answered %q", text)
		}
		eventually(t, func() bool { return strings.Contains(r.log(), dir) }, func() string { return r.log() })
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		r.calls(1)
	})
}
