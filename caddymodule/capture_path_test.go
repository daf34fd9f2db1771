package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// The events of requests that load no document are about the page that the
// visitor is on, and URLs are as a browser shows them.
func TestContextOfFetches(t *testing.T) {
	r := newRig(t)
	r.serve("intilery {\nredact_path ^/reset/([^/]+)\n}\nreverse_proxy " + newServer(t, http.HandlerFunc(echoing)))
	r.get("/product?size=2")
	fetch := headers("Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "cors", "Referer", r.url+"/product?size=2&email=a@b.example")
	r.do(http.MethodPost, "/order?Intilery-Track=Ordered", nil, fetch)
	r.get("/other?Intilery-Track=Elsewhere", headers("Sec-Fetch-Dest", "empty", "Referer", "https://other.example/x"))
	r.get("/reset/3f9a?oobCode=s3cret&_wpnonce=1&utm_source=mail&a=1?token=5", func(q *http.Request) { q.Host = strings.ToUpper(q.Host) })
	calls := r.calls(4)
	host := strings.TrimPrefix(r.url, "http://")
	for i, want := range []string{
		"http://" + host + "/product?size=2",
		"http://" + host + "/product?size=2",
		"http://" + host + "/other?Intilery-Track=Elsewhere",
		"http://" + host + "/reset/redacted?utm_source=mail&a=1",
	} {
		if got := calls[i].Context["page"].(map[string]any)["url"]; got != want {
			t.Errorf("%s: url %v, want %s", calls[i].Type, got, want)
		}
	}
	if referrer, ok := calls[1].Context["page"].(map[string]any)["referrer"]; ok && referrer != "" {
		t.Errorf("the order's page has the referrer %v", referrer)
	}
}

// What runtimes make of repeated headers.
func TestJoinedHeaders(t *testing.T) {
	r := newRig(t)
	r.serve("intilery\nreverse_proxy " + newServer(t, http.HandlerFunc(echoing)))
	r.get(query("/", "Intilery-Track", `{"event":"A"}, {"event":"B","properties":{"x":[1,2]}}`, "Intilery-Track", `[{"event":"C"},{"event":"D"}]`,
		"Intilery-User-Id", "42, 42"))
	id := r.id()
	r.get(query("/logout", "Intilery-Reset", "true, true"))
	if r.id() == id {
		t.Error("a joined logout did not count")
	}
	r.get(query("/bad", "Intilery-Track", `[{"event":"E"}`))
	calls := r.calls(7)
	names := strings.Fields(paths(calls)) // in order for each visitor
	slices.Sort(names)
	if got := strings.Join(names, " "); got != "/ /bad /logout A B C D" {
		t.Errorf("events %s", got)
	}
	for _, c := range calls {
		if c.UserID != "" {
			t.Errorf("%s has the user %q", c.Event, c.UserID)
		}
	}
}

// A twin on another path cannot be expired, and is no reason to set cookies on
// every page.
func TestTwinOnAnotherPath(t *testing.T) {
	h := newBenchHandler(t)
	serve := func(cookies []string) *http.Response {
		w := httptest.NewRecorder()
		r := request(t, "document", cookies)
		r.Header.Add("Cookie", "ajs_anonymous_id=%22b7e0d2c4-8f16-4c39-8d02-5a9c7e6f1b20%22")
		if err := h.ServeHTTP(w, r, answer(document)); err != nil {
			t.Fatal(err)
		}
		return w.Result()
	}
	first := httptest.NewRecorder()
	if err := h.ServeHTTP(first, request(t, "document", nil), answer(document)); err != nil {
		t.Fatal(err)
	}
	with := serve(first.Result().Header["Set-Cookie"]).Header["Set-Cookie"]
	var set []string
	for _, line := range with {
		if !strings.Contains(line, "Max-Age=0") {
			set = append(set, line)
		}
	}
	if len(set) != 2 || len(set) == len(with) {
		t.Fatalf("the first page with a twin set %q", with)
	}
	for i := range 3 {
		if got := serve(set).Header["Set-Cookie"]; got != nil {
			t.Errorf("view %d set %q", i, got)
		}
	}
}
