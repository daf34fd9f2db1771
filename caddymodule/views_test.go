package caddymodule

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/intilery/caddy-intilery/forwarder/event"
)

// viewing is a views with what it has sent.
type viewing struct {
	views
	withheld prometheus.Counter

	sending  sync.Mutex
	captured []string
}

func newViewing() *viewing {
	v := &viewing{withheld: prometheus.NewCounter(prometheus.CounterOpts{Name: "withheld"})}
	v.capture = func(_ string, e *event.Event) error {
		v.sending.Lock()
		defer v.sending.Unlock()
		v.captured = append(v.captured, e.AnonymousID+e.Context.Page.Path)
		return nil
	}
	return v
}

func (v *viewing) opens(id, path string) {
	e := &event.Event{Type: event.Page, AnonymousID: id}
	e.Context.Page.Path = path
	v.withhold("main", e, v.withheld)
}

func (v *viewing) want(t *testing.T, captured string, withheld float64) {
	t.Helper()
	synctest.Wait()
	v.sending.Lock()
	defer v.sending.Unlock()
	if got := fmt.Sprint(v.captured); got != captured {
		t.Errorf("sent %s, want %s", got, captured)
	}
	if got := counter(t, v.withheld); got != withheld {
		t.Errorf("%v withheld, want %v", got, withheld)
	}
}

// A view has one page event: the tag's, the server's when the tag is blocked, and
// the server's when the tag is slow, whose event is dropped then.
func TestViews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newViewing()
		v.opens("a", "/tag")
		if v.claim("a", "/tag") {
			t.Error("the tag's event was dropped")
		}
		v.opens("a", "/slow")
		v.opens("b", "/blocked")
		time.Sleep(tagWait - time.Second)
		v.want(t, "[]", 1)
		time.Sleep(2 * time.Second)
		v.want(t, "[a/slow b/blocked]", 1)
		if !v.claim("a", "/slow") {
			t.Error("a view was counted twice")
		}
		if v.claim("a", "/slow") || v.claim("b", "/other") || v.claim("c", "/blocked") {
			t.Error("a view that the server has not sent was dropped")
		}
		v.opens("a", "/next") // while others are remembered
		time.Sleep(tagWait + time.Second)
		v.want(t, "[a/slow b/blocked a/next]", 1)
		time.Sleep(viewLife)
		if v.claim("b", "/blocked") {
			t.Error("a view of an hour ago was taken for this one")
		}
		v.want(t, "[a/slow b/blocked a/next]", 1)
		if len(v.byID) != 0 || len(v.sent) != 0 || len(v.views.withheld) != 0 || v.bytes != 0 {
			t.Errorf("left: %v %v %v, %d bytes", v.byID, v.sent, v.views.withheld, v.bytes)
		}
	})
}

// Two views of one page are two, whoever sends them.
func TestViewsOfOnePage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newViewing()
		v.opens("a", "/")
		v.opens("a", "/")
		if v.claim("a", "/") {
			t.Error("dropped")
		}
		time.Sleep(2 * tagWait)
		v.want(t, "[a/]", 1)
	})
}

// Memory is bounded, and nothing is lost by it or at the end.
func TestViewsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newViewing()
		const n = maxWithheld/1024 + 100
		for i := range n {
			v.opens("a", fmt.Sprint("/", i))
		}
		if len(v.captured) < 100 || v.bytes > maxWithheld {
			t.Errorf("%d sent, %d bytes", len(v.captured), v.bytes)
		}
		v.flush()
		if len(v.captured) != n {
			t.Errorf("%d sent, want %d", len(v.captured), n)
		}
	})
}
