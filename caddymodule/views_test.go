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

// tags is a page event of the tag, durable or not; it reports that it was dropped.
func (v *viewing) tags(durable bool, id string, paths ...string) (dropped bool) {
	claimed, sent := v.claim(id, paths...)
	if claimed != nil {
		claimed.settle(durable)
	}
	return sent
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

// forgot checks that nothing is left in memory.
func (v *viewing) forgot(t *testing.T) {
	t.Helper()
	synctest.Wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.byPage) != 0 || len(v.sent) != 0 || len(v.views.withheld) != 0 || v.bytes != 0 {
		t.Errorf("left: %v %v %v, %d bytes", v.byPage, v.sent, v.views.withheld, v.bytes)
	}
}

// A view has one page event: the tag's, the server's when the tag is blocked, and
// the server's when the tag is slow, whose event is dropped then.
func TestViews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newViewing()
		v.opens("a", "/tag")
		if v.tags(true, "a", "/tag") {
			t.Error("the tag's event was dropped")
		}
		v.opens("a", "/slow")
		v.opens("b", "/blocked")
		time.Sleep(tagWait - time.Second)
		v.want(t, "[]", 1)
		time.Sleep(2 * time.Second)
		v.want(t, "[a/slow b/blocked]", 1)
		if !v.tags(true, "a", "/slow") {
			t.Error("a view was counted twice")
		}
		if v.tags(true, "a", "/slow") || v.tags(true, "b", "/other") || v.tags(true, "c", "/blocked") {
			t.Error("a view that the server has not sent was dropped")
		}
		v.opens("a", "/next") // while others are remembered
		time.Sleep(tagWait + time.Second)
		v.want(t, "[a/slow b/blocked a/next]", 1)
		time.Sleep(viewLife)
		if v.tags(true, "b", "/blocked") {
			t.Error("a view of an hour ago was taken for this one")
		}
		v.want(t, "[a/slow b/blocked a/next]", 1)
		v.forgot(t)
	})
}

// Two views of one page are two, whoever sends them.
func TestViewsOfOnePage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newViewing()
		v.opens("a", "/")
		v.opens("a", "/")
		if v.tags(true, "a", "/") {
			t.Error("dropped")
		}
		time.Sleep(2 * tagWait)
		v.want(t, "[a/]", 1)
	})
}

// A view whose tag never came does not make later ones lag, and the page that the
// browser names counts only where the tag's own has no view.
func TestViewsOfLaterVisits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newViewing()
		v.opens("a", "/")
		time.Sleep(time.Minute)
		for range 3 {
			v.opens("a", "/")
			v.opens("a", "/b")
			if v.tags(true, "a", "/b", "/") || v.tags(true, "a", "/") {
				t.Error("a later view was taken for the first")
			}
			time.Sleep(time.Minute)
		}
		v.opens("a", "/canonical")
		if v.tags(true, "a", "/other", "/canonical") {
			t.Error("dropped")
		}
		v.want(t, "[a/]", 7)
	})
}

// While the tag's event is not durable, the server's is not given up; when it will
// not be, the server's is sent.
func TestViewsClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newViewing()
		v.opens("a", "/failed")
		if v.tags(false, "a", "/failed") {
			t.Error("dropped")
		}
		v.opens("a", "/slow")
		slow, _ := v.claim("a", "/slow")
		if other, sent := v.claim("a", "/slow"); other != nil || sent {
			t.Error("claimed twice")
		}
		time.Sleep(2 * tagWait)
		v.want(t, "[a/failed]", 0)
		slow.settle(false)
		v.want(t, "[a/failed a/slow]", 0)
		if !v.tags(true, "a", "/slow") {
			t.Error("counted twice")
		}
		time.Sleep(viewLife)
		v.want(t, "[a/failed a/slow]", 0)
		v.forgot(t)
	})
}

// Nothing of a visitor who is erased is sent afterwards.
func TestViewsDrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newViewing()
		v.opens("a", "/")
		v.opens("a", "/claimed")
		v.opens("b", "/")
		claimed, _ := v.claim("a", "/claimed")
		if n := v.drop("a", ""); n != 2 {
			t.Errorf("%d dropped", n)
		}
		claimed.settle(false)
		e := &event.Event{Type: event.Page, AnonymousID: "c", UserID: "u"}
		v.withhold("main", e, v.withheld)
		if n := v.drop("", "u"); n != 1 {
			t.Errorf("%d of a user dropped", n)
		}
		time.Sleep(viewLife + 2*tagWait)
		v.want(t, "[b/]", 0)
		v.forgot(t)
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
