package sandbox

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/uuid"
)

const aTrack = `{"type":"track","event":"Buy","userId":"u1"}`

func TestAnswers(t *testing.T) {
	for _, tc := range []struct {
		name    string
		change  func(*http.Request)
		status  int
		message string
	}{
		{"accepted", func(*http.Request) {}, 200, ""},
		{"charset", func(r *http.Request) { r.Header.Set("Content-Type", "Application/JSON; charset=utf-8") }, 200, ""},
		{"no token", func(r *http.Request) { r.Header.Del("Auth-Token") }, 403, "auth-token is missing"},
		{"empty token", func(r *http.Request) { r.Header.Set("Auth-Token", "") }, 403, "auth-token is missing"},
		{"wrong token", func(r *http.Request) { r.Header.Set("Auth-Token", testToken+"x") }, 403, "auth-token is not valid"},
		{"other client", at("/track/other/shop/SHOP/v1/track"), 403, "auth-token is not authorised for this account or brand"},
		{"other account", at("/track/acme/other/SHOP/v1/track"), 403, "auth-token is not authorised for this account or brand"},
		{"other brand", at("/track/acme/shop/OTHER/v1/track"), 403, "auth-token is not authorised for this account or brand"},
		{"client's case", at("/track/Acme/shop/SHOP/v1/track"), 403, "clientId and accountId must be lower case, brandId upper case"},
		{"account's case", at("/track/acme/Shop/SHOP/v1/track"), 403, "clientId and accountId must be lower case, brandId upper case"},
		{"brand's case", at("/track/acme/shop/Shop/v1/track"), 403, "clientId and accountId must be lower case, brandId upper case"},
		{"unknown action", at("/track/acme/shop/SHOP/v1/group"), 404, "not found"},
		{"action's case", at("/track/acme/shop/SHOP/v1/Track"), 404, "not found"},
		{"other version", at("/track/acme/shop/SHOP/v2/track"), 404, "not found"},
		{"short path", at("/track/acme/shop/v1/track"), 404, "not found"},
		{"long path", at("/track/acme/shop/SHOP/v1/track/"), 404, "not found"},
		{"empty brand", at("/track/acme/shop//v1/track"), 404, "not found"},
		{"GET", func(r *http.Request) { r.Method = http.MethodGet }, 405, "method not allowed"},
		{"OPTIONS", func(r *http.Request) { r.Method = http.MethodOptions }, 405, "method not allowed"},
		{"no content type", func(r *http.Request) { r.Header.Del("Content-Type") }, 400, "content-type must be application/json"},
		{"form", func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 400, "content-type must be application/json"},
		{"not UTF-8", body("{\"event\":\"\xff\",\"userId\":\"u\"}"), 400, "body must be UTF-8"},
		{"empty", body(""), 400, "call must be a JSON object"},
		{"cut", body(aTrack[:20]), 400, "call must be a JSON object"},
		{"two values", body(aTrack + aTrack), 400, "call must be a JSON object"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newTest(t, testAccount)
			r := trackingRequest("track", aTrack)
			tc.change(r)
			a := do(t, s, r)
			if a.status != tc.status || a.Message != tc.message {
				t.Fatalf("%d %q, want %d %q", a.status, a.Message, tc.status, tc.message)
			}
			if got := a.header.Get("Content-Type"); got != "application/json" {
				t.Errorf("content-type %q", got)
			}
			if tc.status == http.StatusOK {
				if _, err := uuid.Parse(a.EventID); err != nil || !a.Success {
					t.Errorf("answer %s: %v", a.body, err)
				}
				if e := s.Events(); len(e) != 1 || e[0].EventID != a.EventID {
					t.Errorf("events %+v", e)
				}
				return
			}
			if a.Success || len(s.Events()) != 0 {
				t.Errorf("answer %s, %d events", a.body, len(s.Events()))
			}
			want := []Rejected{{Answer: fmt.Sprint(tc.status), Count: 1, Message: tc.message}}
			got := s.Stats().Rejected
			for i := range got {
				got[i].At = time.Time{}
			}
			if !equalJSON(t, got, want) {
				t.Errorf("rejected %+v, want %+v", got, want)
			}
		})
	}
}

func at(path string) func(*http.Request) {
	return func(r *http.Request) { r.URL.Path = path }
}

func body(text string) func(*http.Request) {
	return func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(text)) }
}

func TestEmptyOptionsAcceptAny(t *testing.T) {
	s := newTest(t, Options{})
	r := trackingRequest("track", aTrack)
	r.URL.Path = "/track/any/thing/GOES/v1/track"
	if a := do(t, s, r); a.status != http.StatusOK {
		t.Errorf("any account: %d %s", a.status, a.body)
	}
	for _, change := range []func(*http.Request){
		at("/track/Any/thing/GOES/v1/track"),
		at("/track/any/thing/goes/v1/track"),
		func(r *http.Request) { r.Header.Del("Auth-Token") },
	} {
		r := trackingRequest("track", aTrack)
		change(r)
		if a := do(t, s, r); a.status != http.StatusForbidden {
			t.Errorf("%s: %d %s", r.URL.Path, a.status, a.body)
		}
	}
}

func TestOptionsLetterCase(t *testing.T) {
	s := newTest(t, Options{ClientID: "ACME", AccountID: "Shop", BrandID: "shop", Token: testToken})
	accept(t, s, "track", aTrack)
}

func TestBrokenBody(t *testing.T) {
	s := newTest(t, testAccount)
	r := trackingRequest("track", aTrack)
	r.Body = io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))
	if a := do(t, s, r); a.status != http.StatusBadRequest || a.Message != "body could not be read" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// padded returns a track of exactly n bytes.
func padded(n int) string {
	const before, after = `{"type":"track","event":"Buy","userId":"u1","properties":{"p":"`, `"}}`
	return before + strings.Repeat("x", n-len(before)-len(after)) + after
}

func TestSizeLimits(t *testing.T) {
	batchOf := func(n int) string { // of exactly n bytes, its calls far below their limit
		var b strings.Builder
		b.WriteString(`{"batch":[`)
		for b.Len() < n-40_000 {
			b.WriteString(padded(20_000) + ",")
		}
		rest := n - b.Len() - len(`]}`)
		b.WriteString(padded(rest/2) + "," + padded(rest-rest/2-1) + `]}`)
		return b.String()
	}
	context := func(n int) string {
		return `{"batch":[` + aTrack + `],"context":{"timezone":"` + strings.Repeat("x", n-len(`{"timezone":""}`)) + `"}}`
	}
	for _, tc := range []struct {
		name, action, body string
		status             int
		message            string
	}{
		{"call at the limit", "track", padded(32_000), 200, ""},
		{"space around is not the call's", "track", "\n " + padded(32_000) + "\n", 200, ""},
		{"call above", "track", padded(32_001), 413, "call must not be larger than 32000 bytes"},
		{"call in a batch at the limit", "batch", `{"batch":[` + aTrack + `,` + padded(32_000) + `]}`, 200, ""},
		{"call in a batch above", "batch", `{"batch":[` + aTrack + `,` + padded(32_001) + `]}`, 413, "call must not be larger than 32000 bytes"},
		{"request at the limit", "batch", batchOf(1_000_000), 200, ""},
		{"request above", "batch", batchOf(1_000_001), 413, "request must not be larger than 1000000 bytes"},
		{"context at the limit", "batch", context(32_000), 200, ""},
		{"context above", "batch", context(32_001), 413, "context must not be larger than 32000 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newTest(t, testAccount)
			a := send(t, s, tc.action, tc.body)
			if a.status != tc.status || a.Message != tc.message {
				t.Errorf("%d %q, want %d %q", a.status, a.Message, tc.status, tc.message)
			}
		})
	}
}

func TestTokenBucket(t *testing.T) {
	now := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	o := testAccount
	o.Now = func() time.Time { return now }
	s := newTest(t, o)
	count := func() (accepted int) {
		for {
			a := send(t, s, "track", aTrack)
			switch a.status {
			case http.StatusOK:
				accepted++
			case http.StatusTooManyRequests:
				if a.header.Get("Retry-After") != "" {
					t.Errorf("Retry-After %q is not documented", a.header.Get("Retry-After"))
				}
				return accepted
			default:
				t.Fatalf("%d %s", a.status, a.body)
			}
		}
	}
	for i, step := range []struct {
		wait time.Duration
		want int
	}{{0, 500}, {0, 0}, {9 * time.Millisecond, 0}, {time.Millisecond, 1}, {time.Second, 100}, {time.Hour, 500}, {-time.Hour, 0}} {
		now = now.Add(step.wait)
		if got := count(); got != step.want {
			t.Errorf("step %d: %d accepted, want %d", i, got, step.want)
		}
	}

	o.Rate, o.Burst = 1, 2
	s = newTest(t, o)
	if got := count(); got != 2 {
		t.Errorf("own burst: %d accepted, want 2", got)
	}
}

// A request counts once, however many calls it carries and however it ends.
func TestTokenBucketCountsRequests(t *testing.T) {
	now := time.Now()
	o := testAccount
	o.Burst, o.Now = 2, func() time.Time { return now }
	s := newTest(t, o)
	accept(t, s, "batch", `{"batch":[`+aTrack+`,`+aTrack+`,`+aTrack+`]}`)
	if a := send(t, s, "track", `{}`); a.status != http.StatusBadRequest {
		t.Errorf("second: %d", a.status)
	}
	if a := send(t, s, "track", aTrack); a.status != http.StatusTooManyRequests {
		t.Errorf("third: %d", a.status)
	}
}

func TestBatchIsAtomic(t *testing.T) {
	s := newTest(t, testAccount)
	a := send(t, s, "batch", `{"batch":[`+aTrack+`,{"type":"track","event":"Bad"},`+aTrack+`]}`)
	if a.status != http.StatusBadRequest || a.body != `{"success":false,"message":"userId must not be empty"}`+"\n" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if n := len(s.Events()); n != 0 {
		t.Errorf("%d calls of a refused batch are stored", n)
	}
	if got := s.Stats().Rejected[0].Message; got != "call 2 of 3: userId must not be empty" {
		t.Errorf("the page says %q", got)
	}
}

func TestBatchContext(t *testing.T) {
	s := newTest(t, testAccount)
	accept(t, s, "batch", `{"sentAt":"2025-01-01T00:00:00.000Z",
		"context":{"library":{"name":"lib","version":"1"},"locale":"en","page":{"path":"/outer","title":"T"}},
		"batch":[
			{"type":"track","event":"A","userId":"u","context":{"locale":"de","page":{"path":"/own"}}},
			{"type":"track","event":"B","userId":"u"},
			{"type":"track","event":"C","userId":"u","context":null}]}`)
	accept(t, s, "batch", `{"batch":[{"type":"track","event":"D","userId":"u","context":{"ip":"::1"}},{"type":"track","event":"E","userId":"u"}]}`)
	outer := `{"library":{"name":"lib","version":"1"},"locale":"en","page":{"path":"/outer","title":"T"}}`
	want := []string{
		`{"library":{"name":"lib","version":"1"},"locale":"de","page":{"path":"/own"}}`,
		outer, outer, `{"ip":"::1"}`, ``,
	}
	events := s.Events()
	for i, e := range events {
		if string(e.Context) != want[i] {
			t.Errorf("%s: context %s, want %s", e.Name, e.Context, want[i])
		}
	}
	if got := string(events[0].Raw); got != `{"type":"track","event":"A","userId":"u","context":{"locale":"de","page":{"path":"/own"}}}` {
		t.Errorf("raw is changed: %s", got)
	}
	if events[0].EventID != events[1].EventID || events[0].EventID == events[3].EventID {
		t.Error("the calls of a batch share their eventId, those of two do not")
	}
}

func TestBatchRejections(t *testing.T) {
	screen := `{"type":"screen","event":"screen","userId":"u"}`
	for _, tc := range []struct {
		name, body, message string
	}{
		{"not an object", `[` + aTrack + `]`, "body must be a JSON object"},
		{"no batch", `{}`, "batch must be an array"},
		{"object", `{"batch":{}}`, "batch must be an array"},
		{"null", `{"batch":null}`, "batch must not be empty"},
		{"empty", `{"batch":[]}`, "batch must not be empty"},
		{"null call", `{"batch":[null]}`, "call must be a JSON object"},
		{"no type", `{"batch":[{"event":"Buy","userId":"u"}]}`, "type must not be empty"},
		{"unknown type", `{"batch":[{"type":"group","event":"Buy","userId":"u"}]}`, "type must be identify, track, page or screen"},
		{"batch in a batch", `{"batch":[{"type":"batch","event":"Buy","userId":"u"}]}`, "type must be identify, track, page or screen"},
		{"context is a string", `{"batch":[` + aTrack + `],"context":"x"}`, "context must be an object"},
		{"unknown context field", `{"batch":[` + screen + `,` + aTrack + `],"context":{"app":{}}}`, `context field "app" is not allowed`},
	} {
		s := newTest(t, testAccount)
		if a := send(t, s, "batch", tc.body); a.status != http.StatusBadRequest || a.Message != tc.message {
			t.Errorf("%s: %d %q, want %q", tc.name, a.status, a.Message, tc.message)
		}
	}
	s := newTest(t, testAccount)
	accept(t, s, "batch", `{"batch":[`+screen+`],"context":{"app":{}}}`)
}
