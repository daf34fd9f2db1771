package event

import (
	"encoding/json"
	"testing"
	"time"
)

// What a client said of its context wins over what the server knows, and nothing
// is there twice.
func TestOwnContext(t *testing.T) {
	e := Event{
		Type: Screen, Name: "Cart", UserID: "u", MessageID: "m", Timestamp: time.UnixMilli(0), OriginalTimestamp: "2001-01-01T00:00:00Z",
		Extra: json.RawMessage(`{"originalTimestamp":"other","category":"Shop"}`),
		Context: Context{
			IP: "192.0.2.1", UserAgent: "A", Locale: "de", Campaign: []Param{{"name", "x"}},
			Page: PageContext{Path: "/server"},
			Own:  json.RawMessage(` {"page":{"path":"/own"},"library":{"name":"sdk"},"locale":"fr"} `),
		},
	}
	s, err := e.Store("1.0")
	if err != nil {
		t.Fatal(err)
	}
	want := `{"timestamp":"1970-01-01T00:00:00.000Z","type":"screen","event":"screen","name":"Cart","userId":"u","messageId":"m",` +
		`"originalTimestamp":"2001-01-01T00:00:00Z","properties":{},` +
		`"context":{"page":{"path":"/own"},"library":{"name":"sdk"},"locale":"fr","ip":"192.0.2.1","userAgent":"A","campaign":{"name":"x"}},"category":"Shop"}`
	if string(s) != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
	if s.Type() != Screen {
		t.Errorf("read as %v", s.Type())
	}
}

// The app's events are worth more than those of anybody, whatever their types,
// but that a page is a page.
func TestClassOfCollected(t *testing.T) {
	order := []Event{
		{Type: Page}, {Type: Track, Source: Collected}, {Type: Identify, Source: Collected}, {Type: Track}, {Type: Identify},
	}
	for i, e := range order {
		if int(e.Class()) != i {
			t.Errorf("%v of source %d has class %d, want %d", e.Type, e.Source, e.Class(), i)
		}
		if OfClass(e.Class()) != e.Type {
			t.Errorf("class %d is of type %v, want %v", i, OfClass(e.Class()), e.Type)
		}
	}
	for _, e := range []Event{{Type: Screen}, {Type: Page, Source: Collected}, {Type: Screen, Source: Collected}} {
		if e.Class() != 0 {
			t.Errorf("%v of source %d has class %d", e.Type, e.Source, e.Class())
		}
	}
}
