package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testToken = "s3cret"

var testAccount = Options{ClientID: "acme", AccountID: "shop", BrandID: "SHOP", Token: testToken}

func newTest(t testing.TB, o Options) *Sandbox {
	t.Helper()
	s := New(o)
	t.Cleanup(s.Close)
	return s
}

// request is one of a browser on this machine.
func request(method, target string, body io.Reader) *http.Request {
	r := httptest.NewRequest(method, target, body)
	r.Host = "localhost:8081"
	return r
}

func trackingRequest(action, body string) *http.Request {
	r := request(http.MethodPost, "/track/acme/shop/SHOP/v1/"+action, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Auth-Token", testToken)
	return r
}

type answer struct {
	status  int
	header  http.Header
	Success bool
	EventID string
	Message string
	body    string
}

func do(t testing.TB, h http.Handler, r *http.Request) answer {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	a := answer{status: rec.Code, header: rec.Header(), body: rec.Body.String()}
	if strings.HasPrefix(r.URL.Path, "/track/") {
		if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil {
			t.Fatalf("answer %q: %v", a.body, err)
		}
	}
	return a
}

func send(t testing.TB, s *Sandbox, action, body string) answer {
	t.Helper()
	return do(t, s, trackingRequest(action, body))
}

// accept sends calls and fails the test unless they are stored.
func accept(t testing.TB, s *Sandbox, action string, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		if a := send(t, s, action, body); a.status != http.StatusOK {
			t.Fatalf("%s %.200s: %d %s", action, body, a.status, a.body)
		}
	}
}

func getJSON(t testing.TB, s *Sandbox, path string, into any) {
	t.Helper()
	a := do(t, s, request(http.MethodGet, path, nil))
	if a.status != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, a.status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), into); err != nil {
		t.Fatalf("GET %s: %v in %s", path, err, a.body)
	}
}

func TestRoutes(t *testing.T) {
	s := newTest(t, Options{})
	for _, tc := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/", 200, ""},
		{"HEAD", "/", 200, ""},
		{"POST", "/", 405, "GET"},
		{"GET", "/static/app.js", 200, ""},
		{"PUT", "/static/app.js", 405, "GET, HEAD"},
		{"GET", "/static/", 404, ""},
		{"GET", "/static/../page.go", 404, ""},
		{"GET", "/static/nothing.js", 404, ""},
		{"GET", "/nothing", 404, ""},
		{"GET", "", 404, ""},
		{"HEAD", "/events", 200, ""},
		{"POST", "/events", 405, "GET"},
		{"DELETE", "/faults", 405, "GET, POST"},
		{"POST", "/api/events", 405, "GET, DELETE"},
		{"OPTIONS", "/api/events", 405, "GET, DELETE"},
		{"GET", "/api/profiles", 200, ""},
		{"DELETE", "/api/stats", 405, "GET"},
	} {
		r := request(tc.method, "/", nil)
		r.URL.Path = tc.path
		a := do(t, s, r)
		if a.status != tc.status || a.header.Get("Allow") != tc.allow {
			t.Errorf("%s %q: %d, Allow %q; want %d, %q", tc.method, tc.path, a.status, a.header.Get("Allow"), tc.status, tc.allow)
		}
	}
}

func TestCrossSiteRequestsChangeNothing(t *testing.T) {
	s := newTest(t, testAccount)
	accept(t, s, "track", `{"event":"A","userId":"u"}`)
	forbidden := []func(http.Header){
		func(h http.Header) { h.Set("Sec-Fetch-Site", "cross-site") },
		func(h http.Header) { h.Set("Sec-Fetch-Site", "same-site") },
		func(h http.Header) { h.Set("Origin", "https://evil.example") },
	}
	for i, mark := range forbidden {
		post := request(http.MethodPost, "/faults", strings.NewReader(`{"fault":"503"}`))
		del := request(http.MethodDelete, "/api/events", nil)
		for _, r := range []*http.Request{post, del} {
			mark(r.Header)
			if a := do(t, s, r); a.status != http.StatusForbidden {
				t.Errorf("case %d: %s answered %d", i, r.Method, a.status)
			}
		}
	}
	if f := s.store.currentFault(); f != FaultNone {
		t.Errorf("fault is %q", f)
	}
	if n := len(s.Events()); n != 1 {
		t.Errorf("%d events left", n)
	}

	same := request(http.MethodPost, "/faults", strings.NewReader(`{"fault":"503"}`))
	same.Header.Set("Sec-Fetch-Site", "same-origin")
	if a := do(t, s, same); a.status != http.StatusOK || s.store.currentFault() != Fault503 {
		t.Errorf("the page's own request: %d, fault %q", a.status, s.store.currentFault())
	}
}

func TestJSONAPI(t *testing.T) {
	s := newTest(t, testAccount)
	var events []Event
	getJSON(t, s, "/api/events", &events)
	if events == nil || len(events) != 0 {
		t.Errorf("no events are %v, want []", events)
	}
	accept(t, s, "page", `{"event":"page","anonymousId":"a1","name":"Home"}`)
	accept(t, s, "track", `{"event":"Buy","anonymousId":"a1","userId":"u1"}`, `{"event":"Buy","anonymousId":"a2"}`)

	for query, want := range map[string][]uint64{
		"":                                  {1, 2, 3},
		"?type=track":                       {2, 3},
		"?anonymousId=a1":                   {1, 2},
		"?userId=u1":                        {2},
		"?type=track&anonymousId=a1":        {2},
		"?type=nothing":                     {},
		"?userId=" + url.QueryEscape("u1 "): {},
	} {
		getJSON(t, s, "/api/events"+query, &events)
		got := []uint64{}
		for _, e := range events {
			got = append(got, e.Seq)
		}
		if !equalJSON(t, got, want) {
			t.Errorf("%q: events %v, want %v", query, got, want)
		}
	}
	if a := do(t, s, request(http.MethodDelete, "/api/events", nil)); a.status != http.StatusNoContent {
		t.Errorf("DELETE: %d", a.status)
	}
	var stats Stats
	getJSON(t, s, "/api/stats", &stats)
	if len(s.Events()) != 0 || len(s.Profiles()) != 0 || stats.Events != 0 || stats.Requests != 0 {
		t.Errorf("after clearing: %+v", stats)
	}
}

func equalJSON(t testing.TB, a, b any) bool {
	t.Helper()
	x, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(x, y)
}

func FuzzServeHTTP(f *testing.F) {
	f.Add("POST", "/track/acme/shop/SHOP/v1/batch", "application/json", `{"batch":[{"type":"page","event":"page","userId":"u"}],"context":{}}`)
	f.Add("POST", "/track/acme/shop/SHOP/v1/identify", "application/json; charset=utf-8", `{"event":"identify","userId":"u","traits":{}}`)
	f.Add("POST", "/faults", "", `{"fault":"slow"}`)
	f.Add("GET", "/events?after=1.2", "", "")
	f.Add("DELETE", "/api/events", "text/plain", "\xff")
	f.Add("GET", "/static/../../x", "", "")
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // a stream ends after its first update
	f.Fuzz(func(t *testing.T, method, path, contentType, body string) {
		s := newTest(t, testAccount)
		path, query, _ := strings.Cut(path, "?")
		r := (&http.Request{
			Method: method,
			URL:    &url.URL{Path: path, RawQuery: query},
			Header: http.Header{"Content-Type": {contentType}, "Auth-Token": {testToken}},
			Body:   io.NopCloser(strings.NewReader(body)),
		}).WithContext(ctx)
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, r)
		if rec.Code < 200 || rec.Code > 599 {
			t.Errorf("status %d", rec.Code)
		}
		if rec.Code == http.StatusInternalServerError {
			t.Errorf("answered %s", rec.Body)
		}
		if _, err := json.Marshal(s.Events()); err != nil {
			t.Errorf("events: %v", err)
		}
	})
}
