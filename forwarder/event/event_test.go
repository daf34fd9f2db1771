package event

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var when = time.Date(2026, 3, 1, 13, 0, 0, 123_456_789, time.FixedZone("CET", 3600))

func pageEvent() *Event {
	return &Event{
		Type: Page, Name: "Cart", AnonymousID: "a-1", UserID: "u-1", MessageID: "m-1", Timestamp: when,
		Properties: json.RawMessage(`{"title":"Mine", "total":12.5}`),
		Context: Context{
			IP: "192.0.2.0", UserAgent: "Mozilla/5.0", Locale: "de-DE",
			Page:     PageContext{Path: "/cart", Referrer: "https://example.org/", Search: "?utm_campaign=x", Title: "Ours", URL: "https://shop.example.com/cart?utm_campaign=x"},
			Campaign: []Param{{"name", "x"}, {"source", "mail"}, {"name", "second"}},
		},
	}
}

func TestStore(t *testing.T) {
	for _, c := range []struct {
		name  string
		event *Event
		want  string
	}{
		{"page", pageEvent(), `{"timestamp":"2026-03-01T12:00:00.123Z","type":"page","event":"page","name":"Cart",
			"anonymousId":"a-1","userId":"u-1","messageId":"m-1",
			"properties":{"path":"/cart","referrer":"https://example.org/","search":"?utm_campaign=x","title":"Mine","total":12.5,
				"url":"https://shop.example.com/cart?utm_campaign=x"},
			"context":{"library":{"name":"caddy-intilery","version":"1.0"},"ip":"192.0.2.0","userAgent":"Mozilla/5.0","locale":"de-DE",
				"page":{"path":"/cart","referrer":"https://example.org/","search":"?utm_campaign=x","title":"Ours","url":"https://shop.example.com/cart?utm_campaign=x"},
				"campaign":{"name":"x","source":"mail"}}}`},
		{"least page", &Event{Type: Page, AnonymousID: "a", MessageID: "m", Timestamp: when},
			`{"timestamp":"2026-03-01T12:00:00.123Z","type":"page","event":"page","anonymousId":"a","messageId":"m","properties":{},
			"context":{"library":{"name":"caddy-intilery","version":"1.0"}}}`},
		{"identify without traits", &Event{Type: Identify, UserID: "u", MessageID: "m", Timestamp: when},
			`{"timestamp":"2026-03-01T12:00:00.123Z","type":"identify","event":"identify","userId":"u","messageId":"m","traits":{},
			"context":{"library":{"name":"caddy-intilery","version":"1.0"}}}`},
		{"identify", &Event{Type: Identify, UserID: "u", MessageID: "m", Timestamp: when, Traits: json.RawMessage(`{"email":"a@example.com"}`)},
			`{"timestamp":"2026-03-01T12:00:00.123Z","type":"identify","event":"identify","userId":"u","messageId":"m","traits":{"email":"a@example.com"},
			"context":{"library":{"name":"caddy-intilery","version":"1.0"}}}`},
		{"command", &Event{Type: Track, Name: "send_email", UserID: "u", MessageID: "m", Timestamp: when, Properties: json.RawMessage(`{"a":[1,{"b":"}"}]}`),
			Extra: json.RawMessage(`{ "assetId" : 7 , "merge":{"x":"\"}"}, "userId":"evil", "us\u0065rId":"evil", "type":"evil","event":"evil","anonymousId":"evil",
				"messageId":"evil","timestamp":"evil","sentAt":"evil","properties":"evil","context":{},"name":"Relayed" , "last":null }`)},
			`{"timestamp":"2026-03-01T12:00:00.123Z","type":"track","event":"send_email","userId":"u","messageId":"m","properties":{"a":[1,{"b":"}"}]},
			"context":{"library":{"name":"caddy-intilery","version":"1.0"}},"assetId":7,"merge":{"x":"\"}"},"name":"Relayed","last":null}`},
	} {
		if err := c.event.Validate(); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := c.event.append(nil, "1.0")
		if !IsStored(got) {
			t.Errorf("%s: not recognised as stored: %s", c.name, got)
		}
		var g, w any
		if err := json.Unmarshal(got, &g); err != nil {
			t.Errorf("%s: %v: %s", c.name, err, got)
			continue
		}
		if err := json.Unmarshal([]byte(c.want), &w); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(g, w) {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
		if strings.Contains(string(got), "evil") || strings.Contains(string(got), "sentAt") {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

func TestAppendString(t *testing.T) {
	for in, want := range map[string]string{
		"":                      `""`,
		`a"b\c`:                 `"a\"b\\c"`,
		"\n\r\t\x00\x1f\x7f":    "\"\\n\\r\\t\\u0000\\u001f\x7f\"",
		"<&>":                   `"<&>"`,
		"é€😀":                   `"é€😀"`,
		"a\xffb\xc3":            `"a\ufffdb\ufffd"`,
		"\xed\xa0\x80":          `"\ufffd\ufffd\ufffd"`, // a surrogate in UTF-8
		"a\u2028b\u2029c":       `"a\u2028b\u2029c"`,
		"\uFFFD stays as it is": "\"\uFFFD stays as it is\"",
	} {
		if got := string(appendString(nil, in)); got != want {
			t.Errorf("appendString(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestValidate(t *testing.T) {
	valid := Event{Type: Track, Name: "n", UserID: "u"}
	for name, change := range map[string]func(*Event){
		"no type":            func(e *Event) { e.Type = 0 },
		"unknown type":       func(e *Event) { e.Type = Screen + 1 },
		"nobody":             func(e *Event) { e.UserID = "" },
		"track without name": func(e *Event) { e.Name = "" },
		"year 10000":         func(e *Event) { e.Timestamp = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"traits array":       func(e *Event) { e.Traits = json.RawMessage(`[]`) },
		"traits null":        func(e *Event) { e.Traits = json.RawMessage(`null`) },
		"traits broken":      func(e *Event) { e.Traits = json.RawMessage(`{"a":}`) },
		"two objects":        func(e *Event) { e.Traits = json.RawMessage(`{}{}`) },
		"properties string":  func(e *Event) { e.Properties = json.RawMessage(`"x"`) },
		"context array":      func(e *Event) { e.Context.Own = json.RawMessage(`[]`) },
		"extra number":       func(e *Event) { e.Extra = json.RawMessage(`1`) },
		"extra spaces":       func(e *Event) { e.Extra = json.RawMessage(`  `) },
	} {
		e := valid
		change(&e)
		if err := e.Validate(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := valid.Validate(); err != nil {
		t.Error(err)
	}
}

func TestCampaignIsBounded(t *testing.T) {
	e := &Event{Type: Page, AnonymousID: "a", Timestamp: when}
	for i := range 100_000 {
		e.Context.Campaign = append(e.Context.Campaign, Param{strings.Repeat("k", i%50), "v"})
	}
	var got struct {
		Context struct{ Campaign map[string]string }
	}
	if err := json.Unmarshal(e.append(nil, ""), &got); err != nil || len(got.Context.Campaign) != MaxCampaign {
		t.Errorf("%d parameters, %v", len(got.Context.Campaign), err)
	}
}

func TestSentAt(t *testing.T) {
	stored := Stored(pageEvent().append(nil, "1.0"))
	sent := stored.AppendSent(nil, AppendSentAt(nil, when.Add(time.Hour)))
	if len(sent) != len(stored)+sentAtBytes {
		t.Errorf("%d bytes more, want %d", len(sent)-len(stored), sentAtBytes)
	}
	var got, want map[string]any
	if err := errors.Join(json.Unmarshal(sent, &got), json.Unmarshal(stored, &want)); err != nil {
		t.Fatal(err)
	}
	want["sentAt"] = "2026-03-01T13:00:00.123Z"
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func FuzzStore(f *testing.F) {
	f.Add(uint8(1), "Cart", "a", "u", `{"a":1}`, `{"path":"x"}`, `{"assetId":1}`, "utm", "/p?q=1")
	f.Add(uint8(2), "Signed\u2028Up", "", "u\xff", ``, `{"a":"\ud800"}`, "{\"us\\u0065rId\":\"\xff\"}", "", "")
	f.Add(uint8(Screen), "Cart", "a", "u", ``, `{"a":1}`, `{"name":"other","category":"c"}`, "", "")
	f.Add(uint8(3), "", "a", "", ` { "x" : [ { } , "]" ] } `, ``, ` {} `, "\x00", "\"")
	f.Fuzz(func(t *testing.T, typ uint8, name, anon, user, traits, props, extra, key, url string) {
		e := &Event{
			Type: Type(typ), Name: name, AnonymousID: anon, UserID: user, MessageID: "m", Timestamp: when,
			Traits: json.RawMessage(traits), Properties: json.RawMessage(props), Extra: json.RawMessage(extra),
			Context: Context{UserAgent: name, Page: PageContext{URL: url, Path: key}, Campaign: []Param{{key, url}, {name, user}}},
		}
		if e.Validate() != nil {
			return
		}
		data := Stored(e.append(nil, "1.0"))
		if !utf8.Valid(data) || !IsStored(data) {
			t.Fatalf("not UTF-8 or not recognised: %q", data)
		}
		sent := data.AppendSent(nil, AppendSentAt(nil, when))
		var got map[string]any
		if err := json.Unmarshal(sent, &got); err != nil {
			t.Fatalf("%v: %s", err, sent)
		}
		want := map[string]any{"type": e.Type.String(), "timestamp": "2026-03-01T12:00:00.123Z", "sentAt": "2026-03-01T12:00:00.123Z", "messageId": "m"}
		want["event"] = e.Type.String()
		if e.Type == Track {
			want["event"] = toValid(name)
		}
		if anon != "" {
			want["anonymousId"] = toValid(anon)
		}
		if user != "" {
			want["userId"] = toValid(user)
		}
		for k, v := range want {
			if got[k] != v {
				t.Errorf("%s is %q, want %q: %s", k, got[k], v, sent)
			}
		}
		own := map[Type]string{Page: props, Track: props, Screen: props, Identify: traits}[e.Type]
		field := map[Type]string{Page: "properties", Track: "properties", Screen: "properties", Identify: "traits"}[e.Type]
		members, isMap := got[field].(map[string]any)
		if !isMap {
			t.Fatalf("%s is not an object: %s", field, sent)
		}
		for k, v := range object(own) {
			if !reflect.DeepEqual(members[k], v) {
				t.Errorf("%s.%s is %v, want %v", field, k, members[k], v)
			}
		}
		for k, v := range object(extra) {
			if !e.owns(k) && !reflect.DeepEqual(got[k], v) {
				t.Errorf("%s is %v, want %v", k, got[k], v)
			}
		}
	})
}

// toValid does what the decoder of JSON does with a string's bytes.
func toValid(s string) string { return string([]rune(s)) }

func object(s string) map[string]any {
	var m map[string]any
	_ = json.Unmarshal([]byte(s), &m) // "" leaves nil
	return m
}
