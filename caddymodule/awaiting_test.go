package caddymodule

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/caddymodule/internal/reserved"
	"github.com/intilery/caddy-intilery/cookie"
)

// What waits for a consent is bounded in bytes and in time, and counted where it is
// dropped.
func TestAwaitingPagesAreBounded(t *testing.T) {
	h := newBenchHandler(t)
	waiting := h.app.queue.awaiting
	now := time.Now()
	at := func(when time.Time) *exchange {
		x := &exchange{h: h, r: request(t, "document", nil), tracked: true}
		x.request = cookie.Request{Host: "shop.example.com", Now: when}
		return x
	}
	dropped := func() float64 { return counter(t, at(now).metrics().ignored.WithLabelValues(consentNotShown)) }
	before := dropped()
	pages := func(id string) int { return len(waiting.take(id)) }

	waiting.add(at(now), new(reserved.AppHeaders), "A")
	long := &reserved.AppHeaders{Page: reserved.PageValue{Properties: []byte(`{"a":"` + strings.Repeat("x", maxAwaitingData) + `"}`)}}
	waiting.add(at(now), long, "A")
	got := waiting.take("A")
	if len(got) != 2 || got[1].event.Data != nil || waiting.size != 0 || waiting.byAge.Len() != 0 {
		t.Errorf("%d pages wait, with %d bytes left", len(got), waiting.size)
	}

	waiting.add(at(now), new(reserved.AppHeaders), "late")
	waiting.release(at(now.Add(awaitingLife+time.Second)), "late")
	if got := dropped() - before; got != 1 || pages("late") != 0 {
		t.Errorf("%v pages were dropped for their age, want 1", got)
	}

	before = dropped()
	waiting.add(at(now), new(reserved.AppHeaders), "0")
	each := waiting.size
	for n := 1; n < maxAwaiting/each+5; n++ {
		waiting.add(at(now), new(reserved.AppHeaders), strconv.Itoa(n))
	}
	if got := dropped() - before; got < 4 || got > 6 || pages("0") != 0 || waiting.size > maxAwaiting {
		t.Errorf("%v pages were dropped for want of room, and %d bytes wait", got, waiting.size)
	}
}

// Pages of a visitor who refuses are dropped, and counted.
func TestAwaitingPagesOfWhoRefuses(t *testing.T) {
	r := newRig(t)
	r.serve("intilery {\nconsent {\ncookie agreed ^yes$\n}\n}\nreverse_proxy " + newServer(t, http.HandlerFunc(echoing)))
	r.get("/first", header("Cookie", "agreed=yes"))
	r.get("/landing")
	dropped := counter(t, siteMetrics.ignored.WithLabelValues("srv0", "no_consent"))
	r.get("/refuses", header("Cookie", "agreed=no"))
	if got := counter(t, siteMetrics.ignored.WithLabelValues("srv0", "no_consent")) - dropped; got != 1 {
		t.Errorf("%v pages were dropped, want 1", got)
	}
}
