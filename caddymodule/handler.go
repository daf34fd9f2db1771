package caddymodule

import (
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/intilery/caddy-intilery/caddymodule/internal/redact"
	"github.com/intilery/caddy-intilery/caddymodule/internal/reserved"
	"github.com/intilery/caddy-intilery/cookie"
	"github.com/intilery/caddy-intilery/internal/navigation"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// Values of Handler.Page.
const (
	pageOn   = "on"
	pageOff  = "off"
	pageAuto = "auto"
)

// Values of Handler.NewVisitors.
const (
	newImmediately = "immediately"
	newReturning   = "returning"
)

// Values of Handler.Cacheable.
const (
	cacheableSkip    = "skip"
	cacheablePrivate = "private"
)

// Values of Handler.Querystring.
const (
	queryAllow  = "allow"
	queryDrop   = "drop"
	querySigned = "signed"
)

// Values of Handler.Revalidate.
const (
	revalidateOn  = "on"
	revalidateOff = "off"
)

// Values of Handler.ClientIP.
const (
	clientIPFull       = "full"
	clientIPAnonymized = "anonymized"
	clientIPOff        = "off"
)

// Handler gives a site's visitors an anonymousId, copies what the app says of
// them in Intilery-* response headers, strips those headers, and queues the
// events for Intilery. It never waits for disk or network, and when any part
// of it is broken the site is served all the same.
//
// It needs the app `intilery`, which holds the destinations. These placeholders
// are set on every request, also in their short form `{intilery.*}`:
//
// Placeholder | Description
// ------------|------------
// `{http.intilery.anonymous_id}` | The visitor's anonymousId; empty when there is none
// `{http.intilery.user_id}` | The userId that the app gave this browser; empty when there is none
// `{http.intilery.identity}` | How the identity was resolved: minted, kept, adopted, restored, ...; empty on requests that are not tracked
// `{http.intilery.snippet}` | The two lines of HTML that load the tag of `collect`; empty without one
// `{http.intilery.handoff.<host>}` | The value of `intilery_handoff` in a link to another of your sites, which takes the anonymousId along; see `querystring`
type Handler struct {
	// The name of the destination, among those of the app `intilery`, that
	// receives this site's events. With a placeholder, such as
	// `{http.request.host}`, it is chosen for each request: the value is looked up
	// in the app's `map`. Default: `default`, or the only destination there is.
	Destination string `json:"destination,omitempty"`

	// Matchers that a request must satisfy to be tracked: to get cookies,
	// placeholders and events. They gate tracking only; Intilery-* headers are
	// stripped from every request and response. Default: every request.
	MatcherSetsRaw caddyhttp.RawMatcherSets `json:"match,omitempty" caddy:"namespace=http.matchers"`

	// Turns the handler off: nothing is tracked, and nothing is stripped. For the
	// inner one of two Caddy servers that both have this module, whose outer one
	// does it all. Default: false.
	Off bool `json:"off,omitempty"`

	// Whether the server sends a page event for each HTML document that a
	// visitor opens: `on`, `off`, or `auto`, which counts each view once where a tag
	// sends page events to `collect` too: the server's waits 5 s for the tag's of
	// the same path, and is sent if none comes. Turn it off where a tag sends them
	// elsewhere. Default: `on`.
	Page string `json:"page,omitempty"`

	// Whether a document that counts as a page, has a validator (ETag or
	// Last-Modified) and says nothing of its freshness gets `Cache-Control:
	// no-cache`: `on` or `off`. Without it browsers show such a page again without
	// asking, and those views are not counted; with it each view costs a
	// conditional request. Default: `on`.
	Revalidate string `json:"revalidate,omitempty"`

	// Whether X-Forwarded-Host, sent by one of Caddy's `trusted_proxies`, names the
	// host that the browser shows. Needed only where a proxy in front replaces the
	// Host field; the proxy must then replace X-Forwarded-Host too, or visitors can
	// choose the host that their cookies are bound to. Default: false.
	ForwardedHost bool `json:"forwarded_host,omitempty"`

	// What events carry as `context.ip`: `full` is the client's IP address as
	// Caddy's `trusted_proxies` resolves it; `anonymized` has the last octet
	// of an IPv4 address and the last 80 bits of an IPv6 address zeroed; `off`
	// leaves it out. Default: `full`.
	ClientIP string `json:"client_ip,omitempty"`

	// Names of query parameters to remove from page URLs and referrers, beside
	// those removed always (token, code, password, email, signature, ... and names
	// that end in one of them). Compared without case. Default: none.
	Redact []string `json:"redact,omitempty"`

	// Regular expressions (RE2) whose matches are removed from the paths of page
	// URLs and referrers; of an expression with groups, what the groups match.
	// E-mail addresses are removed always. Default: none.
	RedactPaths []string `json:"redact_paths,omitempty"`

	// Which clients are bots: their documents get no anonymousId and count as
	// no page. Default: crawlers and monitors that say what they are, and clients
	// that imitate a browser.
	Bots *Bots `json:"bots,omitempty"`

	// When the first page event of a new visitor is sent: `immediately`, or
	// when the anonymousId comes back with a later document or header of the app
	// (`returning`), with the time at which it happened. Clients that keep no
	// cookies then cost nothing, and visitors who leave after one page are not
	// counted. Default: `immediately`.
	NewVisitors string `json:"new_visitors,omitempty"`

	// What happens to a document that a shared cache may store, where a
	// Set-Cookie would reach other visitors: `skip` sets no cookie on it;
	// `private` rewrites its Cache-Control so that only browsers store it.
	// Default: `skip`.
	Cacheable string `json:"cacheable,omitempty"`

	// Paths, as those of Caddy's path matcher, where a visitor logs out: an
	// answer below 400 acts as `Intilery-Reset: true`. For apps that cannot
	// send that header. Default: none.
	LogoutPaths []string `json:"logout_paths,omitempty"`

	// What happens to a document's URL that tells the tag who the visitor is
	// (`ajs_aid`, `ajs_uid`, `ajs_trait_*`), by which a link can pin a
	// stranger's identity on whoever follows it: `allow` leaves it to the tag;
	// `drop` redirects once to the URL without; `signed` does too, and takes
	// the anonymousId from `intilery_handoff`, which only these sites can make.
	// The module never takes an identity from any other parameter. Default:
	// `allow`.
	Querystring string `json:"querystring,omitempty"`

	// The origins, such as `https://shop.example.com`, whose pages may hand an
	// anonymousId over by a link, with `querystring` `signed`. Default: every site
	// with the same keeper keys.
	QuerystringFrom []string `json:"querystring_from,omitempty"`

	// The identity cookies. Default: Intilery's names and lifetimes.
	Cookie *Cookie `json:"cookie,omitempty"`

	// When given, tracking needs the visitor's consent. Default: consent is
	// taken as given, until the app says otherwise by `Intilery-Consent`.
	Consent *Consent `json:"consent,omitempty"`

	// An endpoint to which browser tags, apps and servers send their events.
	// Default: none.
	Collect *Collect `json:"collect,omitempty"`

	// Whether the access log and trace spans get the anonymousId and the userId,
	// beside how the identity was resolved and how many events were captured.
	// Default: false.
	LogIDs bool `json:"log_ids,omitempty"`

	app      *App
	logger   *zap.Logger
	matchers caddyhttp.MatcherSets
	bots     *navigation.Bots
	varies   bool // the destination, by a placeholder
	redact   *redact.Rules
	logout   caddyhttp.MatchPath
	erasing  *withdrawals
	metrics  atomic.Pointer[serverMetrics]

	cookies cookie.Config
	keyless *cookie.Resolver                // before the keeper's key is there
	keyed   atomic.Pointer[cookie.Resolver] // from then on

	warnings map[string]*rate.Sometimes // by subject
	panicLog *rate.Sometimes
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.intilery",
		New: func() caddy.Module { return new(Handler) },
	}
}

// ServeHTTP implements caddyhttp.MiddlewareHandler. An error of next is
// returned as it came.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	vars, _ := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	outer, _ := vars[exchangeVar].(*exchange)
	rest, collects := h.Collect.below(r)
	switch {
	case h.Off:
		(&exchange{h: h, r: r}).mapPlaceholders()
		return next.ServeHTTP(w, r)
	case collects && (outer == nil || !outer.over): // also inside of a site's own
		h.collect(w, r, vars, rest)
		return nil
	case outer != nil && !outer.over:
		return next.ServeHTTP(w, r) // it sees all of this
	}
	reserved.StripRequest(r)
	hook := &responseHook{
		ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: w},
		exchange:              exchange{h: h, r: r},
	}
	h.begin(hook, outer, vars)
	defer func() { hook.exchange.over = true }()
	// Whatever happens inside, a panic such as http.ErrAbortHandler included,
	// no reserved header or trailer is left in the map that is sent.
	defer func() { reserved.StripResponse(w.Header()) }()

	if h.stripIdentityParams(hook) {
		return nil
	}
	err := next.ServeHTTP(hook, r)
	if err != nil {
		// Nothing was written yet, or it no longer matters. What the app said
		// before it failed still counts, and the error routes share this map.
		status := http.StatusInternalServerError
		var failed caddyhttp.HandlerError
		if errors.As(err, &failed) && failed.StatusCode != 0 {
			status = failed.StatusCode
		}
		hook.final(status, nil)
		return err
	}
	hook.final(http.StatusOK, nil) // an answer without a body
	return nil
}

// begin starts the exchange.
func (h *Handler) begin(hook *responseHook, earlier *exchange, vars map[string]any) {
	defer hook.contain()
	if earlier != nil { // an error route after it
		hook.exchange.tell(earlier.id)
		hook.exchange.later = true
		return
	}
	hook.exchange.mapPlaceholders()
	hook.exchange.begin(vars)
}

// matches reports whether the site's match block lets the request be tracked.
func (h *Handler) matches(r *http.Request) bool {
	if len(h.matchers) == 0 {
		return true
	}
	match, err := h.matchers.AnyMatchWithError(r)
	if err != nil {
		h.warn(r, warnMatch, "match failed; the request is not tracked", zap.Error(err))
		return false
	}
	return match
}

// resolver is the site's cookie resolver, keyed as soon as the app has its key.
func (h *Handler) resolver() *cookie.Resolver {
	if resolver := h.keyed.Load(); resolver != nil {
		return resolver
	}
	keys := h.app.keys.Load()
	if keys == nil {
		return h.keyless
	}
	resolver, err := cookie.NewResolver(h.cookies, keys)
	if err != nil { // the same settings made h.keyless
		return h.keyless
	}
	h.keyed.Store(resolver)
	return resolver
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
