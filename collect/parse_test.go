package collect

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/intilery/caddy-intilery/forwarder/event"
)

const anID = "6f1c2b9e-3d54-4a77-9a51-0c8f1e2d3b4a"

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func options() Options {
	return Options{
		MaxEvent: 32 << 10, Now: now, Correct: true,
		ValidAnonymousID: func(id string) bool { return id == anID },
		Redact:           func(u string) string { return strings.ReplaceAll(u, "secret", "") },
		RedactPath:       func(p string) string { return strings.ReplaceAll(p, "secret", "") },
		RedactQuery:      func(q string) string { return strings.ReplaceAll(q, "secret", "") },
	}
}

// stored is each event as it is stored, and each rejection.
func stored(t testing.TB, p Parsed) (lines []string) {
	t.Helper()
	for i := range p.Events {
		e := p.Events[i].Event
		if e.AnonymousID == "" && e.UserID == "" {
			e.UserID = "filled in"
		}
		if e.MessageID == "" {
			e.MessageID = "made"
		}
		s, err := e.Store("")
		if err != nil {
			t.Errorf("event %d cannot be stored: %v", p.Events[i].Index, err)
			continue
		}
		if !json.Valid(s) {
			t.Errorf("event %d is no JSON: %s", p.Events[i].Index, s)
		}
		lines = append(lines, string(s))
	}
	for _, r := range p.Rejected {
		lines = append(lines, fmt.Sprintf("%d %s %s", r.Index, r.Code, r.Field))
	}
	return lines
}

const at = `{"timestamp":"2026-03-01T12:00:00.000Z",`

// What comes in as one event, and what is stored of it or why it is not.
func TestParse(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 65) + "1" + strings.Repeat("}", 65)
	for _, test := range []struct{ name, path, body, want string }{
		{"track of analytics-next", "/t",
			`{"timestamp":"2026-03-01T12:00:00.000Z","integrations":{},"type":"track","event":"Clicked","properties":{"a":[1,{"b":null}]},"context":{"page":{"path":"/","referrer":"","search":"","title":"T","url":"https://shop.example.com/"},"userAgent":"UA","userAgentData":{"mobile":false},"locale":"en","library":{"name":"analytics.js","version":"next-1.84.3"},"timezone":"Europe/London"},"messageId":"ajs-next-1-2","anonymousId":"` + anID + `","writeKey":"k","userId":null,"sentAt":"2026-03-01T12:00:00.000Z","_metadata":{"bundled":["Segment.io"]}}`,
			at + `"type":"track","event":"Clicked","anonymousId":"` + anID + `","messageId":"ajs-next-1-2","properties":{"a":[1,{"b":null}]},"context":{"page":{"path":"/","referrer":"","search":"","title":"T","url":"https://shop.example.com/"},"userAgent":"UA","locale":"en","library":{"name":"analytics.js","version":"next-1.84.3"},"timezone":"Europe/London"}}`},
		{"identify of ruby", "/v1/identify", `{"userId":42,"traits":{"x":1},"timestamp":"2026-03-01T13:00:00.000+01:00"}`,
			at + `"type":"identify","event":"identify","userId":"42","messageId":"made","traits":{"x":1},"context":{}}`},
		{"page with secrets", "/p", `{"userId":"u","name":" Home ","category":"Shop","properties":{"url":"https://a/secret","search":"?secret","path":"/secretx","other":"secret"},"context":{"page":{"url":"https://a/secret"}}}`,
			at + `"type":"page","event":"page","name":"Home","userId":"u","messageId":"made","properties":{"url":"https://a/","search":"","path":"/x","other":"secret"},"context":{"page":{"url":"https://a/"}},"category":"Shop"}`},
		{"screen keeps its context", "/s", `{"userId":"u","name":"Cart","context":{"app":{"name":"A"},"ip":"8.8.8.8","os":"no object"}}`,
			at + `"type":"screen","event":"screen","name":"Cart","userId":"u","messageId":"made","properties":{},"context":{"app":{"name":"A"}}}`},
		{"a context of wrong kinds", "/t", `{"userId":"u","event":"E","context":{"ip":"8.8.8.8","locale":1,"os":[],"active":true,"campaign":{"name":"c","n":1},"page":"x","timezone":null,"app":{}}}`,
			at + `"type":"track","event":"E","userId":"u","messageId":"made","properties":{},"context":{"active":true,"campaign":{"name":"c"}}}`},
		{"equal members: the last counts", "/t", `{"userId":"u","event":"A","event":"B","x":1,"\u0078":2,"properties":{"a":1},"properties":{"a":2}}`,
			at + `"type":"track","event":"B","userId":"u","messageId":"made","properties":{"a":2},"context":{},"x":2}`},
		{"other members stay", "/t", `{"userId":"u","event":"Sent","assetId":7,"traits":{"a":1},"name":"n"}`,
			at + `"type":"track","event":"Sent","userId":"u","messageId":"made","properties":{},"context":{},"assetId":7,"name":"n","traits":{"a":1}}`},
		{"the body's type wins over the path's", "/t", `{"type":"page","userId":"u","name":"N"}`,
			at + `"type":"page","event":"page","name":"N","userId":"u","messageId":"made","properties":{},"context":{}}`},
		{"an invalid anonymousId is none", "/t", `{"event":"E","anonymousId":"x"}`,
			at + `"type":"track","event":"E","userId":"filled in","messageId":"made","properties":{},"context":{}}`},
		{"messageIds of other makers", "/t", `{"event":"E","userId":"u","messageId":"a b"}`,
			at + `"type":"track","event":"E","userId":"u","messageId":"a b","properties":{},"context":{}}`},
		{"a messageId that is a number", "/t", `{"event":"E","userId":"u","messageId":7}`,
			at + `"type":"track","event":"E","userId":"u","messageId":"7","properties":{},"context":{}}`},
		{"a messageId that is too long is none", "/t", `{"event":"E","userId":"u","messageId":"` + strings.Repeat("x", 129) + `"}`,
			at + `"type":"track","event":"E","userId":"u","messageId":"made","properties":{},"context":{}}`},
		{"a blank userId is none", "/t", `{"event":"E","userId":" "}`,
			at + `"type":"track","event":"E","userId":"filled in","messageId":"made","properties":{},"context":{}}`},
		{"a command", "/t", `{"event":"send_email","userId":"u","assetId":7}`, "0 command event"},
		{"secrets in other URLs", "/s", `{"userId":"u","name":"N","properties":{"url":"https://a/secret"},"context":{"referrer":{"url":"https://a/secret","type":"ad"},"page":{"initial_url":"HTTPS://a/secret"}}}`,
			at + `"type":"screen","event":"screen","name":"N","userId":"u","messageId":"made","properties":{"url":"https://a/"},"context":{"referrer":{"url":"https://a/","type":"ad"},"page":{"initial_url":"HTTPS://a/"}}}`},
		{"a stray batch", "/t", `{"type":"track","event":"E","userId":"u","batch":[]}`,
			at + `"type":"track","event":"E","userId":"u","messageId":"made","properties":{},"context":{}}`},
		{"a clock an hour late", "/t", `{"event":"E","userId":"u","timestamp":"2026-03-01T10:59:50Z","sentAt":"2026-03-01T11:00:00Z"}`,
			`{"timestamp":"2026-03-01T11:59:50.000Z","type":"track","event":"E","userId":"u","messageId":"made","originalTimestamp":"2026-03-01T10:59:50Z","properties":{},"context":{}}`},
		{"a clock four minutes late", "/t", `{"event":"E","userId":"u","timestamp":"2026-03-01T11:55:50Z","sentAt":"2026-03-01T11:56:00Z"}`,
			`{"timestamp":"2026-03-01T11:55:50.000Z","type":"track","event":"E","userId":"u","messageId":"made","properties":{},"context":{}}`},
		{"only an originalTimestamp", "/t", `{"event":"E","userId":"u","originalTimestamp":"2026-03-01T10:59:50Z","sentAt":"2026-03-01T11:00:00Z"}`,
			`{"timestamp":"2026-03-01T11:59:50.000Z","type":"track","event":"E","userId":"u","messageId":"made","originalTimestamp":"2026-03-01T10:59:50Z","properties":{},"context":{}}`},
		{"an originalTimestamp that is none", "/t", `{"event":"E","userId":"u","originalTimestamp":"yesterday"}`,
			at + `"type":"track","event":"E","userId":"u","messageId":"made","originalTimestamp":"yesterday","properties":{},"context":{}}`},
		{"what is no text", "/t", `{"event":"E\ud800","userId":"u","properties":{"a\u0000":"\udc00\ud83d\ude00"}}`,
			at + `"type":"track","event":"E�","userId":"u","messageId":"made","properties":{"a\ufffd":"\ufffd\ud83d\ude00"},"context":{}}`},
		{"no name", "/t", `{"userId":"u"}`, "0 missing_name event"},
		{"a blank name", "/t", `{"userId":"u","event":" "}`, "0 missing_name event"},
		{"a name of another type", "/t", `{"userId":"u","event":{}}`, "0 missing_name event"},
		{"userId of another type", "/t", `{"userId":{},"event":"E"}`, "0 wrong_type userId"},
		{"userId with a control character", "/t", `{"userId":"a\u0000","event":"E"}`, "0 bad_id userId"},
		{"userId too long", "/t", `{"userId":"` + strings.Repeat("x", 257) + `","event":"E"}`, "0 bad_id userId"},
		{"properties of another type", "/t", `{"userId":"u","event":"E","properties":[]}`, "0 wrong_type properties"},
		{"traits of another type", "/i", `{"userId":"u","traits":"x"}`, "0 wrong_type traits"},
		{"a time that is none", "/t", `{"userId":"u","event":"E","timestamp":"yesterday"}`, "0 bad_timestamp timestamp"},
		{"a time without a zone", "/t", `{"userId":"u","event":"E","timestamp":"2026-03-01T12:00:00"}`, "0 bad_timestamp timestamp"},
		{"a time of another type", "/t", `{"userId":"u","event":"E","timestamp":1}`, "0 wrong_type timestamp"},
		{"an unknown type", "/t", `{"userId":"u","event":"E","type":"x"}`, "0 unknown_type type"},
		{"too deep", "/t", `{"userId":"u","event":"E","properties":` + deep + `}`, "0 too_deep "},
		{"too large", "/t", `{"userId":"u","event":"E","properties":{"a":"` + strings.Repeat("x", 32<<10) + `"}}`, "0 too_large "},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := Parse([]byte(test.body), TargetOf(test.path), options())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{test.want}, stored(t, p)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// One bad event of a batch loses no other; group and alias are counted.
func TestParseBatch(t *testing.T) {
	body := `{"writeKey":"k","sentAt":"2026-03-01T11:00:00Z","context":{"locale":"de","library":{"name":"outer"}},"batch":[
		{"type":"track","event":"A","userId":"u","timestamp":"2026-03-01T11:00:00Z","context":{"library":{"name":"own"}}},
		7,{"type":"group"},{"type":"alias"},{"event":"no type","userId":"u"},
		{"type":"page","userId":"u"}]}`
	p, err := Parse([]byte(body), TargetOf("/v1/batch"), options())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{"timestamp":"2026-03-01T12:00:00.000Z","type":"track","event":"A","userId":"u","messageId":"made","originalTimestamp":"2026-03-01T11:00:00Z","properties":{},"context":{"locale":"de","library":{"name":"own"}}}`,
		at + `"type":"page","event":"page","userId":"u","messageId":"made","properties":{},"context":{"locale":"de","library":{"name":"outer"}}}`,
		"1 malformed ", "4 unknown_type type",
	}
	if diff := cmp.Diff(want, stored(t, p)); diff != "" {
		t.Error(diff)
	}
	if p.Unsupported != 2 || p.Events[1].Index != 5 {
		t.Errorf("%+v", p)
	}
	if single, err := Parse([]byte(body), TargetOf("/t"), options()); err != nil || len(single.Events) != 2 {
		t.Errorf("a batch on the path of one event: %+v, %v", single, err)
	}
}

// A body of which nothing can be read.
func TestParseRefuses(t *testing.T) {
	many := `{"batch":[` + strings.Repeat(`{},`, MaxEvents) + `{}]}`
	for body, want := range map[string]string{
		`{`: "malformed", `[]`: "malformed", `"x"`: "malformed", `{"batch":{}}`: "malformed", `{}`: "malformed", "{\"a\":\"\xff\"}": "malformed",
		strings.Repeat("[", 100_000): "too_deep", many: "too_many", `{"batch":[]}{}`: "malformed",
	} {
		_, err := Parse([]byte(body), TargetOf("/b"), options())
		if err == nil || err.(*Error).Code != want {
			t.Errorf("%.20q: %v, want %s", body, err, want)
		}
	}
}

// An event that is too deep loses no other, and a large context of the batch is not
// copied without bound.
func TestParseBounds(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 200) + "1" + strings.Repeat("}", 200)
	p, err := Parse([]byte(`{"batch":[{"type":"track","event":"E","userId":"u","properties":`+deep+`},{"type":"page","userId":"u"}]}`), TargetOf("/b"), options())
	if err != nil || len(p.Events) != 1 || len(p.Rejected) != 1 || p.Rejected[0].Code != "too_deep" {
		t.Errorf("%+v, %v", p, err)
	}
	events := strings.Repeat(`{"type":"page","userId":"u"},`, MaxEvents-1) + `{"type":"page","userId":"u"}`
	body := `{"context":{"locale":"` + strings.Repeat("x", 20_000) + `"},"batch":[` + events + `]}`
	_, err = Parse([]byte(body), TargetOf("/b"), options())
	if e, ok := err.(*Error); !ok || e.Code != "too_large" || e.Field != "context" {
		t.Errorf("a context of 20 MB in all: %v", err)
	}
	o := options()
	left := int64(100_000)
	o.Grow = func(n int64) bool { left -= n; return left >= 0 }
	_, err = Parse([]byte(`{"context":{"locale":"`+strings.Repeat("x", 2000)+`"},"batch":[`+events+`]}`), TargetOf("/b"), o)
	if e, ok := err.(*Error); !ok || e.Code != "busy" {
		t.Errorf("a context without memory: %v", err)
	}
	if _, err = Parse([]byte(`{"batch":[]}`), TargetOf("/b"), options()); err == nil || err.(*Error).Code != "empty" {
		t.Errorf("an empty batch: %v", err)
	}
}

// A server's events keep what a browser's lose.
func TestParseTrusted(t *testing.T) {
	o := options()
	o.Trusted = true
	p, err := Parse([]byte(`{"event":"E","anonymousId":"any","timestamp":"2001-01-01T00:00:00Z","sentAt":"2001-01-01T00:00:00Z","context":{"ip":"192.0.2.1"}}`), TargetOf("/t"), o)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`{"timestamp":"2001-01-01T00:00:00.000Z","type":"track","event":"E","anonymousId":"any","messageId":"made","properties":{},"context":{"ip":"192.0.2.1"}}`}
	if diff := cmp.Diff(want, stored(t, p)); diff != "" {
		t.Error(diff)
	}
	if p.Events[0].Source != event.App {
		t.Error("a server's event is worth no more than a browser's")
	}
}

// The Tracking API's calls pass as they are.
func TestParseRelay(t *testing.T) {
	_, _, _, batch, _ := RelayTargetOf("/track/a/a/A/v1/batch")
	p, err := ParseRelay([]byte(`{"context":{"locale":"de","app":{}},"batch":[
		{"event":"identify","type":"identify","userId":"u","traits":{"a":1}},
		{"event":"send_email","userId":"u","assetId":7,"integrations":{"x":true},"context":{"locale":"fr"}},
		{"event":"page","userId":"u"},{"event":"E"},{"type":"track","userId":"u"}]}`), batch, now, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		at + `"type":"identify","event":"identify","userId":"u","messageId":"made","traits":{"a":1},"context":{"locale":"de","app":{}}}`,
		at + `"type":"track","event":"send_email","userId":"u","messageId":"made","properties":{},"context":{"locale":"fr","app":{}},"assetId":7,"integrations":{"x":true}}`,
		at + `"type":"page","event":"page","userId":"u","messageId":"made","properties":{},"context":{"locale":"de","app":{}}}`,
		"3 no_identity userId", "4 missing_name event",
	}
	if diff := cmp.Diff(want, stored(t, p)); diff != "" {
		t.Error(diff)
	}
}

func TestKeys(t *testing.T) {
	for value, want := range map[string]string{
		"": "", "Basic a2V5Og==": "key", "basic a2V5OnBhc3N3b3Jk": "key", "Basic !": "", "Bearer key": "key", "Digest key": "",
	} {
		if got := HeaderKey(http.Header{"Authorization": {value}}); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
	for body, want := range map[string]string{
		`{"writeKey":"k"}`: "k", `{"batch":[{"writeKey":"k"}]}`: "k", `{"writeKey":7}`: "", `{`: "", ``: "", `[`: "",
	} {
		if got := KeyOf([]byte(body)); got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}

// Answers: SDKs need JSON, and a code and a message in every error.
func TestAnswers(t *testing.T) {
	one := []Rejection{{Index: 3, Code: "missing_name", Field: "event", Message: "m"}}
	for _, test := range []struct {
		answer func(http.ResponseWriter)
		status int
		want   string
	}{
		{func(w http.ResponseWriter) { Accepted(w, nil) }, 200, `{"success":true}`},
		{func(w http.ResponseWriter) { Accepted(w, one) }, 200,
			`{"success":true,"rejectedCount":1,"rejected":[{"index":3,"code":"missing_name","field":"event","message":"m"}]}`},
		{func(w http.ResponseWriter) { Refuse(w, RejectionError(one)) }, 400,
			`{"success":false,"error":"missing_name","code":"missing_name","field":"event","message":"m"}`},
		{func(w http.ResponseWriter) { Refuse(w, RejectionError([]Rejection{{Code: "too_large", Message: "m"}})) }, 413,
			`{"success":false,"error":"too_large","code":"too_large","message":"m"}`},
		{func(w http.ResponseWriter) { RelayAccepted(w, "id", nil) }, 200, `{"success":true,"eventId":"id"}`},
		{func(w http.ResponseWriter) {
			RelayRefuse(w, RejectionError([]Rejection{{Code: "no_identity", Field: "userId", Message: "userId must not be empty"}}))
		}, 400, `{"success":false,"message":"userId must not be empty"}`},
	} {
		w := httptest.NewRecorder()
		test.answer(w)
		if w.Code != test.status || w.Body.String() != test.want {
			t.Errorf("%d %s, want %d %s", w.Code, w.Body, test.status, test.want)
		}
	}
	w := httptest.NewRecorder()
	Refuse(w, &Error{Status: 429, Code: "c", Message: "m", RetryAfter: 7})
	if got := w.Header().Get("Retry-After"); got != "7" {
		t.Errorf("Retry-After %q", got)
	}
}

// Whatever comes in, what goes on is a call that the queue takes, and none is lost
// without a word.
func FuzzParse(f *testing.F) {
	for _, body := range []string{
		`{"type":"track","event":"E","userId":"u","properties":{"a":[{}]},"context":{"page":{"url":"x"}}}`,
		`{"batch":[{"type":"page","userId":1e3},{"type":"group"},7,{"type":"identify","traits":{"\u0061":1}}],"context":{"locale":"x"}}`,
		`{"a":1,"a":2,"b":3,"c":4,"d":5,"e":6,"f":7,"g":8,"h":9,"i":10,"type":"screen","userId":"u"}`, `{"batch":[[[[]]]]}`, "\xef\xbb\xbf{}",
	} {
		f.Add([]byte(body), "/v1/batch", false)
		f.Add([]byte(body), "/t", true)
	}
	f.Fuzz(func(t *testing.T, body []byte, path string, relay bool) {
		var p Parsed
		var err error
		if relay {
			p, err = ParseRelay(body, TargetOf(path), now, nil)
		} else {
			p, err = Parse(body, TargetOf(path), options())
		}
		if err != nil {
			return
		}
		if len(stored(t, p)) != len(p.Events)+len(p.Rejected) {
			t.Errorf("an event cannot be stored: %s", body)
		}
		var outer struct{ Batch []json.RawMessage }
		if json.Unmarshal(body, &outer) == nil && outer.Batch != nil && strings.Count(string(body), `"batch"`) == 1 {
			if got := len(p.Events) + len(p.Rejected) + p.Unsupported; got != len(outer.Batch) {
				t.Errorf("%d of %d events are accounted for: %s", got, len(outer.Batch), body)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	one := `{"type":"track","event":"Product Viewed","anonymousId":"` + anID + `","messageId":"ajs-next-1700000000000-abcdef","timestamp":"2026-03-01T12:00:00.000Z",` +
		`"properties":{"sku":"A-100","price":19.5,"list":[1,2,3],"note":"` + strings.Repeat("x", 300) + `"},"integrations":{},` +
		`"context":{"page":{"path":"/p","referrer":"","search":"","title":"T","url":"https://shop.example.com/p"},"userAgent":"Mozilla/5.0","locale":"en","library":{"name":"analytics.js","version":"next"}}}`
	for _, n := range []int{1, 10, 100} {
		body := []byte(`{"batch":[` + strings.TrimSuffix(strings.Repeat(one+",", n), ",") + `]}`)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			o := options()
			for b.Loop() {
				if p, err := Parse(body, Target{Route: Batch}, o); err != nil || len(p.Events) != n {
					b.Fatal(err, len(p.Events))
				}
			}
		})
	}
}
