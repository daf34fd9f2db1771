package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/intilery/caddy-intilery/cookie"
	"github.com/intilery/caddy-intilery/forwarder/event"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// Values of Handler.Page.
const (
	pageOn  = "on"
	pageOff = "off"
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
// It needs the app `intilery`, which holds the destinations. These
// placeholders are set on the requests that it tracks:
//
// Placeholder | Description
// ------------|------------
// `{intilery.anonymous_id}` | The visitor's anonymousId; empty when there is none
// `{intilery.user_id}` | The userId that the app gave this browser; empty when there is none
// `{intilery.identity}` | How the identity was resolved: minted, kept, adopted, restored, ...
// `{intilery.handoff.<host>}` | The value of `intilery_handoff` in a link to another of your sites, which takes the anonymousId along; see `querystring`
type Handler struct {
	// The name of the destination, among those of the app `intilery`, that
	// receives this site's events. Default: `default`, or the only
	// destination there is.
	Destination string `json:"destination,omitempty"`

	// Matchers that a request must satisfy to be tracked: to get cookies,
	// placeholders and events. They gate tracking only; Intilery-* headers are
	// stripped from every request and response. Default: every request.
	MatcherSetsRaw caddyhttp.RawMatcherSets `json:"match,omitempty" caddy:"namespace=http.matchers"`

	// Whether the server sends a page event for each HTML document that a
	// visitor opens: `on` or `off`. Turn it off where Intilery's JavaScript
	// tag sends them. Default: `on`.
	Page string `json:"page,omitempty"`

	// What events carry as `context.ip`: `full` is the client's IP address as
	// Caddy's `trusted_proxies` resolves it; `anonymized` has the last octet
	// of an IPv4 address and the last 80 bits of an IPv6 address zeroed; `off`
	// leaves it out. Default: `full`.
	ClientIP string `json:"client_ip,omitempty"`

	// Names of query parameters to remove from page URLs and referrers, beside
	// those removed always (token, code, password, signature, ... and names
	// that end in token, password, secret, signature or credential). Compared
	// without case. Default: none.
	Redact []string `json:"redact,omitempty"`

	// Which clients are bots: their documents get no anonymousId and count as
	// no page. Default: a list of crawlers and monitors that say what they are,
	// and what poses as a browser and is none.
	Bots *Bots `json:"bots,omitempty"`

	// When the first page event of a new visitor is sent: `immediately`, or
	// when the anonymousId comes back with a later document or statement of the
	// app (`returning`), with the time at which it happened. Clients that keep
	// no cookies then cost nothing; neither is a visitor counted who leaves
	// after one page. Default: `immediately`.
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

	// The identity cookies. Default: Intilery's names and lifetimes.
	Cookie *Cookie `json:"cookie,omitempty"`

	// When given, tracking needs the visitor's consent. Default: consent is
	// taken as given, until the app says otherwise by `Intilery-Consent`.
	Consent *Consent `json:"consent,omitempty"`

	app      *App
	logger   *zap.Logger
	matchers caddyhttp.MatcherSets
	secrets  secrets
	logout   caddyhttp.MatchPath
	erasing  *withdrawals

	cookies  cookie.Config
	unsealed *cookie.Jar                // before the keeper's key is there
	sealed   atomic.Pointer[cookie.Jar] // from then on

	warnings map[string]*rate.Sometimes // by header
	panicLog *rate.Sometimes
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.intilery",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision sets the handler up. It does no I/O.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	app, err := ctx.App("intilery")
	if err != nil {
		return fmt.Errorf("loading the app intilery: %w", err)
	}
	h.app = app.(*App)
	if h.Destination, err = h.app.resolve(h.Destination); err != nil {
		return err
	}
	if h.Page == "" {
		h.Page = pageOn
	}
	if h.ClientIP == "" {
		h.ClientIP = clientIPFull
	}
	if h.NewVisitors == "" {
		h.NewVisitors = newImmediately
	}
	if h.Cacheable == "" {
		h.Cacheable = cacheableSkip
	}
	if h.Querystring == "" {
		h.Querystring = queryAllow
	}
	if h.Bots != nil {
		if err := h.Bots.provision(); err != nil {
			return err
		}
	}
	if err := h.provisionLogout(ctx); err != nil {
		return err
	}
	if len(h.MatcherSetsRaw) > 0 {
		sets, err := ctx.LoadModule(h, "MatcherSetsRaw")
		if err != nil {
			return fmt.Errorf("loading match: %w", err)
		}
		if err := h.matchers.FromInterface(sets); err != nil {
			return fmt.Errorf("loading match: %w", err)
		}
	}
	if h.Consent != nil {
		if err := h.Consent.provision(); err != nil {
			return err
		}
	}
	h.secrets = newSecrets(h.Redact)
	h.erasing = &withdrawals{queue: h.app.queue, logger: h.logger}
	if h.cookies, err = h.Cookie.config(); err != nil {
		return err
	}
	if h.unsealed, err = cookie.NewJar(h.cookies, nil); err != nil {
		return fmt.Errorf("cookie: %w", err)
	}
	h.panicLog = &rate.Sometimes{First: 1, Interval: time.Minute}
	h.warnings = make(map[string]*rate.Sometimes)
	for _, name := range []string{headerUserID, headerTraits, headerTrack, headerPage, headerReset, headerConsent, otherHeader} {
		h.warnings[name] = &rate.Sometimes{First: 1, Interval: time.Minute}
	}
	return nil
}

// Validate checks the options that Provision does not need.
func (h *Handler) Validate() error {
	if h.Page != pageOn && h.Page != pageOff {
		return fmt.Errorf("page: %q is not accepted; use on or off", h.Page)
	}
	switch h.ClientIP {
	case clientIPFull, clientIPAnonymized, clientIPOff:
	default:
		return fmt.Errorf("client_ip: %q is not accepted; use full, anonymized or off", h.ClientIP)
	}
	for _, o := range []struct {
		option, value string
		accepted      []string
	}{
		{"new_visitors", h.NewVisitors, []string{newImmediately, newReturning}},
		{"cacheable", h.Cacheable, []string{cacheableSkip, cacheablePrivate}},
		{"querystring", h.Querystring, []string{queryAllow, queryDrop, querySigned}},
	} {
		if !slices.Contains(o.accepted, o.value) {
			return fmt.Errorf("%s: %q is not accepted; use %s", o.option, o.value, list(o.accepted))
		}
	}
	for _, name := range h.Redact {
		if strings.TrimSpace(name) == "" || strings.ContainsAny(name, "&=") {
			return fmt.Errorf("redact: %q is not accepted; use names of query parameters", name)
		}
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler. An error of next is
// returned as it came.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	stripRequest(r)
	hook := &responseHook{
		ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: w},
		visit:                 visit{h: h, r: r},
	}
	h.begin(hook)
	// Whatever happens inside, a panic such as http.ErrAbortHandler included,
	// no reserved header or trailer is left in the map that is sent.
	defer func() { stripResponse(w.Header()) }()

	if h.shield(hook) {
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

// begin starts the visit if the request is to be tracked.
func (h *Handler) begin(hook *responseHook) {
	defer hook.contain()
	if len(h.matchers) > 0 {
		match, err := h.matchers.AnyMatchWithError(hook.visit.r)
		if err != nil {
			h.panicLog.Do(func() { h.logger.Error("match failed; the request is not tracked", zap.Error(err)) })
			return
		}
		if !match {
			return
		}
	}
	hook.visit.tracked = true
	hook.visit.begin()
}

// jar is the site's cookie jar, sealed as soon as the app has its key.
func (h *Handler) jar() *cookie.Jar {
	if jar := h.sealed.Load(); jar != nil {
		return jar
	}
	keys := h.app.keys.Load()
	if keys == nil {
		return h.unsealed
	}
	jar, err := cookie.NewJar(h.cookies, keys)
	if err != nil { // the same settings made h.unsealed
		return h.unsealed
	}
	h.sealed.Store(jar)
	return jar
}

// capture hands one event to the queue. The queue counts and reports what it
// cannot take; an event that is too large is the app's to mend, so its header
// is named here.
func (h *Handler) capture(e *event.Event, header string) {
	err := h.app.queue.Capture(h.Destination, e)
	if errors.Is(err, event.ErrTooLarge) {
		h.rejected(header, errTooLarge)
	} else if err != nil {
		h.logger.Debug("event not captured", zap.Error(err))
	}
}

// otherHeader stands for every reserved header that the contract does not
// know: its name is not ours, so it is neither logged nor a label.
const otherHeader = "other"

// rejected counts a refused header value and logs it at most once a minute per
// header, without the value.
func (h *Handler) rejected(header string, why error) {
	siteMetrics.rejected.WithLabelValues(header, why.Error()).Inc()
	h.warnings[header].Do(func() {
		h.logger.Warn("a response header of the app was refused and not acted on; the response was served without it",
			zap.String("header", header), zap.String("reason", why.Error()))
	})
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
