package caddymodule

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// asBank is a form by which another site returns the visitor: a cross-site POST,
// from which browsers withhold Lax cookies.
func asBank(r *http.Request) {
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Origin", "https://bank.example")
}

// A bank returns the visitor by a form: what the app says there goes under the
// user, and the next page knows both.
func TestReturnFromAnotherSite(t *testing.T) {
	r := newRig(t)
	r.serve("intilery\nreverse_proxy " + newServer(t, http.HandlerFunc(echoing)))
	r.get("/cart")
	id := r.id()

	for name, answer := range map[string]string{
		"a redirect": "/paid?Intilery-User-Id=42&Intilery-Track=Paid&Location=/thanks",
		"a page":     "/paid?Intilery-User-Id=42&Intilery-Track=Paid",
	} {
		resp := r.stranger().do(http.MethodPost, answer, nil, asBank)
		for _, line := range resp.Header["Set-Cookie"] {
			if !strings.HasPrefix(line, "intilery_keeper_deferred=") || !strings.Contains(line, "HttpOnly") || !strings.Contains(line, "Max-Age=900") {
				t.Errorf("%s set %s", name, line)
			}
		}
		r.keep(resp)
		r.get("/thanks")
		if r.id() != id {
			t.Fatalf("%s: the ID is %s, want %s", name, r.id(), id)
		}
		if _, left := r.cookies()["intilery_keeper_deferred"]; left {
			t.Errorf("%s: the deferral is still there", name)
		}
	}
	got := map[string]int{}
	for _, c := range r.calls(8) {
		got[c.Type+" "+strings.ReplaceAll(c.AnonymousID, id, "A")+" "+c.UserID]++
	}
	// The second time the user is known already.
	want := map[string]int{"page A ": 1, "identify  42": 2, "track  42": 2, "identify A 42": 1, "page A 42": 2}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// Consent that is withheld too: all of it waits for the next document.
func TestReturnFromAnotherSiteWithoutConsent(t *testing.T) {
	r := newRig(t)
	r.serve("intilery {\nconsent {\ncookie agreed ^yes$\n}\n}\nreverse_proxy " + newServer(t, http.HandlerFunc(echoing)))
	agrees := header("Cookie", "agreed=yes")
	r.get("/cart", agrees)
	id := r.id()
	resp := r.stranger().do(http.MethodPost, `/paid?Intilery-User-Id=42&Intilery-Traits={"plan":"pro"}&Intilery-Track=Paid&Location=/thanks`, nil, asBank)
	r.keep(resp)
	r.get("/thanks", agrees)
	calls := r.calls(4)
	if got := paths(calls); got != "/cart identify Paid /thanks" {
		t.Fatalf("events %s", got)
	}
	for _, c := range calls[1:] {
		if c.AnonymousID != id || c.UserID != "42" && c.Type != "page" {
			t.Errorf("%s went as %s %s", c.Type, c.AnonymousID, c.UserID)
		}
	}
	if calls[1].Traits["plan"] != "pro" {
		t.Errorf("traits %v", calls[1].Traits)
	}
}

// A logout by another site's form ends the identity with the next page.
func TestLogoutFromAnotherSite(t *testing.T) {
	r := newRig(t)
	r.serve("intilery\nreverse_proxy " + newServer(t, http.HandlerFunc(echoing)))
	r.get("/?Intilery-User-Id=42")
	id := r.id()
	r.keep(r.stranger().do(http.MethodPost, "/slo?Intilery-Reset=true", nil, asBank))
	r.get("/after")
	if r.id() == id || r.id() == "" {
		t.Errorf("the ID is %s, and was %s", r.id(), id)
	}
	for _, c := range r.calls(3) { // in order for each visitor
		if c.Properties["path"] == "/after" && (c.AnonymousID != r.id() || c.UserID != "") {
			t.Errorf("the page after went as %s %s", c.AnonymousID, c.UserID)
		}
	}
}

// Fetches of a shop inside another site's frame have no cookies, and theirs would
// be refused: no ghosts.
func TestFrameWithoutStorage(t *testing.T) {
	r := newRig(t)
	r.serve("intilery\nreverse_proxy " + newServer(t, http.HandlerFunc(echoing)))
	for _, access := range []string{"none", "inactive"} {
		fetch := func(q *http.Request) {
			q.Header.Set("Sec-Fetch-Dest", "empty")
			q.Header.Set("Sec-Fetch-Mode", "cors")
			q.Header.Set("Sec-Fetch-Site", "same-origin")
			q.Header.Set("Sec-Fetch-Storage-Access", access)
		}
		if got := r.get("/call?Intilery-Track=Seen", fetch).Header["Set-Cookie"]; got != nil {
			t.Errorf("%s: set %v", access, got)
		}
		r.get("/call?Intilery-Track=Known&Intilery-User-Id=42", fetch)
	}
	for _, c := range r.calls(4) {
		if c.AnonymousID != "" || c.UserID != "42" {
			t.Errorf("%s went as %q %q", c.Event, c.AnonymousID, c.UserID)
		}
	}
}

// request_header inside the handler removes the browser's cookies: an image whose
// answer says something of the visitor is still that visitor's.
func TestCookiesRemovedInside(t *testing.T) {
	r := newRig(t)
	r.serve("intilery\nrequest_header -Cookie\nrequest_header -Referer\nrequest_header -User-Agent\nreverse_proxy " + newServer(t, http.HandlerFunc(echoing)))
	r.get("/page")
	id := r.id()
	r.get("/pixel?Intilery-Track=Seen", header("Sec-Fetch-Dest", "image"), header("Referer", r.url+"/page"))
	seen := r.calls(2)[1]
	if r.id() != id || seen.AnonymousID != id {
		t.Errorf("the ID is %s and %s, want %s", r.id(), seen.AnonymousID, id)
	}
	if page := seen.Context["page"].(map[string]any); page["path"] != "/page" || seen.Context["userAgent"] != chrome {
		t.Errorf("context %v", seen.Context)
	}
}

// What handlers inside remove or rewrite was sent by the browser all the same.
func TestRequestChangedInside(t *testing.T) {
	image := header("Sec-Fetch-Dest", "image")
	for name, tt := range map[string]struct {
		options, inside string
		edit            func(*http.Request)
		sent            string
	}{
		"a refusal removed":  {"consent {\nimplied\ndnt honour\n}", "request_header -Sec-Gpc", header("Sec-Gpc", "1"), "/page"},
		"another refusal":    {"consent {\nimplied\ndnt honour\n}", "request_header -Dnt", header("Dnt", "1"), "/page"},
		"our cookies cut":    {"", "request_header Cookie \"(ajs_anonymous_id|intilery_keeper)=[^;]*;?\" \"\"", func(*http.Request) {}, "/page Seen"},
		"the host rewritten": {"destination {http.request.host}", "request_header Host internal", func(*http.Request) {}, "/page Seen"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.load(r.global("map {\nlocalhost default\n}"), "intilery {\n"+tt.options+"\n}\n"+tt.inside+"\nreverse_proxy "+newServer(t, http.HandlerFunc(echoing)))
			r.get("/page")
			id := r.id()
			r.calls(1)
			bare := r
			if tt.sent == "/page" {
				bare = r.stranger()
			}
			bare.get("/pixel?Intilery-Track=Seen", image, tt.edit)
			if got := bare.id(); tt.sent != "/page" && got != id || tt.sent == "/page" && got != "" {
				t.Errorf("the ID is %q, and was %q", got, id)
			}
			if got := paths(r.calls(len(strings.Fields(tt.sent)))); got != tt.sent {
				t.Errorf("events %s, want %s", got, tt.sent)
			}
		})
	}
}

// Traits of nobody cannot be sent where the browser withholds the cookies and
// refuses new ones: they are counted.
func TestWithheldTraitsAreCounted(t *testing.T) {
	r := newRig(t)
	r.serve("intilery\nreverse_proxy " + newServer(t, http.HandlerFunc(echoing)))
	ignored := siteMetrics.ignored.WithLabelValues("srv0", "no_identity")
	before := counter(t, ignored)
	r.get(`/call?Intilery-Traits={"plan":"pro"}`, headers("Sec-Fetch-Dest", "empty", "Sec-Fetch-Site", "cross-site"))
	if got := counter(t, ignored) - before; got != 1 {
		t.Errorf("counted %v, want 1", got)
	}
}
