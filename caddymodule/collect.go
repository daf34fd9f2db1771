package caddymodule

import (
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/intilery/caddy-intilery/caddymodule/internal/eventcontext"
	"github.com/intilery/caddy-intilery/caddymodule/internal/reserved"
	"github.com/intilery/caddy-intilery/collect"
	"github.com/intilery/caddy-intilery/collect/tag"
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
	at     sender // by its client IP
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

var errOrigin = &collect.Error{Status: http.StatusForbidden, Code: codeOrigin, Message: "events are not taken from pages of this origin"}

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
	c.at = senderAt(clientIP(c.r))
	var memory collect.Memory
	over := 0
	if c.server = c.h.Collect.isServer(key); c.server {
		memory = c.h.app.queue.relayed.all()
	} else {
		memory = c.h.app.queue.bodies.of(c.at)
		over = c.h.Collect.limits.pass(now, c.at)
		if over > 0 && len(c.h.Collect.servers) == 0 { // or the body may have the key of one
			return overRate(over)
		}
	}
	// Refused where the server or the writer does not know it; it has limits of its own.
	_ = http.NewResponseController(c.w).SetReadDeadline(now.Add(bodyTimeout))
	body, err := collect.ReadBody(c.r, c.h.Collect.MaxBody, memory)
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
	if over > 0 && !c.server {
		return overRate(over)
	}
	if !c.server && !allowed {
		return errOrigin
	}
	// The body is read, and nothing after it waits for the client: what is here is
	// taken although the client may be gone.
	return c.take(body, target, destination, key, now)
}

// source says who sends the request, by what a page cannot forge: browsers write
// Origin and Sec-Fetch-Site themselves.
func (c *collection) source() {
	site := first(c.r.Header, "Sec-Fetch-Site")
	c.origin = first(c.r.Header, "Origin")
	c.page = c.origin != "" || site != ""
	if c.own = site == "same-origin"; site != "" {
		return
	}
	scheme, host, _ := strings.Cut(c.origin, "://")
	if scheme == "https" || scheme == "http" {
		host = eventcontext.Host(host, scheme == "https")
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
		h.Set("Access-Control-Expose-Headers", "Retry-After")
	}
	return allowed
}

// preflight answers a browser that asks before it sends (Fetch standard, CORS-preflight).
func (c *collection) preflight(allowed bool) error {
	if !allowed {
		return errOrigin
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

func overRate(retryAfter int) error {
	return &collect.Error{Status: http.StatusTooManyRequests, Code: codeRate, Message: "too many events", RetryAfter: retryAfter}
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
