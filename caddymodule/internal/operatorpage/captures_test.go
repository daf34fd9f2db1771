package operatorpage

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/internal/faketime"
)

func none(uint64) bool { return false }

// take captures a track of a visitor, as the forwarder does.
func take(t *testing.T, c *Captures, name, anonymousID, userID string) {
	t.Helper()
	e := &event.Event{Type: event.Track, Name: name, AnonymousID: anonymousID, UserID: userID}
	stored, err := e.Store("")
	if err != nil {
		t.Fatal(err)
	}
	c.Captured("default", e, stored)
}

// names lists the kept events, the latest first.
func names(c *Captures) string {
	var list []string
	for _, l := range c.List(none) {
		list = append(list, l.Name)
	}
	return strings.Join(list, " ")
}

func TestCapturesListNoPayload(t *testing.T) {
	c := new(Captures)
	take(t, c, "Ordered", "anon-1", "user-1")
	take(t, c, "Paid", "anon-1", "user-1")
	list := c.List(none)
	if len(list) != 2 || list[0].Name != "Paid" || list[1].Name != "Ordered" || list[0].ID <= list[1].ID {
		t.Errorf("%+v", list)
	}
	if text := fmt.Sprintf("%+v", list); strings.Contains(text, "anon-1") || strings.Contains(text, "user-1") {
		t.Errorf("the list names the visitor: %s", text)
	}
	list = c.List(func(id uint64) bool { return id == list[1].ID })
	if list[0].Event != nil || !strings.Contains(string(list[1].Event), "user-1") {
		t.Errorf("%+v", list)
	}
}

// They are bounded in number, in bytes and in time.
func TestCapturesAreBounded(t *testing.T) {
	faketime.Test(t, func(t *testing.T) {
		c := new(Captures)
		for n := range maxCaptures + 5 {
			take(t, c, fmt.Sprint(n), "a", "")
		}
		if list := c.List(none); len(list) != maxCaptures || list[maxCaptures-1].Name != "5" {
			t.Errorf("%d are kept, the oldest is %s", len(list), list[len(list)-1].Name)
		}
		for range 40 {
			take(t, c, strings.Repeat("x", 20_000), "a", "")
			if c.bytes > maxCaptureBytes {
				t.Fatalf("%d bytes are kept", c.bytes)
			}
		}
		if len(c.List(none)) == 0 {
			t.Error("none is kept")
		}
		time.Sleep(captureLife - time.Second)
		take(t, c, "young", "a", "")
		c.Expire(time.Now())
		if before := len(c.List(none)); before < 2 {
			t.Errorf("%d are kept before their time", before)
		}
		time.Sleep(time.Second)
		c.Expire(time.Now())
		if got := names(c); got != "young" {
			t.Errorf("kept %q", got)
		}
		time.Sleep(captureLife)
		c.Expire(time.Now())
		if c.bytes != 0 || c.count != 0 {
			t.Errorf("%d bytes of %d are left", c.bytes, c.count)
		}
	})
}

// A visitor's events are forgotten, and nobody else's.
func TestCapturesForget(t *testing.T) {
	fill := func() *Captures {
		c := new(Captures)
		take(t, c, "1", "a", "u")
		take(t, c, "2", "b", "u")
		take(t, c, "3", "a", "")
		take(t, c, "4", "", "u")
		return c
	}
	for _, tt := range []struct {
		forget func(*Captures)
		want   string
	}{
		{func(c *Captures) { c.Drop("a") }, "4 2"},
		{func(c *Captures) { c.Drop("x") }, "4 3 2 1"},
		{func(c *Captures) { c.Erased(func(a, _ string) bool { return a == "a" }) }, "4 2"},
		{func(c *Captures) { c.Erased(func(_, u string) bool { return u == "u" }) }, "3"},
	} {
		c := fill()
		before := c.Mark()
		take(t, c, "5", "x", "")
		if c.Mark() != before {
			t.Error("a capture changes the mark")
		}
		c.Drop("x")
		before = c.Mark()
		tt.forget(c)
		if c.Mark() == before {
			t.Error("the mark stays when a visitor is erased")
		}
		if got := names(c); got != tt.want {
			t.Errorf("left %q, want %q", got, tt.want)
		}
		bytes := 0
		for _, l := range c.snapshot() {
			bytes += cap(l.stored)
		}
		if c.bytes != bytes {
			t.Errorf("counts %d bytes, has %d", c.bytes, bytes)
		}
	}
}

// What is on a visitor's request costs no allocation.
func TestCaptureAllocates(t *testing.T) {
	c := new(Captures)
	e := &event.Event{Type: event.Page, AnonymousID: "a"}
	stored, err := e.Store("")
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(200, func() { c.Captured("default", e, stored); c.Drop("b") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What comes, goes and is read at the same time leaves nothing of whom is erased last.
func TestCapturesAtOnce(t *testing.T) {
	c := new(Captures)
	e := &event.Event{Type: event.Track, Name: "x", AnonymousID: "a", UserID: "u"}
	stored, err := e.Store("")
	if err != nil {
		t.Fatal(err)
	}
	isUser := func(_, userID string) bool { return userID == "u" }
	var all sync.WaitGroup
	for _, run := range []func(){
		func() { c.Captured("default", e, stored) },
		func() { c.Captured("default", e, stored) },
		func() { c.Erased(isUser) },
		func() { c.Drop("a") },
		func() { c.Mark(); c.List(func(uint64) bool { return true }) },
		func() { c.Expire(time.Now().Add(captureLife)) },
	} {
		all.Go(func() {
			for range 2000 {
				run()
			}
		})
	}
	all.Wait()
	c.Erased(isUser)
	if list := c.List(none); len(list) > 0 || c.bytes != 0 {
		t.Errorf("%d are left, of %d bytes", len(list), c.bytes)
	}
}
