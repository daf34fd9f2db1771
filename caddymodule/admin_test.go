package caddymodule

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/intilery/caddy-intilery/sandbox"
)

// adminRig is a rig with Caddy's admin endpoint on. Its Intilery refuses all
// events while bad is set.
type adminRig struct {
	*rig
	addr  string
	lines string
	bad   atomic.Bool
}

func newAdminRig(t *testing.T, lines string) *adminRig {
	r := &adminRig{rig: newRig(t), addr: "localhost:" + freePort(t)}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if r.bad.Load() {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"success":false,"message":"userId must not be empty"}`)
			return
		}
		r.sandbox.ServeHTTP(w, req)
	}))
	t.Cleanup(api.Close)
	r.lines = fmt.Sprintf("endpoint %s\n%s", api.URL, lines)
	r.reload(r.lines)
	// Only a configuration that says so ends the admin endpoint.
	t.Cleanup(func() { r.load(r.global(r.lines), trackingSite) })
	return r
}

// reload serves with other lines in the intilery block.
func (r *adminRig) reload(lines string) {
	r.t.Helper()
	r.load(strings.Replace(r.global(lines), "admin off", "admin "+r.addr, 1), trackingSite)
}

// ask calls the admin endpoint.
func (r *adminRig) ask(method, path, body string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequest(method, "http://"+r.addr+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// status returns the status of the one queue.
func (r *adminRig) status() queueStatus {
	r.t.Helper()
	code, text := r.ask("GET", "/intilery/status", "")
	var answer struct{ Queues []queueStatus }
	if err := json.Unmarshal([]byte(text), &answer); err != nil || code != 200 || len(answer.Queues) != 1 {
		r.t.Fatalf("%d %s, %v", code, text, err)
	}
	return answer.Queues[0]
}

func (r *adminRig) anonymousID() string {
	r.t.Helper()
	id := strings.TrimSuffix(strings.TrimPrefix(r.cookies()["ajs_anonymous_id"], "%22"), "%22")
	if len(id) != 36 {
		r.t.Fatalf("anonymousId %q", id)
	}
	return id
}

// deadLetters makes n dead letters, /bad0 to /bad<n-1>.
func (r *adminRig) deadLetters(n int) {
	r.t.Helper()
	r.bad.Store(true)
	for i := range n {
		r.get(fmt.Sprint("/bad", i))
	}
	eventually(r.t, func() bool { return r.status().DeadLetters.Kept == uint64(n) }, func() string { return r.log() })
	r.bad.Store(false)
}

func TestAdminStatus(t *testing.T) {
	r := newAdminRig(t, "")
	r.get("/one")
	r.calls(1)
	eventually(t, func() bool { return r.status().Destinations["default"].Acknowledged.Track == 1 }, func() string { return r.log() })
	s := r.status()
	d := s.Destinations["default"]
	if s.Log.Condition != "ok" || s.Log.Committed != 1 || s.Log.FreeBytes == 0 || s.DataDir != filepath.Join(r.dir, "data") ||
		!d.Sending || d.Requests[200] != 1 || d.DrainSeconds == nil || *d.DrainSeconds != 0 || len(d.Lanes) != 8 || d.Rate != 80 {
		t.Errorf("status %+v", s)
	}
	r.sandbox.SetFault(sandbox.Fault403)
	r.get("/secret-path")
	eventually(t, func() bool { return r.status().Destinations["default"].Paused != "" }, func() string { return r.log() })
	d = r.status().Destinations["default"]
	if d.Paused != "misconfigured" || d.PausedSince == nil || d.NextTry == nil || d.Pending != 1 || d.OldestPending == nil || d.DrainSeconds == nil {
		t.Errorf("status %+v", d)
	}
	_, text := r.ask("GET", "/intilery/status", "")
	for _, secret := range []string{testToken, "secret-path", "anonymousId", r.anonymousID()} {
		if strings.Contains(text, secret) {
			t.Errorf("the status holds %q: %s", secret, text)
		}
	}
}

func TestAdminDeadLetters(t *testing.T) {
	r := newAdminRig(t, "")
	r.deadLetters(3)
	code, text := r.ask("GET", "/intilery/dead-letters?limit=2&destination=default", "")
	var list deadLetterList
	if err := json.Unmarshal([]byte(text), &list); err != nil || code != 200 || list.Matched != 3 || len(list.Letters) != 2 {
		t.Fatalf("%d %s, %v", code, text, err)
	}
	l := list.Letters[1]
	if l.Type != "track" || l.Name != "/bad2" || l.Destination != "default" || l.Status != 400 || len(l.MessageID) != 36 || l.Event != nil {
		t.Errorf("%+v", l)
	}
	if _, text := r.ask("GET", "/intilery/dead-letters?events=true&message_id="+l.MessageID, ""); !strings.Contains(text, `"event":{"timestamp"`) {
		t.Errorf("no event: %s", text)
	}
	if code, text := r.ask("DELETE", "/intilery/dead-letters?message_id="+l.MessageID, ""); code != 200 || text != "{\"purged\":1}\n" {
		t.Errorf("%d %s", code, text)
	}
	if code, text := r.ask("POST", "/intilery/dead-letters/replay", ""); code != 200 || text != "{\"replayed\":2,\"kept\":0}\n" {
		t.Errorf("%d %s", code, text)
	}
	got := r.calls(2)
	if got[0].Event != "/bad0" || got[1].Event != "/bad1" {
		t.Errorf("events %s", summary(got))
	}
	if code, text := r.ask("DELETE", "/intilery/dead-letters?all=true", ""); code != 200 || text != "{\"purged\":0}\n" {
		t.Errorf("%d %s", code, text)
	}
}

func TestAdminErase(t *testing.T) {
	r := newAdminRig(t, "")
	r.deadLetters(2)
	id := r.anonymousID()
	code, text := r.ask("POST", "/intilery/erase", fmt.Sprintf(`{"anonymous_id": %q}`, id))
	if code != 200 || text != "{\"memory\":0,\"log\":0,\"dead_letters\":2,\"quarantined\":0}\n" {
		t.Errorf("%d %s", code, text)
	}
	audit, err := os.ReadFile(filepath.Join(r.dir, "data", "audit.jsonl"))
	if err != nil || !strings.Contains(string(audit), `"kind":"anonymousId"`) || strings.Contains(string(audit)+r.log(), id) {
		t.Errorf("audit %s, %v", audit, err)
	}
}

// Every wrong request is refused with a status of 4xx and a message in JSON
// that says what is accepted, and never with the ID that it held.
func TestAdminRefuses(t *testing.T) {
	r := newAdminRig(t, "")
	long := strings.Repeat("x", maxID+1)
	for _, c := range []struct {
		method, path, body string
		code               int
		want               string
	}{
		{"POST", "/intilery/", "", 404, "use /intilery/status"},
		{"GET", "/intilery/static/", "", 404, "use /intilery/status"},
		{"GET", "/intilery/static/index.html", "", 404, "use /intilery/status"},
		{"GET", "/intilery/live?since=x", "", 400, "use the time of a sample"},
		{"GET", "/intilery/captures?id=-1", "", 400, "use the id of a capture"},
		{"GET", "/intilery/captures?events=yes", "", 400, "use true or false"},
		{"GET", "/intilery/stats", "", 404, "use /intilery/status"},
		{"POST", "/intilery/status", "", 405, "use GET"},
		{"GET", "/intilery/erase", "", 405, "use POST"},
		{"PUT", "/intilery/dead-letters", "", 405, "use DELETE or GET"},
		{"GET", "/intilery/status?x=1", "", 400, `parameter \"x\" is not accepted; use none`},
		{"GET", "/intilery/dead-letters?limit=0", "", 400, "use 1 to 10000"},
		{"GET", "/intilery/dead-letters?limit=1&limit=2", "", 400, "limit is given twice"},
		{"GET", "/intilery/dead-letters?limit=", "", 400, "limit: "},
		{"GET", "/intilery/dead-letters?events=yes", "", 400, "use true or false"},
		{"GET", "/intilery/dead-letters?destination=UK", "", 400, "use the name of a destination"},
		{"GET", "/intilery/dead-letters?message_id=", "", 400, "use 1 to 1024 bytes"},
		{"GET", "/intilery/dead-letters?message_id=" + long, "", 400, "use 1 to 1024 bytes"},
		{"GET", "/intilery/dead-letters?%zz", "", 400, "malformed"},
		{"POST", "/intilery/dead-letters/replay?all=true", "", 400, `parameter \"all\" is not accepted`},
		{"DELETE", "/intilery/dead-letters", "", 400, "or all=true"},
		{"DELETE", "/intilery/dead-letters?all=true&destination=default", "", 400, "or all=true"},
		{"POST", "/intilery/erase", "", 400, "the body is not accepted"},
		{"POST", "/intilery/erase", `{"user_id": "private-id", "x": 1}`, 400, "the body is not accepted"},
		{"POST", "/intilery/erase", `{"user_id": "private-id"} {}`, 400, "the body is not accepted"},
		{"POST", "/intilery/erase", `{"user_id": 5}`, 400, "the body is not accepted"},
		{"POST", "/intilery/erase", `{"user_id": "private-id", "anonymous_id": "b"}`, 400, "use one of"},
		{"POST", "/intilery/erase", `{}`, 400, "use one of"},
		{"POST", "/intilery/erase", `{"user_id": "` + long + `"}`, 400, "up to 1024 bytes"},
	} {
		code, text := r.ask(c.method, c.path, c.body)
		var answer struct{ Error string }
		if err := json.Unmarshal([]byte(text), &answer); err != nil || answer.Error == "" {
			t.Errorf("%s %s: %s", c.method, c.path, text)
		}
		if code != c.code || !strings.Contains(text, c.want) || strings.Contains(text, "private-id") {
			t.Errorf("%s %.60s %.60s: %d %.200s, want %d %q", c.method, c.path, c.body, code, text, c.code, c.want)
		}
	}
}

// Without the app there is nothing to tell, and nothing breaks.
func TestAdminWithoutApp(t *testing.T) {
	live := liveQueues()
	if len(live) != 0 {
		t.Fatalf("%d queues of other tests", len(live))
	}
	req, err := http.NewRequest("GET", "/intilery/status", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := status(req, live)
	text, _ := json.Marshal(answer)
	if err != nil || !strings.Contains(string(text), `"queues":[]`) {
		t.Errorf("%s, %v", text, err)
	}
}
