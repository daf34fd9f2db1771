package sandbox

import (
	"net/http"
	"strings"
	"testing"

	"github.com/intilery/caddy-intilery/internal/webui/webuitest"
)

func TestPage(t *testing.T) {
	s := newTest(t, Options{})
	webuitest.Page(t, static)
	webuitest.Served(t, s, "/", static)
	webuitest.Headers(t, s, "/", "/static/app.js", "/static/base.css", "/static/icon.svg", "/api/events", "/faults", "/nothing")
}

func TestPageOffersEachFault(t *testing.T) {
	page := webuitest.Read(t, static)["index.html"]
	for _, f := range faults {
		if !strings.Contains(page, `name="fault" value="`+string(f)+`"`) {
			t.Errorf("the page does not offer the fault %s", f)
		}
	}
}

// The page is the same whatever was received: events reach it as JSON only.
func TestPageShowsEventsAsTextOnly(t *testing.T) {
	s := newTest(t, testAccount)
	const evil = `</script><script>alert(1)</script><img src=x onerror=alert(2)>`
	accept(t, s, "track", `{"event":"`+evil+`","userId":"`+evil+`","anonymousId":"`+evil+`","messageId":"`+evil+`"}`)
	accept(t, s, "identify", identify(evil, evil, `{"`+evil+`":"`+evil+`"}`))
	for _, target := range []string{"/", "/static/app.js", "/api/events", "/api/profiles"} {
		a := do(t, s, request(http.MethodGet, target, nil))
		if strings.Contains(a.body, "alert(1)</script>") {
			t.Errorf("%s carries the event's markup", target)
		}
		if strings.HasPrefix(target, "/api/") {
			if got := a.header.Get("Content-Type"); got != "application/json" {
				t.Errorf("%s: content-type %q", target, got)
			}
		}
	}
}
