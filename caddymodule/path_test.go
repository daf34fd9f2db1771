package caddymodule

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/intilery/caddy-intilery/caddymodule/internal/reserved"
)

var uuid4 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// The product in one test: a visitor comes, browses, signs up by a redirect
// and signs out; Intilery learns it in order, under one anonymousId.
func TestVisitorsWay(t *testing.T) {
	r := newRig(t)
	var toldAnonymous, toldUser string
	r.behind(func(w http.ResponseWriter, req *http.Request) {
		toldAnonymous, toldUser = req.Header.Get(reserved.AnonymousID), req.Header.Get(reserved.UserID)
		w.Header().Set("Content-Type", "text/html")
		switch req.URL.Path {
		case "/sign-up":
			w.Header().Set("Intilery-User-Id", "42")
			w.Header().Set("Intilery-Traits", `{"email":"ada@example.com"}`)
			w.Header().Add("Intilery-Track", "Signed Up")
			w.Header().Add("Intilery-Track", `{"event":"send_email","assetId":7}`)
			http.Redirect(w, req, "/welcome", http.StatusFound)
		case "/welcome": // says who it is on every page
			w.Header().Set("Intilery-User-Id", "42")
			w.Header().Set("Intilery-Traits", `{"email":"ada@example.com"}`)
			w.Header().Set("Intilery-Page", `{"name":"Welcome","properties":{"tier":"gold"}}`)
			fmt.Fprint(w, "hello")
		case "/sign-out":
			w.Header().Set("Intilery-Reset", "true")
			w.Header().Set("Intilery-Track", "Signed Out")
			http.Redirect(w, req, "/", http.StatusSeeOther)
		default:
			fmt.Fprint(w, "shop")
		}
	})

	first := r.get("/?utm_source=mail&utm_campaign=bf&token=s3cret", header("Referer", "https://search.example/?q=tea&code=s3cret"))
	anonymousID := strings.ReplaceAll(r.cookies()["ajs_anonymous_id"], "%22", "")
	if !uuid4.MatchString(anonymousID) || toldAnonymous != anonymousID || toldUser != "" {
		t.Fatalf("cookie %q, told the app %q and user %q", anonymousID, toldAnonymous, toldUser)
	}
	if r.cookies()["intilery_keeper"] == "" {
		t.Error("no keeper")
	}
	if len(first.Header["Set-Cookie"]) != 2 || first.Header.Get("Cache-Control") != "private" {
		t.Errorf("first answer: %v", first.Header)
	}

	signUp := r.do(http.MethodPost, "/sign-up", nil)
	if signUp.StatusCode != http.StatusFound || signUp.Header.Get("Location") != "/welcome" {
		t.Errorf("sign-up answered %d to %q", signUp.StatusCode, signUp.Header.Get("Location"))
	}
	wantStripped(t, signUp.Header, nil)
	if welcome := r.get("/welcome"); len(welcome.Header["Set-Cookie"]) != 0 {
		t.Errorf("needless cookies: %v", welcome.Header["Set-Cookie"])
	}
	if toldAnonymous != anonymousID || toldUser != "42" {
		t.Errorf("the app was told %q and %q", toldAnonymous, toldUser)
	}
	r.do(http.MethodPost, "/sign-out", nil)
	if left := r.cookies(); len(left) != 0 {
		t.Errorf("cookies after the sign-out: %v", left)
	}
	r.get("/")

	// Order is promised for one visitor, so the one after the sign-out, who is
	// somebody else, may be sent first.
	calls := r.calls(7)
	slices.SortStableFunc(calls, func(a, b call) int {
		switch {
		case a.AnonymousID == b.AnonymousID:
			return 0
		case a.AnonymousID == anonymousID:
			return -1
		}
		return 1
	})
	want := "page:page identify:identify track:Signed Up track:send_email page:pageWelcome track:Signed Out page:page"
	if got := summary(calls); got != want {
		t.Fatalf("events\n got %s\nwant %s", got, want)
	}
	for i, c := range calls {
		user, anonymous := "42", anonymousID
		if i == 0 || i == 6 {
			user = ""
		}
		if i == 6 { // somebody else, from here on
			if c.AnonymousID == anonymousID || !uuid4.MatchString(c.AnonymousID) {
				t.Errorf("after the reset: anonymousId %q, before %q", c.AnonymousID, anonymousID)
			}
			anonymous = c.AnonymousID
		}
		if c.UserID != user || c.AnonymousID != anonymous || !uuid4.MatchString(c.MessageID) {
			t.Errorf("event %d: user %q, anonymous %q, message %q", i, c.UserID, c.AnonymousID, c.MessageID)
		}
		if c.SentAt.Before(c.Timestamp) || c.Timestamp.IsZero() {
			t.Errorf("event %d: sent at %v, happened at %v", i, c.SentAt, c.Timestamp)
		}
	}
	if calls[1].Traits["email"] != "ada@example.com" || calls[3].AssetID != 7.0 || calls[4].Properties["tier"] != "gold" {
		t.Errorf("contents: %v, %v, %v", calls[1].Traits, calls[3].AssetID, calls[4].Properties)
	}

	ctx := calls[0].Context
	page := ctx["page"].(map[string]any)
	wantPage := map[string]any{
		"path": "/", "search": "?utm_source=mail&utm_campaign=bf", "url": r.url + "/?utm_source=mail&utm_campaign=bf",
		"referrer": "https://search.example/?q=tea",
	}
	for key, value := range wantPage {
		if page[key] != value || calls[0].Properties[key] != value {
			t.Errorf("page %s: context %v, properties %v, want %v", key, page[key], calls[0].Properties[key], value)
		}
	}
	campaign := ctx["campaign"].(map[string]any)
	library := ctx["library"].(map[string]any)
	if campaign["source"] != "mail" || campaign["name"] != "bf" || library["name"] != "caddy-intilery" || library["version"] == "" ||
		ctx["userAgent"] != chrome || ctx["locale"] != "en-GB" || (ctx["ip"] != "127.0.0.1" && ctx["ip"] != "::1") {
		t.Errorf("context %v", ctx)
	}
	if log := r.log(); strings.Contains(log, "ada@example.com") || strings.Contains(log, testToken) {
		t.Error("the log holds traits or the token")
	}
}

// A client must not speak for the app, in any spelling.
func TestInboundHeadersAreDropped(t *testing.T) {
	r := newRig(t)
	var seen http.Header
	r.behind(func(w http.ResponseWriter, req *http.Request) { seen = req.Header.Clone() })
	r.get("/", header("Intilery-User-Id", "victim"), func(req *http.Request) {
		req.Header["Intilery_User_Id"] = []string{"victim"}
		req.Header["INTILERY-ANONYMOUS-ID"] = []string{"victim"}
	})
	for name, values := range seen {
		if strings.Contains(strings.Join(values, " "), "victim") {
			t.Errorf("%s: %v reached the app", name, values)
		}
	}
}

// What counts as a page, and what is left alone.
func TestPageEvents(t *testing.T) {
	r := newRig(t)
	r.behind(func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/data.json":
			w.Header().Set("Content-Type", "application/json")
		case "/missing":
			http.NotFound(w, req)
			return
		case "/quiet":
			w.Header().Set("Intilery-Page", "off")
		case "/public":
			w.Header().Set("Cache-Control", "public, max-age=60")
		}
		fmt.Fprint(w, "<!doctype html>")
	})
	// None of these makes an ID, so no cookie is set.
	for _, resp := range []*http.Response{
		r.get("/public"), // a shared cache would hand our cookie to the next visitor
		r.get("/", header("Sec-Fetch-Dest", "empty")),
		r.get("/", header("Sec-Fetch-Dest", "iframe")),
		r.get("/", header("Sec-Purpose", "prefetch;prerender")),
		r.get("/", header("User-Agent", "Googlebot/2.1")),
		r.get("/missing"),
	} {
		if cookies := resp.Header["Set-Cookie"]; len(cookies) != 0 {
			t.Errorf("%s: %v", resp.Request.URL.Path, cookies)
		}
	}
	r.get("/")
	// With an ID, these are still no pages.
	r.get("/", header("Sec-Purpose", "prefetch"))
	r.get("/data.json")
	r.get("/quiet")
	r.get("/missing")
	r.do(http.MethodHead, "/", nil)
	r.do(http.MethodPost, "/", strings.NewReader("x"))
	// And these are.
	r.get("/public")
	r.get("/last")
	calls := r.calls(3)
	var paths []string
	for _, c := range calls {
		paths = append(paths, c.Type+c.Properties["path"].(string))
	}
	if got := strings.Join(paths, " "); got != "page/ page/public page/last" {
		t.Errorf("events %s", got)
	}
}

// match gates tracking; stripping is never gated.
func TestMatch(t *testing.T) {
	r := newRig(t)
	r.serve(`
	intilery {
		match {
			not path /assets/*
		}
	}
	header Content-Type text/html
	route {
		header Intilery-Track Seen
		respond "{intilery.identity} {intilery.anonymous_id}"
	}`)
	asset := r.get("/assets/a.css")
	wantStripped(t, asset.Header, nil)
	if len(asset.Header["Set-Cookie"]) != 0 {
		t.Errorf("an asset set %v", asset.Header["Set-Cookie"])
	}
	page := r.get("/")
	wantStripped(t, page.Header, nil)
	if text := bodyText(t, page); !strings.HasPrefix(text, "minted ") || !uuid4.MatchString(text[7:]) {
		t.Errorf("placeholders: %q", text)
	}
	if got := summary(r.calls(2)); got != "page:page track:Seen" {
		t.Errorf("events %s", got)
	}
}

// Bad values: served, stripped, counted, one warning without the value; the
// good ones beside them count.
func TestBadHeaders(t *testing.T) {
	r := newRig(t)
	r.behind(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Intilery-User-Id", "42")
		w.Header().Set("Intilery-Traits", `{"email":"private@example.com"`)
		w.Header()["Intilery-Track"] = []string{"Gr\xfc\xdfe", "Good"}
		w.Header().Set("Intilery-Consent", "perhaps")
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(w, "served")
	})
	for range 3 {
		resp := r.get("/")
		wantStripped(t, resp.Header, nil)
		if text := bodyText(t, resp); resp.StatusCode != 200 || text != "served" {
			t.Errorf("%d %q", resp.StatusCode, text)
		}
	}
	if got := summary(r.calls(3)); got != "track:Good track:Good track:Good" {
		t.Errorf("events %s", got)
	}
	log := r.log()
	if strings.Contains(log, "private@") || strings.Contains(log, "perhaps") {
		t.Errorf("the log holds a value:\n%s", log)
	}
	if want := `"host":"` + strings.TrimPrefix(r.url, "http://") + `","path":"/"`; !strings.Contains(log, want) {
		t.Errorf("no warning tells %s:\n%s", want, log)
	}
	for _, name := range []string{reserved.Traits, reserved.Track, reserved.Consent} {
		if n := strings.Count(log, `"header":"`+name+`"`); n != 1 {
			t.Errorf("%d warnings about %s, want 1", n, name)
		}
	}
	if got := counter(t, siteMetrics.rejected.WithLabelValues("srv0", reserved.Traits, reserved.ErrMalformed.Error())); got < 3 {
		t.Errorf("counted %v, want 3 or more", got)
	}
}

// A cached answer repeats what the app said of another visitor.
func TestCacheHitIsIgnored(t *testing.T) {
	r := newRig(t)
	r.behind(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Age", "5")
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Intilery-User-Id", "another")
		w.Header().Set("Intilery-Track", "Another's")
		if req.URL.Path == "/fresh" {
			w.Header().Del("Age")
		}
	})
	wantStripped(t, r.get("/").Header, nil)
	r.get("/fresh")
	calls := r.calls(2)
	if got := summary(calls); got != "identify:identify track:Another's" {
		t.Errorf("events %s", got)
	}
}

// An app's own cache may give what it says of one visitor to all without a sign of it,
// so a response that says it may be stored names nobody.
func TestSharedResponseNamesNobody(t *testing.T) {
	r := newRig(t)
	var told string
	r.behind(func(w http.ResponseWriter, req *http.Request) {
		told = req.Header.Get(reserved.UserID)
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Intilery-User-Id", "another")
		w.Header().Set("Intilery-Page", "off")
		w.Header().Set("Intilery-Track", req.URL.Path)
		if req.URL.Path == "/shared" {
			w.Header().Set("Cache-Control", "max-age=60")
		}
	})
	r.get("/", func(req *http.Request) { req.URL.Path = "/own" })
	r.client.Jar = newJar(t)
	r.get("/shared") // and a new visitor there has no ID to track
	if r.get("/shared"); told != "" {
		t.Errorf("user %q was remembered", told)
	}
	if got := summary(r.calls(2)); got != "identify:identify track:/own" {
		t.Errorf("events %s", got)
	}
	if log := r.log(); !strings.Contains(log, `"reason":"cacheable_response"`) {
		t.Errorf("no warning in\n%s", log)
	}
}

// What an app says to a crawler costs a new ID at each request: nothing of it
// is acted on.
func TestCrawlersAreNobody(t *testing.T) {
	r := newRig(t)
	r.behind(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Intilery-Track", req.UserAgent())
	})
	crawler := r.get("/", header("User-Agent", "Googlebot/2.1"))
	wantStripped(t, crawler.Header, nil)
	if cookies := crawler.Header["Set-Cookie"]; len(cookies) != 0 {
		t.Errorf("a crawler got %v", cookies)
	}
	r.get("/", header("User-Agent", "Somebody"))
	if got := summary(r.calls(2)); got != "page:page track:Somebody" {
		t.Errorf("events %s", got)
	}
}

// A keeper that is none of ours is as if it were not there, and is counted.
func TestForgedKeeper(t *testing.T) {
	r := newRig(t)
	var told string
	r.behind(func(w http.ResponseWriter, req *http.Request) { told = req.Header.Get(reserved.UserID) })
	before := counter(t, siteMetrics.keepers.WithLabelValues("srv0"))
	resp := r.get("/", header("Cookie", "intilery_keeper=AbPtZCrCgLforged"))
	if told != "" || len(resp.Header["Set-Cookie"]) != 2 {
		t.Errorf("told user %q, cookies %v", told, resp.Header["Set-Cookie"])
	}
	if got := counter(t, siteMetrics.keepers.WithLabelValues("srv0")) - before; got != 1 {
		t.Errorf("counted %v, want 1", got)
	}
}
