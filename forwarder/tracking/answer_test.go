package tracking

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// TestClassify has a line for each answer that the notes on the API and on the
// queue name, and for some that they do not.
func TestClassify(t *testing.T) {
	want := map[int]Class{
		0:   Unavailable,
		101: Misconfigured,
		200: Accepted, 201: Accepted, 202: Accepted, 204: Accepted, 299: Accepted,
		300: Misconfigured, 301: Misconfigured, 302: Misconfigured, 304: Misconfigured, 307: Misconfigured, 308: Misconfigured,
		400: Rejected, 401: Misconfigured, 402: Misconfigured, 403: Misconfigured, 404: Misconfigured, 405: Misconfigured,
		407: Misconfigured, 408: Unavailable, 409: Misconfigured, 413: TooLarge, 415: Misconfigured, 422: Rejected, 429: Throttled,
		500: Unavailable, 501: Unavailable, 502: Unavailable, 503: Unavailable, 504: Unavailable, 599: Unavailable,
	}
	for status, class := range want {
		if got := Classify(status); got != class {
			t.Errorf("Classify(%d) = %v, want %v", status, got, class)
		}
	}
}

func TestRulesAreComplete(t *testing.T) {
	classes := map[Class]bool{}
	for _, r := range Rules() {
		if r.From > r.To || r.Why == "" || r.Class.String() == "unknown" {
			t.Errorf("bad row %+v", r)
		}
		classes[r.Class] = true
	}
	if len(classes) != 6 {
		t.Errorf("the table leads to %d classes, want 6", len(classes))
	}
	for status := 100; status <= 999; status++ {
		if Classify(status).String() == "unknown" {
			t.Errorf("status %d has no class", status)
		}
	}
	Rules()[0].Class = Rejected
	if Classify(200) != Accepted {
		t.Error("a caller can change the table")
	}
	if got := Rules()[0].Codes() + " " + Rules()[1].Codes(); got != "200-299 400" {
		t.Errorf("codes %q", got)
	}
}

func TestAnswerBody(t *testing.T) {
	const id = "7e0f6c1e-8e0a-4f46-9d86-3a7f1c6ee0a1"
	long := strings.Repeat("é", 400)
	for _, c := range []struct {
		name, body       string
		status           int
		class            Class
		message, eventID string
	}{
		{"documented success", `{"success":true,"eventId":"` + id + `"}`, 200, Accepted, "", id},
		{"documented refusal", `{"success":false,"message":"userId must not be empty"}`, 400, Rejected, "userId must not be empty", ""},
		{"refusal under 200", ` {"success": false,"message":"no"}`, 200, Rejected, "no", ""},
		{"refusal under 503 stays a failure", `{"success":false}`, 503, Unavailable, "", ""},
		{"success under 400 stays a refusal", `{"success":true}`, 400, Rejected, "", ""},
		{"bare refusal", "", 400, Rejected, "", ""},
		{"no success, no error", `{"eventId":"e"}`, 202, Accepted, "", "e"},
		{"no success, error null", ` {"error":null} `, 200, Accepted, "", ""},
		{"success and error", `{"success":true,"error":"x"}`, 200, Accepted, "", ""},
		{"behind a byte order mark", "\xef\xbb\xbf{\"success\":true}", 200, Accepted, "", ""},
		{"success in quotes", `{"success":"false"}`, 200, Rejected, "", ""},
		{"true in quotes", `{"success":"true","message":{"a":1},"eventId":12}`, 200, Rejected, `{"a":1}`, "12"},
		{"success null", `{"success":null}`, 200, Rejected, "", ""},
		{"success twice", `{"success":false,"success":true}`, 200, Rejected, "", ""},
		{"refusal longer than is read", `{"success":false,"x":"` + strings.Repeat("x", maxAnswer), 200, Rejected, "", ""},
		{"refusal broken off", `{"success":false,`, 200, Rejected, "", ""},
		{"error", `{"error":"blocked"}`, 200, Misconfigured, notIntilery, ""},
		{"empty", "", 200, Misconfigured, notIntilery, ""},
		{"no content", "", 204, Misconfigured, notIntilery, ""},
		{"broken off", `{"success":true,"ev`, 200, Misconfigured, notIntilery, ""},
		{"longer than is read", `{"success":true,"x":"` + strings.Repeat("x", maxAnswer), 200, Misconfigured, notIntilery, ""},
		{"two objects", `{"success":true}{"success":true}`, 200, Misconfigured, notIntilery, ""},
		{"an array", `[{"success":true}]`, 200, Misconfigured, notIntilery, ""},
		{"null", `null`, 200, Misconfigured, notIntilery, ""},
		{"text", `down for maintenance`, 200, Misconfigured, notIntilery, ""},
		{"a web page", "\n<!doctype html><title>Welcome</title>", 200, Misconfigured, notIntilery, ""},
		{"a web page behind a byte order mark", "\xef\xbb\xbf<html>", 200, Misconfigured, notIntilery, ""},
		{"UTF-16", "\xff\xfe{\x00}\x00", 200, Misconfigured, notIntilery, ""},
		{"a web page with an error", "<html>", 502, Unavailable, "", ""},
		{"a web page that says 400", "<html>Request Header Or Cookie Too Large", 400, Misconfigured, notIntilery, ""},
		{"a web page that says 413", "<html>Request Entity Too Large", 413, TooLarge, "", ""},
		{"long message", `{"message":"` + long + `"}`, 400, Rejected, strings.Repeat("é", 150), ""},
		{"unprintable", `{"message":"a\u0000b\nc\u202ed\ud800e"}`, 400, Rejected, "a b c d e", ""},
	} {
		a := Answer{Status: c.status, Class: Classify(c.status)}
		a.read([]byte(c.body)[:min(len(c.body), maxAnswer)], len(c.body) <= maxAnswer)
		if a.Class != c.class || a.Message != c.message || a.EventID != c.eventID {
			t.Errorf("%s: got %v %q %q, want %v %q %q", c.name, a.Class, a.Message, a.EventID, c.class, c.message, c.eventID)
		}
	}
}

func TestParseRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for in, want := range map[string]time.Duration{
		"": 0, "  ": 0, "soon": 0, "-5": 0, "1.5": 0, "1e3": 0, "12s": 0, "٣": 0,
		"0": time.Second, "1": time.Second, " 7 ": 7 * time.Second, "007": 7 * time.Second,
		"300": 300 * time.Second, "301": 300 * time.Second, "99999999999999999999999": 300 * time.Second,
		"Sun, 01 Mar 2026 12:00:20 GMT":  20 * time.Second,
		"Sunday, 01-Mar-26 12:00:20 GMT": 20 * time.Second,
		"Sun Mar  1 12:00:20 2026":       20 * time.Second,
		"Sun, 01 Mar 2026 11:00:00 GMT":  time.Second,
		"Mon, 01 Mar 2027 12:00:00 GMT":  300 * time.Second,
		"Sun, 01 Mar 2026 12:00:20 CET!": 0,
	} {
		if got := parseRetryAfter(in, now); got != want {
			t.Errorf("parseRetryAfter(%q) = %v, want %v", in, got, want)
		}
	}
}

func FuzzParseRetryAfter(f *testing.F) {
	for _, s := range []string{"", "1", "-1", "400", "Sun, 01 Mar 2026 12:00:20 GMT", "18446744073709551616"} {
		f.Add(s)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, v string) {
		if d := parseRetryAfter(v, now); d != 0 && (d < MinRetryAfter || d > MaxRetryAfter) {
			t.Errorf("parseRetryAfter(%q) = %v", v, d)
		}
	})
}

func FuzzAnswerBody(f *testing.F) {
	f.Add(200, []byte(`{"success":true,"eventId":"x"}`))
	f.Add(200, []byte(`{"success":false,"message":"x"}`))
	f.Add(400, []byte("{\"message\":\"\xff\"}"))
	f.Add(200, []byte("<html>"))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		a := Answer{Status: status, Class: Classify(status)}
		a.read(body, true)
		if len(a.Message) > maxMessage || len(a.EventID) > maxMessage || !utf8.ValidString(a.Message+a.EventID) ||
			strings.ContainsAny(a.Message+a.EventID, "\n\r\x00") {
			t.Errorf("message %q, event ID %q", a.Message, a.EventID)
		}
		var v map[string]any
		switch isObject := json.Unmarshal(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), &v) == nil && v != nil; {
		case Classify(status) != Accepted && Classify(status) != Rejected && a.Class != Classify(status):
			t.Errorf("a body made %v out of status %d", a.Class, status)
		case a.Class == Accepted && !isObject:
			t.Errorf("accepted without a JSON object: %q", body)
		case a.Class == Accepted && v["success"] != true && (v["success"] != nil || v["error"] != nil):
			t.Errorf("accepted: %q", body)
		}
	})
}
