package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// Endpoint is a site's collection endpoint.
type Endpoint struct {
	// Path is that of the site's collect option.
	Path string
	// Key is a public key of the endpoint. With one a test event is sent.
	Key string
}

// TestEvent is the name of the event that is sent to an endpoint, a track.
const TestEvent = "Intilery Doctor"

const (
	fixEndpoint = "check the path of collect, and that proxies, CDNs and firewalls in front of Caddy pass requests below it on as they are"
	fixOrigins  = "list it in the endpoint's origins, and let nothing else answer OPTIONS requests or set Access-Control-* headers"
)

// endpoint looks at the collection endpoint as the tag on a page does. An error is
// the end of ctx.
func (e *examination) endpoint(ctx context.Context, v *visits, site, page *url.URL) error {
	if e.collect == nil {
		return nil
	}
	doc := v.first.document()
	if hostOf(page) == hostOf(site) {
		page = doc.url // which the site may redirect to
	}
	c := &client{
		examination: e, ctx: ctx, origin: originOf(page),
		base: &url.URL{Scheme: doc.url.Scheme, Host: doc.url.Host, Path: strings.TrimRight(e.collect.Path, "/")},
	}
	if word := listedWord(c.base.Path); word != "" {
		e.report.add(note, "endpoint path", "choose a path that does not hint at analytics, and that no other site uses",
			"blockers' lists have many rules with the word %s", word)
	}
	if host := hostOf(c.base); host != hostOf(page) {
		e.report.add(note, "endpoint host", "give the endpoint to the host of the pages",
			"pages of %s send to %s: blockers' lists name hosts too, and browsers send a preflight request first", hostOf(page), host)
	}
	if !c.isThere() {
		return ctx.Err()
	}
	c.cors()
	c.script(doc)
	if e.collect.Key != "" {
		c.settings()
		c.testEvent(v.browser)
	}
	return ctx.Err()
}

// isThere judges whether the endpoint answers. It refuses events without a key, and
// says so.
func (c *client) isThere() bool {
	const topic = "endpoint"
	a := c.ask(topic, newBrowser(), http.MethodPost, "t", c.origin, []byte("{}"), "Content-Type", "text/plain")
	if a == nil {
		return false
	}
	switch r, ok := replyOf(a); {
	case !ok:
		c.report.add(problem, topic, fixEndpoint, "there is none at this path: a POST request is answered with %d, %q", a.status, a.header.Get("Content-Type"))
		return false
	case r.Error != "missing_key":
		c.refused(topic, a.status, r.Error)
		return false
	}
	c.report.add(fine, topic, "", "it answers")
	return true
}

// refusals say what to do about errors of the endpoint.
var refusals = map[string]string{
	"unknown_key":        "list it in the endpoint's key, or use the destination's own: base64 of client:account:BRAND",
	"origin_not_allowed": fixOrigins,
	"rate_limited":       "name the proxies in front in Caddy's trusted_proxies, because the rate is that of a client IP; or raise rate",
	"busy":               "try again later; if it stays, clients send more than the endpoint holds in memory",
	"not_durable":        "look at `caddy intilery status`: the queue takes no events at present",
	"no_destination":     "give the site a destination that exists",
	"no_identity":        "check what removes cookies from requests, and `cookie { pattern }`",
}

func (c *client) refused(topic string, status int, code string) {
	fix, known := refusals[code]
	if !known {
		fix = fixEndpoint
	}
	c.report.add(problem, topic, fix, "the endpoint refuses it: %d, %s", status, code)
}

// cors judges which pages may send: those of the site, and none of another one.
func (c *client) cors() {
	const topic = "endpoint CORS"
	if c.origin != originOf(c.base) {
		a := c.preflight(topic, c.origin)
		if a == nil {
			return
		}
		const allow = "Access-Control-Allow-"
		switch h := a.header; {
		case a.status < 200 || a.status > 299:
			c.report.add(problem, topic, fixOrigins, "pages of %s may not send: the browser's preflight request is answered with %d", c.origin, a.status)
		case h.Get(allow+"Origin") != c.origin:
			c.report.add(problem, topic, fixOrigins, "pages of %s may not send: the answer allows %q", c.origin, h.Get(allow+"Origin"))
		case h.Get(allow+"Credentials") != "true":
			c.report.add(problem, topic, fixOrigins, "events of %s come without cookies: the answer does not allow credentials", c.origin)
		case !listed(h, allow+"Headers", "authorization") || !listed(h, allow+"Headers", "content-type"):
			c.report.add(problem, topic, fixOrigins, "tags cannot send their key: the answer does not allow the headers authorization and content-type")
		}
	}
	const stranger = "https://doctor.invalid" // which no page can have (RFC 6761, 6.4)
	a := c.preflight(topic, stranger)
	if a == nil {
		return
	}
	if allowed := a.header.Get("Access-Control-Allow-Origin"); allowed == stranger || allowed == "*" {
		c.report.add(problem, topic, "let nothing but the endpoint set Access-Control-* headers below its path, and list no origins but your own",
			"pages of any site may send events")
	}
	if !c.report.has(topic) {
		c.report.add(fine, topic, "", "pages of the site may send, those of others may not")
	}
}

// settings judges what a tag is told that asks where to send to.
func (c *client) settings() {
	const topic = "endpoint settings"
	a := c.ask(topic, newBrowser(), http.MethodGet, "v1/projects/"+url.PathEscape(c.collect.Key)+"/settings", c.origin, nil)
	if a == nil {
		return
	}
	var told struct {
		Integrations map[string]struct{ APIHost, Protocol string }
	}
	err := json.Unmarshal(a.body, &told)
	segment := told.Integrations["Segment.io"]
	r, _ := replyOf(a)
	switch got, want := segment.Protocol+"://"+segment.APIHost, c.base.String(); {
	case r.Error == "unknown_key":
		c.report.add(problem, topic, refusals[r.Error], "there are none for this key: a tag that asks for them sends nothing")
	case a.status != http.StatusOK || err != nil || segment.APIHost == "":
		c.report.add(problem, topic, fixEndpoint, "a tag that asks for them gets %d, %q, and sends nothing", a.status, a.header.Get("Content-Type"))
	case !sameAddress(got, c.base):
		c.report.add(problem, topic, fixHost+"; if it ends TLS, name it in Caddy's trusted_proxies and let it send X-Forwarded-Proto: https",
			"tags are told to send to %s instead of %s", got, want)
	default:
		c.report.add(fine, topic, "", "tags are told to send to the endpoint")
	}
}

// sameAddress compares addresses as browsers do, whatever the case of the host and
// whether the default port is written.
func sameAddress(text string, with *url.URL) bool {
	at, err := url.Parse(text)
	if err != nil || at.Scheme != with.Scheme || hostOf(at) != hostOf(with) || at.Path != with.Path {
		return false
	}
	standard := map[string]string{"https": "443", "http": "80"}[at.Scheme]
	return cmp.Or(at.Port(), standard) == cmp.Or(with.Port(), standard)
}

// testEvent sends one event as a tag does, and again as an app does that has not
// heard of it: the endpoint takes it once.
func (c *client) testEvent(browser http.CookieJar) {
	const topic = "test event"
	event := map[string]string{"type": "track", "event": TestEvent, "messageId": "doctor-" + uuid.NewString(), "writeKey": c.collect.Key}
	known := c.hasOurs(browser, c.base)
	if !known {
		event["anonymousId"] = uuid.NewString() // as a tag makes one
	}
	body, err := json.Marshal(event)
	if err != nil { // texts always marshal
		return
	}
	var had []string
	for _, name := range []string{c.cookies.KeeperName, c.cookies.Name} {
		if c.isOurs(name) && sendsBack(browser, c.base, name) {
			had = append(had, name)
		}
	}
	a := c.ask(topic, browser, http.MethodPost, "t", c.origin, body, "Content-Type", "text/plain")
	if a == nil || !c.taken(topic, a) {
		return
	}
	for _, name := range had {
		if !slices.ContainsFunc(a.cookies, func(set *http.Cookie) bool { return set.Name == name }) {
			c.report.add(problem, topic, fixRewritten, "the answer does not renew the cookie %s, whose life browsers shorten when a script writes it", name)
		}
	}
	again := c.ask(topic, browser, http.MethodPost, "t", c.origin, zipped(body),
		"Content-Type", "application/json", "Content-Encoding", "gzip", "X-Retry-Count", "1")
	if again == nil || !c.taken(topic, again) {
		return
	}
	switch {
	case c.report.has(topic):
	case !known:
		c.report.add(note, topic, "", "it was answered; where consent is required, it was not taken")
	default:
		c.report.add(fine, topic, "", "%q was taken", TestEvent)
	}
}

// taken judges an answer to events.
func (c *client) taken(topic string, a *answer) bool {
	switch r, ok := replyOf(a); {
	case !ok:
		c.report.add(problem, topic, fixEndpoint, "the answer is not the endpoint's: %d, %q", a.status, a.header.Get("Content-Type"))
	case !*r.Success:
		c.refused(topic, a.status, r.Error)
	case a.status != http.StatusOK:
		c.report.add(problem, topic, fixEndpoint, "the answer's status is %d instead of 200: some clients send the event again and again", a.status)
	default:
		return true
	}
	return false
}
