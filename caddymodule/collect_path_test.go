package caddymodule

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fetching is what a page's script adds to a request.
func fetching(r *http.Request) {
	r.Header.Set("Accept", "*/*")
	r.Header.Set("Sec-Fetch-Dest", "empty")
	r.Header.Set("Sec-Fetch-Mode", "cors")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Content-Type", "text/plain")
	r.Header.Set("Origin", "http://"+r.URL.Host)
}

// device takes away what a browser adds.
func device(r *http.Request) {
	for name := range r.Header {
		if strings.HasPrefix(name, "Sec-") || name == "Origin" || name == "Cookie" {
			r.Header.Del(name)
		}
	}
}

func basic(key string) func(*http.Request) {
	return header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(key+":")))
}

const otherID = "0b7e3f52-5a0e-4f6e-8f2f-4f2f3a1c9d10"

// collecting serves a site with the endpoint.
func collecting(t *testing.T, options string) *rig {
	t.Helper()
	r := newRig(t)
	r.serve("intilery {\ncollect /in {\nkey public\n" + options + "\n}\n}\nreverse_proxy " + newServer(t, http.HandlerFunc(echoing)))
	return r
}

func (r *rig) post(path, body string, edit ...func(*http.Request)) *http.Response {
	r.t.Helper()
	return r.do(http.MethodPost, path, strings.NewReader(body), append([]func(*http.Request){fetching}, edit...)...)
}

// wantAnswer checks status, type and JSON of an answer, and returns its text.
func wantAnswer(t *testing.T, resp *http.Response, status int, code string) string {
	t.Helper()
	text := bodyText(t, resp)
	var answer struct {
		Success        bool
		Error, Message string
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Errorf("no JSON: %v: %s", err, text)
	}
	if resp.StatusCode != status || answer.Success != (status == 200) || answer.Error != code {
		t.Errorf("status %d %s, want %d %s", resp.StatusCode, text, status, code)
	}
	if got := resp.Header.Get("Content-Type"); !strings.HasPrefix(got, "application/json") {
		t.Errorf("type %q", got)
	}
	if status != 200 && answer.Message == "" {
		t.Error("no message")
	}
	return text
}

// The tag's event joins the visitor whom the server knows, with what the server
// knows, and the answer makes the cookies last.
func TestCollect(t *testing.T) {
	r := collecting(t, "")
	r.get("/?Intilery-User-Id=7")
	id := r.id()
	before := r.cookies()["intilery_keeper"]
	resp := r.post("/in/t", `{"type":"track","event":"Clicked","messageId":"m1","properties":{"a":1},"context":{"ip":"8.8.8.8"},"writeKey":"public"}`)
	wantAnswer(t, resp, 200, "")
	if len(resp.Cookies()) != 2 || r.id() != id || r.cookies()["intilery_keeper"] == before {
		t.Errorf("cookies %v", resp.Header["Set-Cookie"])
	}
	if got := resp.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q", got)
	}
	c := r.calls(3)[2]
	if c.Event != "Clicked" || c.AnonymousID != id || c.UserID != "7" || c.MessageID != "m1" || c.Properties["a"] != 1.0 {
		t.Errorf("%+v", c)
	}
	if ip, agent, locale := c.Context["ip"], c.Context["userAgent"], c.Context["locale"]; ip != "127.0.0.1" || agent != chrome || locale != "en-GB" {
		t.Errorf("context %v", c.Context)
	}
}

// Where an event brings an ID of its own it keeps that, and only the browser's own
// ID goes into cookies.
func TestCollectIDs(t *testing.T) {
	r := collecting(t, "")
	r.get("/")
	id := r.id()
	r.post("/in/t", `{"type":"track","event":"Late","anonymousId":"`+otherID+`","writeKey":"public"}`)
	if r.id() != id {
		t.Errorf("an old event changed the ID to %s", r.id())
	}
	for _, c := range r.calls(2) { // of two visitors, in any order
		if (c.AnonymousID == otherID) != (c.Event == "Late") {
			t.Errorf("%+v", c)
		}
	}

	s := r.stranger()
	wantAnswer(t, s.post("/in/t", `{"type":"track","event":"Nobody","writeKey":"public"}`), 400, "no_identity")
	if len(s.cookies()) != 0 {
		t.Errorf("cookies %v", s.cookies())
	}
	wantAnswer(t, s.post("/in/t", `{"type":"track","event":"Mine","anonymousId":"`+otherID+`","writeKey":"public"}`), 200, "")
	if s.id() != otherID {
		t.Errorf("the tag's ID was not kept: %v", s.cookies())
	}
	app := r.stranger()
	resp := app.post("/in/b", `{"writeKey":"public","batch":[{"type":"screen","name":"Cart","userId":"u"}]}`, device)
	wantAnswer(t, resp, 200, "")
	if resp.Header["Set-Cookie"] != nil {
		t.Errorf("an app on a device got cookies: %v", resp.Header["Set-Cookie"])
	}
	for _, c := range r.calls(4) {
		if c.UserID == "u" && (c.Type != "screen" || c.Context["userAgent"] != nil) {
			t.Errorf("%+v", c)
		}
	}
}

// One bad event is named, and loses no other.
func TestCollectBatch(t *testing.T) {
	r := collecting(t, "")
	r.get("/")
	text := wantAnswer(t, r.post("/in/v1/batch", `{"writeKey":"public","batch":[
		{"type":"track","event":"A"},{"type":"track"},{"type":"group","groupId":"g"},{"type":"track","event":"C"}]}`), 200, "")
	if !strings.Contains(text, `"index":1`) {
		t.Errorf("the bad event is not named: %s", text)
	}
	if got := summary(r.calls(3)[1:]); got != "track:A track:C" {
		t.Errorf("arrived %s", got)
	}
}

// Keys: the destination's own, the site's, in each place; and none else.
func TestCollectKeys(t *testing.T) {
	r := collecting(t, "server_key secret")
	own := base64.StdEncoding.EncodeToString([]byte("acme:acme:ACME"))
	event := func(key string) string {
		return fmt.Sprintf(`{"type":"track","event":"E","userId":"u","writeKey":%q}`, key)
	}
	wantAnswer(t, r.post("/in/t", event(own)), 200, "")
	wantAnswer(t, r.post("/in/t", event("public"), basic("the site's own password")), 200, "")
	wantAnswer(t, r.post("/in/t", event("wrong"), basic("public")), 200, "")
	wantAnswer(t, r.post("/in/t", event("wrong")), 401, "unknown_key")
	wantAnswer(t, r.post("/in/t", event("wrong"), header("Authorization", "Bearer wrong")), 401, "unknown_key")
	wantAnswer(t, r.post("/in/t", event("")), 401, "missing_key")
	for i, edit := range []func(*http.Request){basic("secret"), header("Authorization", "Bearer secret"), nil} {
		body := fmt.Sprintf(`{"writeKey":"secret","batch":[{"type":"track","event":"S","messageId":"s%d","anonymousId":"not a uuid","timestamp":"2020-01-02T03:04:05Z","sentAt":"2020-01-02T03:04:06Z","context":{"ip":"192.0.2.7"}}]}`, i)
		edits := []func(*http.Request){device, header("Origin", "https://elsewhere.example")}
		if edit != nil {
			edits = append(edits, edit)
			body = strings.Replace(body, `"writeKey":"secret",`, "", 1)
		}
		wantAnswer(t, r.post("/in/v1/batch", body, edits...), 200, "")
	}
	for _, c := range r.calls(6) {
		if c.Event == "S" && (c.AnonymousID != "not a uuid" || c.Context["ip"] != "192.0.2.7" || c.Timestamp.Year() != 2020) {
			t.Errorf("a server's event: %+v", c)
		}
	}
	if log := r.log(); strings.Contains(log, "secret") || strings.Contains(log, "wrong") {
		t.Errorf("a key is in the log: %s", log)
	}
}

// Pages of other origins are refused unless they are listed, and can read every
// answer if they are.
func TestCollectOrigins(t *testing.T) {
	r := collecting(t, "origins https://www.example.com")
	event := `{"type":"track","event":"E","userId":"u","writeKey":"public"}`
	from := func(origin, site string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Origin", origin)
			r.Header.Set("Sec-Fetch-Site", site)
		}
	}
	listed := from("https://www.example.com", "cross-site")
	for _, resp := range []*http.Response{
		r.post("/in/t", event, listed), r.post("/in/t", "{", listed), r.post("/in/nowhere", event, listed),
		r.do(http.MethodOptions, "/in/t", nil, fetching, listed),
	} {
		if h := resp.Header; h.Get("Access-Control-Allow-Origin") != "https://www.example.com" ||
			h.Get("Access-Control-Allow-Credentials") != "true" || !strings.Contains(strings.Join(h["Vary"], ","), "Origin") {
			t.Errorf("%d: %v", resp.StatusCode, h)
		}
	}
	preflight := r.do(http.MethodOptions, "/in/t", nil, fetching, listed, header("Access-Control-Request-Method", "POST"))
	if allowed := preflight.Header.Get("Access-Control-Allow-Headers"); preflight.StatusCode/100 != 2 ||
		!strings.Contains(allowed, "authorization") || !strings.Contains(allowed, "x-retry-count") || preflight.Header.Get("Access-Control-Max-Age") == "" {
		t.Errorf("preflight: %d %v", preflight.StatusCode, preflight.Header)
	}
	for _, origin := range []string{"https://evil.example", "null", "https://www.example.com.evil.example", "http://www.example.com", "https://localhost.evil.example"} {
		resp := r.post("/in/t", event, from(origin, "cross-site"))
		wantAnswer(t, resp, 403, "origin_not_allowed")
		if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("%s may read the answer", got)
		}
	}
	r.calls(1)
	if !strings.Contains(r.log(), "list it in origins") {
		t.Errorf("the log does not say what to do: %s", r.log())
	}
}

// Who refuses, or is a bot, is answered and counted, and nothing of them is taken.
func TestCollectGates(t *testing.T) {
	r := newRig(t)
	r.serve("intilery {\ncollect /in {\nkey public\n}\nconsent {\ncookie agreed ^yes$\n}\n}\nreverse_proxy " + newServer(t, http.HandlerFunc(echoing)))
	event := `{"type":"track","event":"E","anonymousId":"` + otherID + `","writeKey":"public"}`
	before := counter(t, siteMetrics.collected.WithLabelValues("srv0", "no_consent"))
	resp := r.post("/in/t", event)
	wantAnswer(t, resp, 200, "")
	wantAnswer(t, r.post("/in/t", event, header("Cookie", "agreed=yes"), header("Sec-Gpc", "1")), 200, "")
	wantAnswer(t, r.post("/in/t", event, header("Cookie", "agreed=no")), 200, "")
	if resp.Header["Set-Cookie"] != nil || len(r.cookies()) != 0 {
		t.Errorf("cookies without consent: %v", resp.Header["Set-Cookie"])
	}
	if got := counter(t, siteMetrics.collected.WithLabelValues("srv0", "no_consent")) - before; got != 3 {
		t.Errorf("%v counted, want 3", got)
	}
	before = counter(t, siteMetrics.collected.WithLabelValues("srv0", "bot"))
	wantAnswer(t, r.post("/in/t", event, header("Cookie", "agreed=yes"), header("User-Agent", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)")), 200, "")
	if got := counter(t, siteMetrics.collected.WithLabelValues("srv0", "bot")) - before; got != 1 {
		t.Errorf("%v bots counted, want 1", got)
	}
	wantAnswer(t, r.post("/in/t", event, header("Cookie", "agreed=yes")), 200, "")
	r.calls(1)
}

// A sender over the rate is told when to come again, and loses nothing by it.
func TestCollectRate(t *testing.T) {
	r := collecting(t, "rate 0.01 3\nserver_key secret")
	event := `{"type":"track","event":"E","userId":"u","writeKey":"public"}`
	for range 3 {
		wantAnswer(t, r.post("/in/t", event), 200, "")
	}
	resp := r.post("/in/t", event)
	wantAnswer(t, resp, 429, "rate_limited")
	if got := resp.Header.Get("Retry-After"); got != "100" {
		t.Errorf("Retry-After %q", got)
	}
	wantAnswer(t, r.post("/in/t", strings.Replace(event, "public", "secret", 1), basic("secret")), 200, "")
	r.calls(4)
}

// A repeat is acknowledged and counted once.
func TestCollectRepeats(t *testing.T) {
	r := collecting(t, "")
	event := `{"type":"track","event":"E","userId":"u","messageId":"m","writeKey":"public"}`
	for range 3 {
		wantAnswer(t, r.post("/in/t", event, header("X-Retry-Count", "1")), 200, "")
	}
	wantAnswer(t, r.post("/in/t", strings.Replace(event, `"m"`, `"n"`, 1)), 200, "")
	r.calls(2)
}

// A wrong clock is corrected, and what the client said is kept.
func TestCollectClock(t *testing.T) {
	r := collecting(t, "")
	wantAnswer(t, r.post("/in/t", `{"type":"track","event":"E","userId":"u","timestamp":"2001-01-01T00:00:00.000Z","sentAt":"2001-01-01T00:00:10.000Z","writeKey":"public"}`), 200, "")
	c := r.calls(1)[0]
	if ago := time.Since(c.Timestamp); ago < 10*time.Second || ago > time.Minute {
		t.Errorf("timestamp %v", c.Timestamp)
	}
	if raw := string(r.sandbox.Events()[0].Raw); !strings.Contains(raw, `"originalTimestamp":"2001-01-01T00:00:00.000Z"`) {
		t.Errorf("%s", raw)
	}
}

// The queue's directory is broken: nothing is acknowledged, and the site serves.
func TestCollectWithoutQueue(t *testing.T) {
	r := newRig(t)
	file := filepath.Join(r.dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.load(r.global(fmt.Sprintf("data_dir %q", file)), "intilery {\ncollect /in {\nkey public\n}\n}\nreverse_proxy "+newServer(t, http.HandlerFunc(echoing)))
	resp := r.post("/in/t", `{"type":"track","event":"E","userId":"u","messageId":"m","writeKey":"public"}`)
	wantAnswer(t, resp, 503, "not_durable")
	if got := bodyText(t, r.get("/")); got != "page" {
		t.Errorf("the site answers %q", got)
	}
}

// Below the path everything is the endpoint's, and beside it nothing.
func TestCollectPaths(t *testing.T) {
	r := collecting(t, "")
	wantAnswer(t, r.get("/in/nowhere"), 404, "not_found")
	wantAnswer(t, r.get("/in/t"), 405, "method_not_allowed")
	wantAnswer(t, r.post("/in/m", "anything"), 200, "")
	if got := bodyText(t, r.post("/inside", "x")); got != "page" {
		t.Errorf("beside the path: %q", got)
	}
	settings := bodyText(t, r.get("/in/v1/projects/public/settings"))
	if !strings.Contains(settings, strings.TrimPrefix(r.url, "http://")+"/in") {
		t.Errorf("settings %s", settings)
	}
	wantAnswer(t, r.get("/in/v1/projects/unknown/settings"), 404, "unknown_key")
}

// The tag comes from the site itself, with what it asks for, and a page needs two
// lines for it.
func TestCollectTag(t *testing.T) {
	r := newRig(t)
	r.serve(`intilery {
		collect /in {
			tag next thing.js
		}
	}
	respond /page "{http.intilery.snippet}"`)
	snippet := bodyText(t, r.get("/page"))
	if !strings.Contains(snippet, `src="/in/thing.js"`) || strings.Count(strings.TrimSpace(snippet), "\n") != 1 {
		t.Errorf("snippet %s", snippet)
	}
	resp := r.get("/in/thing.js")
	script := bodyText(t, resp)
	if own := base64.StdEncoding.EncodeToString([]byte("acme:acme:ACME")); resp.StatusCode != 200 || !strings.Contains(script, own) {
		t.Errorf("%d, the key is not in the script", resp.StatusCode)
	}
	if h := resp.Header; h["Set-Cookie"] != nil || !strings.HasPrefix(h.Get("Content-Type"), "text/javascript") || h.Get("Etag") == "" {
		t.Errorf("%v", h)
	}
	if again := r.get("/in/thing.js", header("If-None-Match", resp.Header.Get("Etag"))); again.StatusCode != http.StatusNotModified {
		t.Errorf("again: %d", again.StatusCode)
	}
	wantAnswer(t, r.post("/in/thing.js", "{}"), 404, "not_found")
}

// With page auto each view counts once: the tag's event where it comes, the
// server's where the tag is blocked, also at a stop.
func TestPageAuto(t *testing.T) {
	r := newRig(t)
	r.serve("intilery {\npage auto\ncollect /in {\nkey public\n}\n}\nreverse_proxy " + newServer(t, http.HandlerFunc(echoing)))
	r.get("/seen")
	body := `{"type":"page","name":"Seen","messageId":"m","context":{"page":{"path":"/seen"}},"properties":{"path":"/seen"},"writeKey":"public"}`
	wantAnswer(t, r.post("/in/p", body), 200, "")
	wantAnswer(t, r.post("/in/p", body), 200, "")
	r.get("/blocked")
	r.load("{\n\tadmin off\n\tpersist_config off\n\tgrace_period 1s\n}\n", "respond ok") // nobody uses the queue any more, and it closes
	r.load(r.global(""), "intilery\nrespond ok")
	calls := r.calls(2)
	if got := paths(calls); got != "/seen /blocked" || calls[0].Name != "Seen" {
		t.Errorf("arrived %s: %+v", got, calls)
	}
}
