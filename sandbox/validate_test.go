package sandbox

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestCalls(t *testing.T) {
	for _, tc := range []struct{ name, action, body, message string }{
		// Identity.
		{"user", "track", `{"event":"E","userId":"u"}`, ""},
		{"anonymous", "track", `{"event":"E","anonymousId":"a"}`, ""},
		{"both", "track", `{"event":"E","anonymousId":"a","userId":"u"}`, ""},
		{"null user", "track", `{"event":"E","anonymousId":"a","userId":null}`, ""},
		{"nobody", "track", `{"event":"E"}`, "userId must not be empty"},
		{"null only", "track", `{"event":"E","userId":null}`, "userId must not be empty"},
		{"other letter case", "track", `{"event":"E","userID":"u"}`, "userId must not be empty"},
		{"blank user", "track", `{"event":"E","anonymousId":"a","userId":" "}`, "userId must not be empty"},
		{"blank anonymous", "track", `{"event":"E","anonymousId":"","userId":"u"}`, "anonymousId must not be empty"},
		{"number", "track", `{"event":"E","userId":7}`, "userId must be a string"},
		{"array", "track", `{"event":"E","anonymousId":["a"]}`, "anonymousId must be a string"},

		// Type and event.
		{"its type", "track", `{"type":"track","event":"E","userId":"u"}`, ""},
		{"other type", "track", `{"type":"page","event":"E","userId":"u"}`, "type must be track"},
		{"type is a number", "track", `{"type":1,"event":"E","userId":"u"}`, "type must be a string"},
		{"no event", "track", `{"userId":"u"}`, "event must not be empty"},
		{"blank event", "track", `{"event":"","userId":"u"}`, "event must not be empty"},
		{"event is an object", "track", `{"event":{},"userId":"u"}`, "event must be a string"},
		{"command", "track", `{"event":"send_email","userId":"u","assetId":"7","merge":{"a":[1]}}`, ""},
		{"page", "page", `{"event":"page","userId":"u"}`, ""},
		{"page without event", "page", `{"userId":"u"}`, "event must not be empty"},
		{"page with another event", "page", `{"event":"Page Viewed","userId":"u"}`, "event must be page"},
		{"identify with another event", "identify", `{"event":"Identified","userId":"u","traits":{}}`, "event must be identify"},
		{"screen", "screen", `{"event":"screen","name":"Home","userId":"u","context":{"app":{},"network":{}}}`, ""},

		// Traits, properties, name.
		{"empty traits", "identify", `{"event":"identify","userId":"u","traits":{}}`, ""},
		{"no traits", "identify", `{"event":"identify","userId":"u"}`, "traits must not be empty"},
		{"null traits", "identify", `{"event":"identify","userId":"u","traits":null}`, "traits must not be empty"},
		{"traits in an array", "identify", `{"event":"identify","userId":"u","traits":[]}`, "traits must be an object"},
		{"properties", "track", `{"event":"E","userId":"u","properties":{"a":{"b":[1,null]}}}`, ""},
		{"properties in a string", "track", `{"event":"E","userId":"u","properties":"{}"}`, "properties must be an object"},
		{"empty name", "page", `{"event":"page","userId":"u","name":""}`, ""},
		{"name is a number", "page", `{"event":"page","userId":"u","name":1}`, "name must be a string"},

		// messageId, times.
		{"messageId", "track", `{"event":"E","userId":"u","messageId":"m"}`, ""},
		{"blank messageId", "track", `{"event":"E","userId":"u","messageId":""}`, "messageId must not be empty"},
		{"number as messageId", "track", `{"event":"E","userId":"u","messageId":1}`, "messageId must be a string"},
		{"times", "track", `{"event":"E","userId":"u","timestamp":"2025-01-02T03:04:05.678Z","sentAt":"2025-01-02T03:04:05Z"}`, ""},
		{"local time", "track", `{"event":"E","userId":"u","timestamp":"2025-01-02T03:04:05.678+01:00"}`, "timestamp must be an ISO 8601 date in UTC"},
		{"a day", "track", `{"event":"E","userId":"u","sentAt":"2025-01-02"}`, "sentAt must be an ISO 8601 date in UTC"},
		{"empty time", "track", `{"event":"E","userId":"u","timestamp":""}`, "timestamp must be an ISO 8601 date in UTC"},
		{"Unix time", "track", `{"event":"E","userId":"u","timestamp":1735787045}`, "timestamp must be a string"},

		// Context.
		{"whole context", "page", `{"event":"page","userId":"u","context":{"active":true,"campaign":{"name":"n","id":null},"device":{},
			"ip":"::1","library":{"name":"l","version":"1"},"locale":"en","os":{},"page":{"path":"/","referrer":"","search":"","title":"","url":""},
			"referrer":{"url":""},"screen":{},"timezone":"UTC","groupId":"g","traits":{},"userAgent":"x"}}`, ""},
		{"null fields", "page", `{"event":"page","userId":"u","context":{"ip":null,"page":null}}`, ""},
		{"context is an array", "page", `{"event":"page","userId":"u","context":[]}`, "context must be an object"},
		{"unknown field", "page", `{"event":"page","userId":"u","context":{"app":{}}}`, `context field "app" is not allowed`},
		{"hostile field", "page", `{"event":"page","userId":"u","context":{"\u202e":{}}}`, `context field "\u202e" is not allowed`},
		{"ip", "page", `{"event":"page","userId":"u","context":{"ip":1}}`, "context.ip must be a string"},
		{"active", "page", `{"event":"page","userId":"u","context":{"active":"yes"}}`, "context.active must be a boolean"},
		{"page in context", "page", `{"event":"page","userId":"u","context":{"page":{"path":1}}}`, "context.page must be an object of strings"},
		{"campaign", "page", `{"event":"page","userId":"u","context":{"campaign":["x"]}}`, "context.campaign must be an object of strings"},
		{"device", "page", `{"event":"page","userId":"u","context":{"device":"phone"}}`, "context.device must be an object"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, rej := parseCall(json.RawMessage(tc.body), tc.action)
			message := ""
			if rej != nil {
				message = rej.message
				if rej.status != http.StatusBadRequest {
					t.Errorf("status %d", rej.status)
				}
			}
			if message != tc.message {
				t.Fatalf("%q, want %q", message, tc.message)
			}
			if rej == nil && (c.Type != tc.action || string(c.Raw) != tc.body) {
				t.Errorf("call %+v", c)
			}
		})
	}
}

func TestCallFields(t *testing.T) {
	c, rej := parseCall(json.RawMessage(`{"type":"track","event":"Caf\u00e9","name":"n","anonymousId":"a","userId":"u","messageId":"m","timestamp":"2025-01-02T03:04:05.678Z"}`), actionBatch)
	if rej != nil {
		t.Fatal(rej.message)
	}
	at := time.Date(2025, 1, 2, 3, 4, 5, 678e6, time.UTC)
	if c.Type != "track" || c.Name != "Café" || c.AnonymousID != "a" || c.UserID != "u" || c.MessageID != "m" || !c.Timestamp.Equal(at) {
		t.Errorf("%+v", c.Event)
	}
	c, rej = parseCall(json.RawMessage(`{"event":"page","name":"Home","userId":"u"}`), actionPage)
	if rej != nil || c.Name != "Home" {
		t.Errorf("page: %v %+v", rej, c.Event)
	}
	c, rej = parseCall(json.RawMessage(`{"event":"identify","name":"Home","userId":"u","traits":{}}`), actionIdentify)
	if rej != nil || c.Name != "" {
		t.Errorf("identify: %v %+v", rej, c.Event)
	}
}

func TestLongContextFieldIsAbbreviated(t *testing.T) {
	rej := checkContext(json.RawMessage(`{"`+strings.Repeat("é", 1000)+`":1}`), true)
	if rej == nil || len(rej.message) > 120 || !utf8.ValidString(rej.message) {
		t.Errorf("%+v", rej)
	}
}

func FuzzCall(f *testing.F) {
	f.Add([]byte(aTrack), "track")
	f.Add([]byte(`{"type":"identify","event":"identify","userId":"u","traits":{"a":[{}]},"context":{"page":{"path":"/"},"ip":null}}`), "batch")
	f.Add([]byte(`{"type":"page","event":"page","anonymousId":"\ud800","timestamp":"2025-01-02T03:04:05Z","context":{"x":1}}`), "batch")
	f.Add([]byte(`{"event":"screen","userId":"u","context":{"app":`+strings.Repeat("[", 500)+strings.Repeat("]", 500)+`}}`), "screen")
	f.Add([]byte(`null`), "page")
	f.Fuzz(func(t *testing.T, raw []byte, action string) {
		if action != actionBatch && !isCallType(action) {
			return // parseTarget lets no other pass
		}
		before := bytes.Clone(raw)
		c, rej := parseCall(raw, action)
		if !bytes.Equal(raw, before) {
			t.Fatal("the call was changed")
		}
		if rej != nil {
			if rej.message == "" || len(rej.message) > 1000 || (rej.status != 400 && rej.status != 413) {
				t.Errorf("rejection %+v", rej)
			}
			return
		}
		if len(raw) > maxCallBytes || !json.Valid(raw) || !isCallType(c.Type) || !bytes.Equal(c.Raw, raw) {
			t.Errorf("accepted %+v", c)
		}
		if c.UserID == "" && c.AnonymousID == "" || c.Type == actionTrack && c.Name == "" {
			t.Errorf("accepted without identity or name: %+v", c.Event)
		}
		outer := json.RawMessage(`{"locale":"en"}`)
		merged := mergeContext(outer, c.own)
		if f, ok := object(merged); !ok || f["locale"] == nil {
			t.Errorf("merged context %s", merged)
		}
		if c.Type != actionScreen {
			if rej := checkContext(merged, true); rej != nil {
				t.Errorf("merged context %s: %s", merged, rej.message)
			}
		}
	})
}
