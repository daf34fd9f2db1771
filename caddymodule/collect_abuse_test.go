package caddymodule

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What a public key does not open: commands to Intilery.
func TestCollectCommands(t *testing.T) {
	r := collecting(t, "server_key secret")
	command := `{"event":"send_email","userId":"victim@example.com","assetId":7}`
	wantAnswer(t, r.post("/in/t", command, basic("public")), 400, "command")
	wantAnswer(t, r.post("/in/t", command, basic("secret"), device), 200, "")
	if got := summary(r.calls(1)); got != "track:send_email" {
		t.Errorf("arrived %s", got)
	}
}

// Limits are of events, whatever body they come in: a batch over the burst is paid
// for afterwards, each anonymousId has its own, a request that is refused takes
// nothing but one event of its network's, and time does not run backwards.
func TestSenderLimits(t *testing.T) {
	start := time.Now()
	at := func(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }
	network, id, other := senderAt("192.0.2.1"), sender{anonymousID: "a"}, sender{anonymousID: "b"}

	l := newSenderLimits(10, 50)
	for i, step := range []struct {
		at      float64
		charges []charge
		wait    int
	}{
		{0, []charge{{network, 200}}, 0},  // 150 of them are debts
		{1, []charge{{network, 1}}, 0},    // and pass has paid for this one
		{1, []charge{{network, 2}}, 14},   // 140 are left
		{14.9, []charge{{network, 2}}, 1}, // likewise
		{15.2, []charge{{network, 2}}, 0}, // paid
		{100, []charge{{network, 51}}, 0}, // full again
		{100, []charge{{network, 51}}, 5}, // and empty
		{200, []charge{{network, 1}, {id, 50}}, 0},
		{200, []charge{{network, 31}, {id, 1}, {other, 30}}, 1}, // refused for one of them
		{200, []charge{{network, 50}, {other, 49}}, 0},          // so that nothing was taken of the others
	} {
		if wait := l.allow(at(step.at), step.charges...); wait != step.wait {
			t.Errorf("step %d: wait %d, want %d", i, wait, step.wait)
		}
	}

	l = newSenderLimits(20, 5)
	passed := 0
	for range 100 {
		if l.pass(start, network) == 0 {
			passed++
		}
		_ = l.allow(start.Add(-time.Minute), charge{network, 1}) // of a body that took a minute
	}
	if passed != 5 {
		t.Errorf("%d requests at once, want 5", passed)
	}
	l = newSenderLimits(20, 1)
	if l.allow(start, charge{id, 1}, charge{other, 100}) != 0 || l.allow(start, charge{id, 1}, charge{other, 1}) != 5 {
		t.Error("a burst of one is no limit for batches")
	}
}

// A server whose key is in the body is not held up by others behind its address.
func TestCollectRateAndServers(t *testing.T) {
	r := collecting(t, "server_key secret\nrate 0.1 2")
	event := `{"event":"E","userId":"u","writeKey":"public"}`
	for _, want := range []int{200, 200, 429} {
		if resp := r.post("/in/t", event, device); resp.StatusCode != want {
			t.Errorf("status %d, want %d", resp.StatusCode, want)
		}
	}
	wantAnswer(t, r.post("/in/t", strings.Replace(event, "public", "secret", 1), device), 200, "")
}

// A request that is refused counts none of its events: they come again.
func TestCollectCountsOnce(t *testing.T) {
	r := collecting(t, "rate 0.1 3")
	count := func(outcome string) float64 {
		return counter(t, siteMetrics.collected.WithLabelValues("srv0", outcome))
	}
	unsupported, nameless := count("unsupported"), count("missing_name")
	body := `{"writeKey":"public","batch":[{"type":"group"},{"type":"track"},{"type":"track","event":"A","userId":"u"},{"type":"track","event":"B","userId":"u"}]}`
	wantAnswer(t, r.post("/in/b", body, device), 200, "")
	wantAnswer(t, r.post("/in/b", body, device), 429, "rate_limited")
	if n, m := count("unsupported")-unsupported, count("missing_name")-nameless; n != 1 || m != 1 {
		t.Errorf("%v unsupported, %v nameless, want 1 and 1", n, m)
	}
}

// No sender takes the memory of all.
func TestBodiesMemory(t *testing.T) {
	b := newBodies()
	one, two := b.of(senderAt("192.0.2.1")), b.of(senderAt("192.0.2.2"))
	if !one.TryAcquire(bodyShare) || one.TryAcquire(1) || !two.TryAcquire(1) {
		t.Error("a share is not what a sender may have")
	}
	all := b.all()
	if all.TryAcquire(bodyMemory-bodyShare) || !all.TryAcquire(bodyMemory-bodyShare-1) || two.TryAcquire(1) {
		t.Error("more or less than all of it")
	}
	one.Release(bodyShare)
	two.Release(1)
	all.Release(bodyMemory - bodyShare - 1)
	if b.used != 0 || len(b.by) != 0 {
		t.Errorf("left: %d bytes, %v", b.used, b.by)
	}
}

// Where the browser says whether a request is of the same origin, that counts; only
// pages of the web are the site's own.
func TestCollectOwnOrigin(t *testing.T) {
	r := collecting(t, "")
	event := `{"event":"E","userId":"u","writeKey":"public"}`
	host := strings.TrimPrefix(r.url, "http://")
	for _, tt := range []struct {
		origin, site string
		code         int
	}{
		{"http://" + host, "same-origin", 200}, {"https://" + host, "cross-site", 403}, {"http://" + host, "same-site", 403},
		{"http://" + host, "", 200}, {"chrome-extension://" + host, "", 403}, {"null", "", 403}, {"http://elsewhere.example", "same-origin", 200},
	} {
		resp := r.post("/in/t", event, header("Origin", tt.origin), func(r *http.Request) {
			if r.Header.Set("Sec-Fetch-Site", tt.site); tt.site == "" {
				r.Header.Del("Sec-Fetch-Site")
			}
		})
		if resp.StatusCode != tt.code {
			t.Errorf("%s, %s: %d, want %d", tt.origin, tt.site, resp.StatusCode, tt.code)
		}
	}
}

// The endpoint answers wherever a request reaches its directive.
func TestCollectInside(t *testing.T) {
	r := newRig(t)
	r.serve("intilery\nhandle /in/* {\nintilery {\ncollect /in {\nkey public\n}\n}\nrespond app\n}\nhandle {\nrespond page\n}")
	wantAnswer(t, r.post("/in/t", `{"event":"E","userId":"u","writeKey":"public"}`), 200, "")
	if got := summary(r.calls(1)); got != "track:E" {
		t.Errorf("arrived %s", got)
	}
}

// The view is the tag's only once its event is durable, and a repeat is one.
func TestCollectPageAuto(t *testing.T) {
	r := newRig(t)
	r.serve("intilery {\npage auto\ncollect /in {\nkey public\nmax_event 2KiB\n}\n}\nreverse_proxy " + newServer(t, http.HandlerFunc(echoing)))
	page := func(path, id, more string) string {
		return fmt.Sprintf(`{"type":"page","name":"tag","messageId":%q,"context":{"page":{"path":%q}},"properties":{"x":%q},"writeKey":"public"}`, id, path, more)
	}
	r.get("/large")
	wantAnswer(t, r.post("/in/p", page("/large", "m1", strings.Repeat("x", 3000))), 413, "too_large")
	r.get("/both")
	wantAnswer(t, r.post("/in/p", page("/both", "m2", "")), 200, "")
	r.get("/late")
	r.calls(3) // the tag's of /both at once, the server's of the others when the tag has not come
	late := page("/late", "m3", "")
	wantAnswer(t, r.post("/in/p", late), 200, "")
	wantAnswer(t, r.post("/in/p", late), 200, "") // its answer was lost
	r.post("/in/t", `{"event":"Last","userId":"u","writeKey":"public"}`)
	calls := r.calls(4)
	if got := strings.Count(summary(calls), "page:pagetag"); got != 1 || len(calls) != 4 {
		t.Errorf("arrived %s", summary(calls))
	}
}

// A visitor who refuses is not sent, also where the page's tag was waited for.
func TestCollectPageAutoWithdrawn(t *testing.T) {
	r := newRig(t)
	r.serve("intilery {\npage auto\nconsent {\ncookie agreed ^yes$\n}\ncollect /in {\nkey public\n}\n}\nreverse_proxy " + newServer(t, http.HandlerFunc(echoing)))
	r.get("/agreed", func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "agreed", Value: "yes"}) })
	r.get("/refused", func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "agreed", Value: "no"}) })
	s := r.stranger()
	s.get("/other", func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "agreed", Value: "yes"}) })
	if got := paths(r.calls(1)); got != "/other" { // whose wait ends later
		t.Errorf("arrived %s", got)
	}
}
