package caddymodule

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/intilery/caddy-intilery/caddymodule/internal/operatorpage"
	"github.com/intilery/caddy-intilery/caddymodule/internal/reserved"
	"github.com/intilery/caddy-intilery/forwarder"
	"github.com/intilery/caddy-intilery/internal/faketime"
)

// liveAnswer is what the page reads.
type liveAnswer struct {
	Queues []struct {
		queueStatus
		History  []operatorpage.Sample
		Captures []operatorpage.Capture
	}
	Sites map[string]siteStatus
}

func (r *adminRig) live(query string) (answer liveAnswer, text string) {
	r.t.Helper()
	code, text := r.ask("GET", "/intilery/live"+query, "")
	if err := json.Unmarshal([]byte(text), &answer); err != nil || code != 200 || len(answer.Queues) != 1 {
		r.t.Fatalf("%d %s, %v", code, text, err)
	}
	return answer, text
}

func TestOperatorPage(t *testing.T) {
	r := newAdminRig(t, "")
	before := siteStatuses()["srv0"]
	r.get("/first")
	r.get("/second", header("Intilery-Nothing", "x"))
	r.calls(2)
	for path, want := range map[string]string{"": "<title>Intilery queue</title>", "static/operator.js": "poll()", "static/base.css": "--accent"} {
		code, text := r.ask("GET", "/intilery/"+path, "")
		if code != 200 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %.100s", path, code, text)
		}
	}
	answer, text := r.live("")
	q := answer.Queues[0]
	if len(q.History) == 0 || len(q.Captures) != 2 || q.Captures[0].Name != "/second" || q.Destinations["default"].Captured.Track != 2 {
		t.Errorf("%+v", q)
	}
	if id := r.anonymousID(); strings.Contains(text, id) {
		t.Errorf("the page is told of the visitor unasked: %s", text)
	}
	site := answer.Sites["srv0"]
	if site.Identities["minted"]-before.Identities["minted"] != 1 || site.Identities["kept"]-before.Identities["kept"] != 1 {
		t.Errorf("identities %v, before %v", site.Identities, before.Identities)
	}
	last := q.History[len(q.History)-1].Time
	if later, _ := r.live(fmt.Sprint("?since=", last)); len(later.Queues[0].History) > 1 {
		t.Errorf("since %d: %+v", last, later.Queues[0].History)
	}
	// They stay where they are in a reload.
	r.reload(r.lines + "\nrate 70")
	if again, _ := r.live(""); len(again.Queues[0].Captures) != 2 || again.Queues[0].History[0].Time != q.History[0].Time {
		t.Errorf("after a reload: %+v", again.Queues[0])
	}
}

func TestLiveCountsRefusedHeaders(t *testing.T) {
	r := newAdminRig(t, "")
	before := len(siteStatuses()["UNKNOWN"].HeadersRefused)
	siteMetrics.rejected.WithLabelValues("UNKNOWN", reserved.UserID, "test_reason").Add(3)
	answer, _ := r.live("")
	got := answer.Sites["UNKNOWN"].HeadersRefused
	want := refusedHeader{reserved.UserID, "test_reason", 3}
	if len(got) != before+1 || got[len(got)-1] != want {
		t.Errorf("%+v, want also %+v", got, want)
	}
	siteMetrics.rejected.DeleteLabelValues("UNKNOWN", reserved.UserID, "test_reason")
}

// Captures show what they say when asked, and are forgotten with their visitor.
func TestCapturesAndErasure(t *testing.T) {
	r := newAdminRig(t, "")
	r.get("/mine")
	id := r.anonymousID()
	r.stranger().get("/strangers")
	r.calls(2)
	captured := func() string {
		code, text := r.ask("GET", "/intilery/captures?events=true", "")
		if code != 200 {
			t.Fatalf("%d %s", code, text)
		}
		return text
	}
	if text := captured(); !strings.Contains(text, id) || !strings.Contains(text, "/strangers") {
		t.Errorf("%s", text)
	}
	if _, text := r.ask("GET", "/intilery/captures", ""); strings.Contains(text, id) || !strings.Contains(text, `"type":"track"`) {
		t.Errorf("unasked: %s", text)
	}
	answer, _ := r.live("")
	if _, text := r.ask("GET", fmt.Sprintf("/intilery/captures?events=true&id=%d", answer.Queues[0].Captures[0].ID), ""); !strings.Contains(text, "/strangers") || strings.Contains(text, id) {
		t.Errorf("one of them: %s", text)
	}
	if code, text := r.ask("POST", "/intilery/erase", fmt.Sprintf(`{"anonymous_id": %q}`, id)); code != 200 {
		t.Fatalf("%d %s", code, text)
	}
	if text := captured(); strings.Contains(text, id) || !strings.Contains(text, "/strangers") {
		t.Errorf("after the erasure: %s", text)
	}
}

// A withdrawal is obeyed at once, even where the queue cannot be written to.
func TestCapturesAndWithdrawal(t *testing.T) {
	h := newBenchHandler(t)
	h.Consent = &Consent{Header: true, GPC: signalHonour}
	first := httptest.NewRecorder()
	grant := answer(func(h http.Header) { document(h); h[reserved.Consent] = []string{"granted"} })
	if err := h.ServeHTTP(first, request(t, "document", nil), grant); err != nil {
		t.Fatal(err)
	}
	kept := func() int { return len(h.app.queue.captures.List(func(uint64) bool { return false })) }
	if kept() != 1 {
		t.Fatalf("%d captures", kept())
	}
	r := request(t, "document", first.Result().Header["Set-Cookie"])
	r.Header.Set("Sec-Gpc", "1")
	if err := h.ServeHTTP(httptest.NewRecorder(), r, answer(document)); err != nil {
		t.Fatal(err)
	}
	if kept() != 0 {
		t.Errorf("%d captures are left", kept())
	}
}

// What Caddy and the module refuse of browsers, on a listener of this machine alone.
func TestAdminAndBrowsers(t *testing.T) {
	r := newAdminRig(t, "")
	r.deadLetters(1)
	ask := func(method, path string, headers ...string) int {
		req, err := http.NewRequest(method, "http://"+r.addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
			if headers[i] == "Host" {
				req.Host = headers[i+1]
			}
		}
		resp, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	own := "http://" + r.addr
	for _, c := range []struct {
		name, method, path string
		headers            []string
		want               int
	}{
		{"a foreign name of this machine", "GET", "", []string{"Host", "evil.example"}, 403},
		{"an address that is typed", "GET", "", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "none"}, 403},
		{"another origin's GET", "GET", "dead-letters?events=true", []string{"Origin", "https://evil.example"}, 403},
		{"another site's GET without a mode", "GET", "dead-letters?events=true", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"another site's GET of captures", "GET", "captures?events=true", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"another port's POST", "POST", "dead-letters/replay", []string{"Origin", "http://localhost:1"}, 403},
		{"another site's DELETE", "DELETE", "dead-letters?all=true", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"a form's POST", "POST", "dead-letters/replay", []string{"Origin", "null"}, 400},
		{"its own GET", "GET", "dead-letters?events=true", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors", "Referer", own + "/intilery/"}, 200},
		{"its own POST", "POST", "dead-letters/replay", []string{"Sec-Fetch-Site", "same-origin", "Origin", own}, 200},
		{"a command", "GET", "status", nil, 200},
	} {
		if got := ask(c.method, "/intilery/"+c.path, c.headers...); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// On a listener of all addresses Caddy checks no Host: see docs/operations.md.
func TestAdminOnAllAddresses(t *testing.T) {
	r := newAdminRig(t, "")
	_, port, err := net.SplitHostPort(r.addr)
	if err != nil {
		t.Fatal(err)
	}
	r.addr = "0.0.0.0:" + freePort(t)
	r.reload(r.lines)
	req, err := http.NewRequest("GET", "http://"+strings.Replace(r.addr, "0.0.0.0", "127.0.0.1", 1)+"/intilery/status", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example:" + port
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("status %d: Caddy has begun to check, so say so in the docs", resp.StatusCode)
	}
}

// The command's proxy passes on what a browser on this machine asks for the page, and
// nothing else; it reaches a socket too, and enforce_origin does not stop it.
func TestPageProxy(t *testing.T) {
	r := newAdminRig(t, "")
	socket := "unix/" + filepath.Join(r.dir, "admin.sock") + "|0200"
	for _, admin := range []string{r.addr, r.addr + " {\nenforce_origin\n}", socket} {
		address, _, _ := strings.Cut(admin, " ")
		r.load(strings.Replace(r.global(r.lines), "admin off", "admin "+admin, 1), trackingSite)
		proxy, err := newPageProxy(address)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(proxy)
		defer server.Close()
		local := strings.TrimPrefix(server.URL, "http://")
		for _, c := range []struct {
			name, method, path, host string
			headers                  []string
			want                     int
		}{
			{"the page, typed", "GET", "/intilery/", local, []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "none"}, 200},
			{"the page, from a link", "GET", "/intilery/", local, []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "cross-site"}, 200},
			{"its style", "GET", "/intilery/static/base.css", local, []string{"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Site", "same-origin"}, 200},
			{"its data", "GET", "/intilery/live", local, []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Site", "same-origin"}, 200},
			{"its action", "POST", "/intilery/dead-letters/replay", local, []string{"Sec-Fetch-Site", "same-origin", "Origin", server.URL}, 200},
			{"by a forwarded port", "GET", "/intilery/live", "localhost:9", nil, 200},
			{"a foreign name", "GET", "/intilery/live", "evil.example", nil, 403},
			{"another site's data", "GET", "/intilery/live", local, []string{"Sec-Fetch-Site", "cross-site"}, 403},
			{"another origin's action", "POST", "/intilery/dead-letters/replay", local, []string{"Origin", "http://localhost:1"}, 403},
			{"the rest of the admin endpoint", "GET", "/config/", local, nil, 404},
			{"the rest, by a detour", "GET", "/intilery/../config/", local, nil, 404},
			{"the start", "GET", "/", local, nil, 302},
		} {
			req, err := http.NewRequest(c.method, server.URL+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = c.host
			for i := 0; i < len(c.headers); i += 2 {
				req.Header.Set(c.headers[i], c.headers[i+1])
			}
			resp, err := r.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != c.want {
				t.Errorf("%s at %s: %d %.200s, want %d", c.name, admin, resp.StatusCode, text, c.want)
			}
			if resp.Header.Get("Access-Control-Allow-Origin") != "" || !strings.Contains(resp.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
				t.Errorf("%s at %s: %v", c.name, admin, resp.Header)
			}
		}
	}
	gone, err := newPageProxy("localhost:" + freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	gone.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost/intilery/live", nil))
	if w.Code != 502 || !strings.Contains(w.Body.String(), "no Caddy answers") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Samples are taken until the last configuration gives the queue back.
func TestHistoryEndsWithTheQueue(t *testing.T) {
	faketime.Test(t, func(t *testing.T) {
		q := newPooled(forwarder.New(t.TempDir()))
		n := 0
		q.history.Start(func(time.Time) operatorpage.Sample { n++; return operatorpage.Sample{} })
		synctest.Wait()
		if err := q.Destruct(); err != nil || n == 0 {
			t.Fatalf("%d samples, %v", n, err)
		}
		before := n
		time.Sleep(time.Minute)
		synctest.Wait()
		if n != before {
			t.Errorf("%d samples after the end", n-before)
		}
	})
}

func TestLoopbackHosts(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost:2018": true, "LOCALHOST": true, "127.0.0.1:1": true, "127.0.0.2": true, "[::1]:2018": true, "[::1]": true,
		"evil.example:2018": false, "localhost.evil.example": false, "0.0.0.0:2018": false, ":2018": false, "": false, "192.168.1.1:2018": false,
	} {
		if isLoopback(host) != want {
			t.Errorf("%q: want %v", host, want)
		}
	}
}
