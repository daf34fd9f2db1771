package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestStored(t *testing.T) {
	s, err := (&Event{Type: Track, Name: "a \"b\"", AnonymousID: "an\u2028on", UserID: "ü", MessageID: "m-1", Timestamp: when,
		Extra: json.RawMessage(`{"deep":{"userId":"x"}}`)}).Store("1.0")
	if err != nil {
		t.Fatal(err)
	}
	a, u := s.IDs()
	if a != "an\u2028on" || u != "ü" {
		t.Errorf("IDs %q %q", a, u)
	}
	if s.Name() != `a "b"` || s.Type() != Track || s.MessageID() != "m-1" {
		t.Errorf("name %q, type %v, messageId %q", s.Name(), s.Type(), s.MessageID())
	}
	if got := s.Time(); !got.Equal(when.Truncate(time.Millisecond)) {
		t.Errorf("time %v", got)
	}
	if got := s.AppendSent(nil, AppendSentAt(nil, when)); len(got) != s.SentBytes() {
		t.Errorf("%d bytes, SentBytes says %d", len(got), s.SentBytes())
	}
}

func TestStoreFillsIn(t *testing.T) {
	e := &Event{Type: Identify, UserID: "u"}
	s, err := e.Store("")
	if err != nil || len(s.MessageID()) != 36 || time.Since(s.Time()) > time.Minute {
		t.Errorf("%s, %v", s, err)
	}
	if e.MessageID != "" || !e.Timestamp.IsZero() {
		t.Errorf("the event was changed: %+v", e)
	}
	again, err := e.Store("")
	if err != nil || again.MessageID() == s.MessageID() {
		t.Error("two events share a messageId")
	}
}

func TestStoreSize(t *testing.T) {
	e := Event{Type: Track, Name: "n", AnonymousID: "v", Timestamp: when, MessageID: "m"}
	props := func(n int) json.RawMessage { return json.RawMessage(`{"x":"` + strings.Repeat("x", n) + `"}`) }
	e.Properties = props(0)
	s, err := e.Store("")
	if err != nil {
		t.Fatal(err)
	}
	fits := MaxBytes - s.SentBytes()
	e.Properties = props(fits)
	if s, err := e.Store(""); err != nil || s.SentBytes() != MaxBytes {
		t.Errorf("%d bytes, %v", s.SentBytes(), err)
	}
	e.Properties = props(fits + 1)
	if _, err := e.Store(""); !errors.Is(err, ErrTooLarge) {
		t.Errorf("one byte more: %v", err)
	}
}

// Nesting is bounded far below what a JSON parser takes.
func TestDepth(t *testing.T) {
	nested := func(n int) json.RawMessage {
		return json.RawMessage(strings.Repeat(`{"a":[`, n/2) + `"}]{["` + strings.Repeat(`]}`, n/2))
	}
	for n, want := range map[int]bool{2: true, MaxDepth: true, MaxDepth + 2: false, 9_998: false, 20_000: false} {
		raw := nested(n)
		if d := Depth(raw); d != n {
			t.Errorf("depth %d, want %d", d, n)
		}
		for name, e := range map[string]Event{
			"traits":     {Type: Identify, UserID: "u", Traits: raw},
			"properties": {Type: Page, UserID: "u", Properties: raw},
			"extra":      {Type: Track, Name: "n", UserID: "u", Extra: raw},
		} {
			if _, err := e.Store(""); (err == nil) != want || err != nil && !errors.Is(err, ErrInvalid) {
				t.Errorf("%s nested %d deep: %v", name, n, err)
			}
		}
	}
}

func TestIsCommand(t *testing.T) {
	for name, want := range map[string]bool{
		"send_email": true, "send_sms": true, "send_print": true, "send_push": true, "start_journey": true,
		"send_email_opened": false, "send": false, "Send_email": false, `send_email\"`: false,
	} {
		s, err := (&Event{Type: Track, Name: name, UserID: "u"}).Store("1.0")
		if err != nil || s.IsCommand() != want {
			t.Errorf("%s: %v, %v", name, s.IsCommand(), err)
		}
	}
	if s, err := (&Event{Type: Page, Name: "send_email", UserID: "u"}).Store(""); err != nil || s.IsCommand() {
		t.Errorf("a page passes for a command: %v", err)
	}
}

// A browser's events share a lane, known user or not.
func TestLane(t *testing.T) {
	users, visitors := map[int]bool{}, map[int]bool{}
	for i := range 200 {
		id := fmt.Sprint("id-", i)
		before, after := Lane(id, "", 8), Lane(id, "u", 8)
		if before != after {
			t.Errorf("%s changes its lane by a login", id)
		}
		visitors[before], users[Lane("", id, 8)] = true, true
	}
	if len(users) != 8 || len(visitors) != 8 {
		t.Errorf("%d and %d lanes in use, want all", len(users), len(visitors))
	}
	// A backlog on disk depends on it.
	if n := Lane("7e0f6c1e-8e0a-4f46-9d86-3a7f1c6ee0a1", "", 8); n != 4 {
		t.Errorf("lane %d: the hash has changed", n)
	}
}

// FuzzStored: what IsStored takes, whatever it is, can be read.
func FuzzStored(f *testing.F) {
	s, err := pageEvent().Store("1.0")
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(s))
	f.Add([]byte(`{"timestamp":"2026-03-01T12:00:00.123Z","anonymousId":"a","userId":`))
	f.Add([]byte(`{"timestamp":"2026-03-01T12:00:00.123Z"` + strings.Repeat(`,"a":{`, 200) + `}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if !IsStored(data) {
			return
		}
		s := Stored(data)
		s.IDs()
		s.Name()
		s.Type()
		s.Time()
		s.MessageID()
		s.IsCommand()
		s.Visitor()
		if len(s.AppendSent(nil, AppendSentAt(nil, when))) != s.SentBytes() {
			t.Error("SentBytes is wrong")
		}
	})
}

// TestEncodeAllocations is a budget: none beyond the buffer, and the title that
// the properties name themselves.
func TestEncodeAllocations(t *testing.T) {
	e := pageEvent()
	if n := testing.AllocsPerRun(1000, func() { e.append(make([]byte, 0, e.sizeHint()), "1.0") }); n > 2 {
		t.Errorf("encoding makes %v allocations, want 2", n)
	}
}

func BenchmarkEncode(b *testing.B) {
	e := pageEvent()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = e.append(buf[:0], "1.0")
	}
	b.SetBytes(int64(len(buf)))
}
