package caddymodule

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/intilery/caddy-intilery/caddymodule/internal/reserved"
)

// A link in a mail: the browser withholds the consent manager's strict cookie.
// Nothing is touched, and the landing page is counted once the consent is seen.
func TestConsentNotShown(t *testing.T) {
	r := newRig(t)
	r.serve("intilery {\nconsent {\ncookie agreed ^yes$\n}\n}\nreverse_proxy " + newServer(t, http.HandlerFunc(echoing)))
	agrees := header("Cookie", "agreed=yes")
	r.get("/first", agrees)
	before := r.cookies()
	id := r.id()
	if id == "" {
		t.Fatalf("no ID: %v", before)
	}

	landing := r.get("/landing?utm_source=mail", header("Sec-Fetch-Site", "cross-site"))
	if got := landing.Header["Set-Cookie"]; got != nil {
		t.Errorf("the landing page set %v", got)
	}
	r.get("/landing2?Intilery-Track=Unsaid&Intilery-User-Id=7", header("Sec-Fetch-Site", "cross-site"))
	if now := r.cookies(); now["intilery_keeper"] != before["intilery_keeper"] || r.id() != id {
		t.Errorf("cookies %v, want %v", now, before)
	}
	r.get("/next", agrees)

	calls := r.calls(4)
	if got := paths(calls); got != "/first /landing /landing2 /next" {
		t.Fatalf("events %s", got)
	}
	for _, c := range calls {
		if c.AnonymousID != id || c.UserID != "" {
			t.Errorf("%s went as %s %s, want %s", c.Properties["path"], c.AnonymousID, c.UserID, id)
		}
	}
	if source := calls[1].Context["campaign"].(map[string]any)["source"]; source != "mail" {
		t.Errorf("campaign source %v", source)
	}
	if calls[1].Timestamp.After(calls[3].Timestamp) {
		t.Errorf("the landing page happened at %v, after the next at %v", calls[1].Timestamp, calls[3].Timestamp)
	}

	refused := r.get("/refused", header("Cookie", "agreed=no"))
	for _, line := range refused.Header["Set-Cookie"] {
		if !strings.Contains(line, "Max-Age=0") {
			t.Errorf("a refusal set %s", line)
		}
	}
	if left := r.cookies(); len(left) != 0 {
		t.Errorf("a refusal left %v", left)
	}
}

// Without a consent that anybody ever gave nothing is set, and nothing waits.
func TestConsentNeverGiven(t *testing.T) {
	r := newRig(t)
	r.serve("intilery {\nconsent {\ncookie agreed ^yes$\n}\n}\nreverse_proxy " + newServer(t, http.HandlerFunc(echoing)))
	if got := r.get("/one").Header["Set-Cookie"]; got != nil {
		t.Errorf("set %v", got)
	}
	r.get("/two?Intilery-Track=A&Intilery-User-Id=7")
	r.get("/three", header("Cookie", "agreed=yes"))
	if got := paths(r.calls(1)); got != "/three" {
		t.Errorf("events %s", got)
	}
}

// Opt-out: granted until the browser, the cookie or the app refuses.
func TestConsentImplied(t *testing.T) {
	r := newRig(t)
	r.serve("intilery {\nconsent {\nimplied\ncookie CookieControl `\"analytics\":\"accepted\"`\n}\n}\nreverse_proxy " + newServer(t, http.HandlerFunc(echoing)))
	for name, refuse := range map[string]func(*http.Request){
		"GPC":               header("Sec-Gpc", "1"),
		"a raw JSON cookie": header("Cookie", `CookieControl={"optionalCookies":{"analytics":"revoked"}}`),
	} {
		other := r.stranger()
		if other.get("/new", refuse); len(other.cookies()) != 0 {
			t.Errorf("%s: a new visitor has %v", name, other.cookies())
		}
	}
	r.get("/first")
	if r.id() == "" {
		t.Fatalf("no ID: %v", r.cookies())
	}
	r.get("/raw", header("Cookie", `CookieControl={"optionalCookies":{"analytics":"accepted"}}`))
	r.calls(2) // what is delivered cannot be erased any more
	r.get("/refused", header("Cookie", `CookieControl={"optionalCookies":{"analytics":"revoked"}}`))
	if id := r.id(); id != "" {
		t.Errorf("a refusal left %s", id)
	}
	// A request of another site lacks the strict cookie: the refusal is remembered.
	r.get("/landing", header("Sec-Fetch-Site", "cross-site"))
	if id := r.id(); id != "" {
		t.Errorf("after a refusal a landing page minted %s", id)
	}
	r.get("/agrees", header("Cookie", `CookieControl={"optionalCookies":{"analytics":"accepted"}}`))
	if got := paths(r.calls(3)); got != "/first /raw /agrees" {
		t.Errorf("events %s", got)
	}
}

// Consent: nothing is set, sent or told before it is given, all goes after it
// is withdrawn.
func TestConsent(t *testing.T) {
	r := newRig(t)
	var told string
	app := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		told = req.Header.Get(reserved.AnonymousID)
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Intilery-Track", req.URL.Path)
	})
	upstream := newServer(t, app)
	r.serve(`
	intilery {
		consent {
			cookie choice ^yes$
		}
	}
	reverse_proxy ` + upstream)
	choose := func(value string) func(*http.Request) {
		return func(req *http.Request) { req.AddCookie(&http.Cookie{Name: "choice", Value: value}) }
	}
	if before := r.get("/before"); len(before.Header["Set-Cookie"]) != 0 || told != "" {
		t.Errorf("without consent: %v, told %q", before.Header["Set-Cookie"], told)
	}
	r.get("/given", choose("yes"))
	given := told
	if told == "" || len(r.cookies()) != 2 {
		t.Errorf("with consent: told %q, cookies %v", told, r.cookies())
	}
	r.calls(2) // before they would be erased
	r.get("/gpc", choose("yes"), header("Sec-GPC", "1"))
	if told != "" || len(r.cookies()) != 0 {
		t.Errorf("with GPC: told %q, cookies %v", told, r.cookies())
	}
	r.get("/again", choose("yes"))
	r.calls(4)
	r.get("/withdrawn", choose("no"))
	if left := r.cookies(); told != "" || len(left) != 0 {
		t.Errorf("withdrawn: told %q, cookies %v", told, left)
	}
	calls := r.calls(4)
	// The one who came back is somebody else, and may be sent first.
	slices.SortStableFunc(calls, func(a, b call) int {
		switch {
		case a.AnonymousID == b.AnonymousID:
			return 0
		case a.AnonymousID == given:
			return -1
		}
		return 1
	})
	if got := summary(calls); got != "page:page track:/given page:page track:/again" {
		t.Errorf("events %s", got)
	}
}
