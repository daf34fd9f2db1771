package caddymodule

import (
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/intilery/caddy-intilery/caddymodule/internal/eventcontext"
	"github.com/intilery/caddy-intilery/caddymodule/internal/reserved"
	"github.com/intilery/caddy-intilery/collect"
	"github.com/intilery/caddy-intilery/collect/tag"
	"github.com/intilery/caddy-intilery/cookie"
	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/internal/navigation"
)

// bodyTimeout is how long a client may take to send a body.
const bodyTimeout = 30 * time.Second

// below returns what follows the endpoint's path in a request's, if it is below it.
// The path is that of the browser, whatever was rewritten since.
func (c *Collect) below(r *http.Request) (rest string, ok bool) {
	if c == nil {
		return "", false
	}
	rest, ok = strings.CutPrefix(originalURL(r).Path, c.Path)
	return rest, ok && (rest == "" || rest[0] == '/')
}

// collection is one request to the endpoint, and its answer.
type collection struct {
	*exchange
	w      http.ResponseWriter
	origin string // that the request names
	own    bool   // it is of a page of this site
	page   bool   // a browser sent it
	server bool   // it has a server's key
}

// collect answers a request below the endpoint's path.
func (h *Handler) collect(w http.ResponseWriter, r *http.Request, vars map[string]any, rest string) {
	x := &exchange{h: h, r: r, tracked: true, over: true}
	c := &collection{exchange: x, w: w}
	defer func() {
		if v := recover(); v != nil {
			x.contained(v)
			collect.Refuse(w, &collect.Error{Status: http.StatusInternalServerError, Code: "internal", Message: "the events were not taken"})
		}
	}()
	reserved.StripRequest(r)
	x.mapPlaceholders()
	x.look(vars)
	target := collect.TargetOf(rest)
	if target.Route != collect.Settings && c.serveTag(rest) {
		return
	}
	if err := c.serve(target); err != nil {
		c.refuse(err)
	}
	x.report()
}

// refuse answers with an error, counts it, and logs it at most once a minute for
// each code.
func (c *collection) refuse(err error) {
	var e *collect.Error
	if !errors.As(err, &e) {
		e = &collect.Error{Status: http.StatusServiceUnavailable, Code: "not_durable",
			Message: "the events are not durable yet; send them again", RetryAfter: 5}
	}
	c.h.app.queue.tally.refused(c.metrics().refused, e.Code)
	if fix, ok := collectFixes[e.Code]; ok {
		c.h.warn(c.r, warnCollect+e.Code, "a request to the collection endpoint was refused: "+fix, zap.Int("status", e.Status))
	}
	collect.Refuse(c.w, e)
}

// collectFixes says what an operator can do about refused requests, by their code.
var collectFixes = map[string]string{
	codeOrigin:     "it came from a page of another origin; list it in origins if it is yours",
	codeUnknownKey: "its key is not known; add it to key, or to server_key for a server",
	codeMissingKey: "it has no key; a tag sends its writeKey, a server Basic or Bearer authentication",
	codeRate:       "its sender is over the rate; raise rate, or give a server a server_key",
	"too_large":    "its body or encoding is over max_body",
	"not_durable":  "the queue does not take events at present; see the queue's condition in the status",
}

// Codes of refusals.
const (
	codeOrigin     = "origin_not_allowed"
	codeUnknownKey = "unknown_key"
	codeMissingKey = "missing_key"
	codeRate       = "rate_limited"
)

// serve does what the target is for. An error is the answer.
func (c *collection) serve(target collect.Target) error {
	c.source()
	allowed := c.shareWithOrigin()
	if c.r.Method == http.MethodOptions && target.Route != collect.NotFound {
		return c.preflight(allowed)
	}
	switch target.Route {
	case collect.NotFound:
		return &collect.Error{Status: http.StatusNotFound, Code: "not_found", Message: "there is nothing at this path"}
	case collect.Settings:
		return c.settings(target.Key)
	}
	if c.r.Method != http.MethodPost {
		c.w.Header().Set("Allow", "POST, OPTIONS")
		return &collect.Error{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Message: "use POST"}
	}
	if target.Route == collect.Metrics { // the tag's own: nobody reads them
		collect.Accepted(c.w, nil)
		return nil
	}
	now := time.Now()
	key := collect.HeaderKey(c.r.Header)
	if c.server = c.h.Collect.isServer(key); !c.server {
		if err := c.limited(senderAt(clientIP(c.r)), 0, now); err != nil {
			return err
		}
	}
	// Refused where the server or the writer does not know it; it has limits of its own.
	_ = http.NewResponseController(c.w).SetReadDeadline(now.Add(bodyTimeout))
	body, err := collect.ReadBody(c.r, c.h.Collect.MaxBody, c.h.app.queue.intake.bodies)
	if err != nil {
		return err
	}
	defer body.Release()
	destination, ok := c.chooseDestination()
	if !ok {
		c.metrics().ignored.WithLabelValues("no_destination").Inc()
		return &collect.Error{Status: http.StatusServiceUnavailable, Code: "no_destination", Message: "events are not taken here at present"}
	}
	if key, err = c.authorise(destination, key, body.Bytes); err != nil {
		return err
	}
	if !c.server && !allowed {
		return &collect.Error{Status: http.StatusForbidden, Code: codeOrigin, Message: "events are not taken from pages of this origin"}
	}
	// The body is read, and nothing after it waits for the client: what is here is
	// taken although the client may be gone.
	return c.take(body.Bytes, target, destination, key, now)
}

// source says who sends the request, by what a page cannot forge: browsers write
// Origin and Sec-Fetch-Site themselves.
func (c *collection) source() {
	site := first(c.r.Header, "Sec-Fetch-Site")
	c.origin = first(c.r.Header, "Origin")
	c.page = c.origin != "" || site != ""
	c.own = site == "same-origin"
	if _, host, found := strings.Cut(c.origin, "://"); found && !c.own {
		host = eventcontext.Host(host, strings.HasPrefix(c.origin, "https:"))
		c.own = host != "" && (host == eventcontext.Host(c.request.Host, c.request.Secure) || host == eventcontext.Host(c.request.Host, true))
	}
}

// shareWithOrigin lets pages of an accepted origin read the answer, and reports
// whether the request may come from where it comes from. A client that is no
// browser names no origin.
func (c *collection) shareWithOrigin() (allowed bool) {
	h := c.w.Header()
	h["Vary"] = append(h["Vary"], "Origin")
	allowed = !c.page || c.own || c.h.Collect.allows(c.origin)
	if allowed && c.origin != "" {
		h.Set("Access-Control-Allow-Origin", c.origin)
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	return allowed
}

// preflight answers a browser that asks before it sends (Fetch standard, CORS-preflight).
func (c *collection) preflight(allowed bool) error {
	if !allowed {
		return &collect.Error{Status: http.StatusForbidden, Code: codeOrigin, Message: "events are not taken from pages of this origin"}
	}
	h := c.w.Header()
	h.Set("Access-Control-Allow-Methods", "POST, GET")
	h.Set("Access-Control-Allow-Headers", "authorization, content-type, content-encoding, x-retry-count")
	h.Set("Access-Control-Max-Age", "86400") // browsers have shorter limits of their own
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// settings answers a tag or an app that asks where to send its events.
func (c *collection) settings(key string) error {
	destination, ok := c.chooseDestination()
	if !ok || !c.h.Collect.isPublic(key, c.h.app.writeKey(destination)) {
		return &collect.Error{Status: http.StatusNotFound, Code: codeUnknownKey, Message: "there are no settings for this key"}
	}
	tag.ServeSettings(c.w, c.r, c.where("", key))
	return nil
}

// where is the request as the tag's server wants it.
func (c *collection) where(rest, key string) tag.Where {
	return tag.Where{
		Rest: rest, Host: eventcontext.Host(c.request.Host, c.request.Secure), Prefix: c.h.Collect.Path,
		Secure: c.request.Secure, Key: key,
	}
}

// serveTag answers with the tag, or a part of it, if that is what the path is.
func (c *collection) serveTag(rest string) bool {
	if c.h.Collect.tag == nil || c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		return false
	}
	destination, ok := c.chooseDestination()
	return ok && c.h.Collect.tag.Serve(c.w, c.r, c.where(rest, c.h.app.writeKey(destination)))
}

// limited refuses n events of a sender that are too many. With 0 it looks whether
// one more may come.
func (c *collection) limited(s sender, n int, now time.Time) error {
	if seconds := c.h.Collect.limits.allow(s, n, now); seconds > 0 {
		return &collect.Error{Status: http.StatusTooManyRequests, Code: codeRate, Message: "too many events", RetryAfter: seconds}
	}
	return nil
}

// authorise finds the key that is known, of those in the request. A site behind
// Basic authentication has the browser send another one beside the tag's.
func (c *collection) authorise(destination, inHeader string, body []byte) (key string, err error) {
	own := c.h.app.writeKey(destination)
	inBody := ""
	if !c.server && !c.h.Collect.isPublic(inHeader, own) {
		inBody = collect.KeyOf(body)
	}
	switch {
	case inHeader == "" && inBody == "":
		return "", &collect.Error{Status: http.StatusUnauthorized, Code: codeMissingKey, Message: "send the key as writeKey, or by Basic or Bearer authentication"}
	case c.server, inBody == "" && c.h.Collect.isPublic(inHeader, own):
		return inHeader, nil
	case c.h.Collect.isServer(inBody):
		c.server = true
		return inBody, nil
	case c.h.Collect.isPublic(inBody, own):
		return inBody, nil
	}
	return "", &collect.Error{Status: http.StatusUnauthorized, Code: codeUnknownKey, Message: "the key is not known"}
}

func (c *Collect) isPublic(key, own string) bool {
	return key != "" && (key == own || c.public[key])
}

func (c *Collect) isServer(key string) bool {
	known := 0
	for _, server := range c.servers {
		known |= subtle.ConstantTimeCompare(server, []byte(key))
	}
	return known == 1
}

// take takes the events of a body, and answers.
func (c *collection) take(body []byte, target collect.Target, destination, key string, now time.Time) error {
	x := c.exchange
	options := x.h.Collect.parse
	options.Now, options.Trusted = now, c.server
	parsed, err := collect.Parse(body, target, options)
	if err != nil {
		return err
	}
	count := func(outcome string, n int) { x.h.app.queue.tally.events(x.metrics().collected, outcome, n) }
	count("unsupported", parsed.Unsupported)
	for _, r := range parsed.Rejected {
		count(r.Code, 1)
	}
	if !c.server {
		gate, err := c.gate(&parsed, now)
		switch {
		case err != nil:
			return err
		case gate != "":
			count(gate, len(parsed.Events))
			collect.Accepted(c.w, parsed.Rejected)
			return nil
		}
		c.fill(&parsed)
	}
	d := delivery{destination: destination, sender: key, events: make([]*event.Event, 0, len(parsed.Events))}
	index := make([]int, 0, len(parsed.Events))
	late, onPage := 0, c.pagePath()
	for i := range parsed.Events {
		e := &parsed.Events[i]
		if x.h.Page == pageAuto && !c.server && e.Type == event.Page && !x.h.app.queue.intake.knows(&d, &e.Event) &&
			x.h.app.queue.views.claim(e.AnonymousID, e.PagePath, onPage) {
			late++
			continue
		}
		if e.AnonymousID == "" && e.UserID == "" {
			parsed.Rejected = append(parsed.Rejected, collect.Rejection{Index: e.Index, Code: "no_identity",
				Field: "userId", Message: "neither userId nor a valid anonymousId; use one of them"})
			count("no_identity", 1)
			continue
		}
		d.events = append(d.events, &e.Event)
		index = append(index, e.Index)
	}
	if err := x.h.app.queue.intake.take(x.h.app.queue.Forwarder, &d); err != nil {
		return err
	}
	for _, refused := range d.refused {
		rejected := rejectionOf(index[refused.i], refused.err)
		parsed.Rejected = append(parsed.Rejected, rejected)
		count(rejected.Code, 1)
	}
	x.events = len(d.events) - len(d.refused) - d.repeats
	count("taken", x.events)
	count("repeat", d.repeats)
	count("page_sent", late)
	slices.SortFunc(parsed.Rejected, func(a, b collect.Rejection) int { return a.Index - b.Index })
	return collect.Answer(c.w, parsed.Rejected, x.events+d.repeats+late+parsed.Unsupported)
}

// gate returns why a public sender's events are not taken, "" if they are, or an
// error where they may come later. It resolves the visitor and writes the cookies.
func (c *collection) gate(parsed *collect.Parsed, now time.Time) (why string, err error) {
	x := c.exchange
	if c.page {
		if rule := x.h.bots.Rule(x.r, x.request.Secure); rule != "" && rule != navigation.RuleHeaders {
			return "bot", nil
		}
		if c.own && len(parsed.Events) > 0 {
			x.request.TagID = parsed.Events[0].AnonymousID
		}
	}
	x.resolve()
	n := len(parsed.Events)
	if err := c.limited(senderAt(clientIP(c.r)), n, now); err != nil {
		return "", err
	}
	id := x.id.AnonymousID
	if n > 0 && parsed.Events[0].AnonymousID != "" {
		id = parsed.Events[0].AnonymousID
	}
	if id != "" && n > 0 {
		if err := c.limited(sender{anonymousID: id}, n, now); err != nil {
			return "", err
		}
	}
	out := x.h.resolver().Decide(x.id, x.request, cookie.Response{Settable: c.page, Promote: c.page})
	x.id = out.Identity
	x.metrics().identities[x.id.Reason].Inc()
	if len(out.Cookies) > 0 {
		c.w.Header()["Set-Cookie"] = out.Cookies
	}
	x.finish(&reserved.AppHeaders{}, out, false)
	if !x.id.Consented {
		return "no_consent", nil
	}
	return "", nil
}

// pagePath is the path of the page that sends the request. The tag's own page may
// have the canonical path instead.
func (c *collection) pagePath() string {
	if !c.own || c.h.Page != pageAuto {
		return ""
	}
	return c.eventContext().Page.Path
}

// fill adds to events what the request says and they do not.
func (c *collection) fill(parsed *collect.Parsed) {
	x := c.exchange
	ip := x.h.visitorIP(x.r)
	agent, language := "", ""
	if c.page {
		agent, language = eventcontext.Truncate(x.browser.userAgent), eventcontext.Locale(x.browser.language)
	}
	for i := range parsed.Events {
		e := &parsed.Events[i].Event
		if e.AnonymousID == "" {
			e.AnonymousID = x.id.AnonymousID
		}
		if e.UserID == "" && e.AnonymousID == x.id.AnonymousID {
			e.UserID = x.id.UserID
		}
		e.Context.IP, e.Context.UserAgent, e.Context.Locale = ip, agent, language
	}
}
