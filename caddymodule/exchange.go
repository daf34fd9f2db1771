package caddymodule

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/intilery/caddy-intilery/caddymodule/internal/reserved"
	"github.com/intilery/caddy-intilery/cookie"
	"github.com/intilery/caddy-intilery/internal/httpcache"
	"github.com/intilery/caddy-intilery/internal/navigation"
)

// exchange is one request and its response on their way through the handler: who
// the visitor is before the app answers, and what follows from the answer.
type exchange struct {
	h       *Handler
	r       *http.Request
	browser browserRequest

	cookieLine [1]string // of the request's, mostly one
	facts      navigation.Facts
	request    cookie.Request
	id         cookie.Identity
	events     int // captured

	destination string // of the events, "" until it is needed
	over        bool   // the handler has returned
	later       bool   // it is an error route, after the exchange of the request
	fetched     bool   // a script has fetched a page, and the app says that it is one
	tracked     bool   // this exchange is the request's, and its match block lets it be tracked
	known       bool   // id has been resolved
	leaving     bool   // the request's path is a logout
}

// browserRequest is what the browser sent beside its cookies, whatever handlers
// inside remove from the request or rewrite.
type browserRequest struct{ referer, userAgent, language string }

// exchangeVar is the request variable that holds the request's exchange, so that
// there is one whatever the Caddyfile nests. A handler of this module inside does
// nothing; one that comes later, in an error route, only strips.
const exchangeVar = "intilery.exchange"

// begin resolves the visitor and tells the app. Subresources are left alone:
// they cost nothing unless the app's answer turns out to speak of a visitor.
func (x *exchange) begin(vars map[string]any) {
	if x.r.Method == http.MethodOptions || !x.h.matches(x.r) {
		return
	}
	if vars != nil {
		vars[exchangeVar] = x
	}
	x.tracked = true
	x.look(vars)
	if !x.facts.Subresource {
		x.checkProxies()
	}
	if x.facts.Navigation {
		x.countNavigation()
	}
	if x.facts.Subresource {
		return
	}
	x.resolve()
	x.tell(x.id)
}

// look takes down what the request says, before handlers inside change it.
func (x *exchange) look(vars map[string]any) {
	x.browser = browserRequest{first(x.r.Header, "Referer"), first(x.r.Header, "User-Agent"), first(x.r.Header, "Accept-Language")}
	x.copyCookies()
	x.request.Consent = x.h.Consent.signal(x.r.Header)
	x.request.Secure, x.request.Host = x.origin(vars)
	x.facts = navigation.Of(x.r, x.request.Host, x.request.Secure, x.h.bots)
	x.leaving = x.h.logsOut(x)
	if x.h.varies { // handlers inside may change what the placeholder stands for
		x.chooseDestination()
	}
}

// copyCookies keeps the lines of the Cookie header, whose values request_header
// changes in place.
func (x *exchange) copyCookies() {
	switch lines := x.r.Header["Cookie"]; len(lines) {
	case 0:
	case 1:
		x.cookieLine[0] = lines[0]
		x.request.Cookies = x.cookieLine[:]
	default:
		x.request.Cookies = slices.Clone(lines)
	}
}

// tell tells the app who the visitor is.
func (x *exchange) tell(id cookie.Identity) {
	if id.AnonymousID != "" {
		x.r.Header[reserved.AnonymousID] = []string{id.AnonymousID}
	}
	if id.UserID != "" {
		x.r.Header[reserved.UserID] = []string{id.UserID}
	}
}

// origin returns scheme and host as the browser sees them. What a proxy in front
// says counts only if Caddy's trusted_proxies names it, and the host that it
// forwards only if the site says so: cookies and hand-offs are bound to the host by
// which Caddy chose the site.
func (x *exchange) origin(vars map[string]any) (secure bool, host string) {
	secure, host = x.r.TLS != nil, x.r.Host
	if trusted, _ := vars[caddyhttp.TrustedProxyVarKey].(bool); !trusted {
		return secure, host
	}
	if proto := firstOfList(first(x.r.Header, "X-Forwarded-Proto")); proto != "" {
		secure = strings.EqualFold(proto, "https")
	}
	if forwarded := firstOfList(first(x.r.Header, "X-Forwarded-Host")); x.h.ForwardedHost && forwarded != "" {
		host = forwarded
	}
	return secure, host
}

// first returns a header's first value; name must be canonical. It saves the
// canonicalisation that Header.Get does on each call.
func first(h http.Header, name string) string {
	if values := h[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

func firstOfList(value string) string {
	value, _, _ = strings.Cut(value, ",")
	return strings.TrimSpace(value)
}

// countNavigation counts a navigation that is no visit, by its cause.
func (x *exchange) countNavigation() {
	switch {
	case x.facts.Bot != "":
		x.metrics().gated.WithLabelValues("bot_" + string(x.facts.Bot)).Inc()
	case x.facts.Speculative:
		x.metrics().gated.WithLabelValues("speculative").Inc()
	}
}

// metrics returns the counters of the exchange's server.
func (x *exchange) metrics() *serverMetrics {
	return x.h.metricsOf(x.r)
}

func (x *exchange) resolve() {
	if x.known {
		return
	}
	x.known = true
	q := &x.request
	q.Document, q.Speculative, q.TopLevel = x.facts.Document, x.facts.Speculative, x.facts.Navigation
	q.CrossSite, q.NoStorage = x.facts.CrossSite, x.facts.NoStorage
	if q.Consent == cookie.ConsentUnknown {
		q.Consent = x.h.Consent.of(q.Cookies)
	}
	q.ConsentRequired = x.h.Consent != nil && !x.h.Consent.Implied
	q.Now = time.Now()
	x.id = x.h.resolver().Resolve(x.request)
	if x.id.BadKeeper {
		x.metrics().keepers.Inc()
	}
}

// respond decides, from what the app answered, which cookies to set and which
// events to capture. taken holds the reserved headers, already stripped from h.
func (x *exchange) respond(status int, h http.Header, taken http.Header, body []byte) {
	if x.later {
		x.protectCookies(status, h)
	}
	if !x.tracked {
		return
	}
	app := x.appHeaders(h, taken)
	if x.leaving && status < 400 {
		logOut(&app)
	}
	x.shareWithCaches(&app, status, h)
	speaks := app.Speaks()
	navigated := x.facts.Navigation && x.facts.Bot == "" && status < 400
	if !speaks && !navigated && !app.Page.Given {
		return
	}
	page := navigation.IsPage(status, h, body)
	// A script that fetches the next page of a single-page app cannot be told
	// from one that fetches a part, so that the app must name it. A page that the
	// browser has already is asked for with a condition, and answered with 304.
	x.fetched = app.Page.Given && x.facts.Fetch() && (status == http.StatusOK || status == http.StatusNotModified) && page
	if !speaks && !navigated && !x.fetched {
		return
	}
	x.resolve()
	paged := x.h.Page != pageOff && !app.PageOff && page && (x.facts.Document && navigated || x.fetched)
	sharing := httpcache.SharingOf(x.r.Method, status, h, x.request.Now)
	out := x.h.resolver().Decide(x.id, x.request, cookie.Response{
		UserID:         app.UserID,
		Identify:       app.Identify,
		IdentifyDigest: identifyDigest(&app, x.id.UserID),
		Reset:          app.Reset,
		Consent:        app.Consent,
		Tracked:        len(app.Tracks) > 0,
		Defer:          x.deferral(&app, paged, speaks),
		Settable:       sharing != httpcache.Shared && !x.facts.Virtual,
		Navigation:     navigated,
		Page:           navigated && page,
	})
	x.id = out.Identity
	x.metrics().identities[x.id.Reason].Inc()
	if paged && x.id.Consented && x.h.Revalidate != revalidateOff {
		httpcache.Revalidate(h)
	}
	if len(out.Cookies) > 0 {
		h["Set-Cookie"] = append(h["Set-Cookie"], out.Cookies...)
		if sharing == httpcache.Silent {
			httpcache.KeepPrivate(h)
		}
	}
	x.finish(&app, out, paged)
	x.report()
}

// finish does what the outcome asks for beside its cookies.
func (x *exchange) finish(app *reserved.AppHeaders, out cookie.Outcome, paged bool) {
	if x.id.Consented {
		for _, released := range out.Released {
			if x.release(released) && released.AnonymousID == out.AnonymousID {
				out.Linked = false // it has just gone, with its traits
			}
		}
		if x.h.Consent != nil && out.Durable {
			x.h.app.queue.awaiting.release(x, out.AnonymousID)
		}
		x.capture(app, out, paged)
		return
	}
	if out.Awaiting != "" && paged {
		x.h.app.queue.awaiting.add(x, app, out.Awaiting)
	}
	if x.id.Reason == cookie.Denied && out.Withdrawn.AnonymousID != "" {
		x.h.app.queue.awaiting.drop(x, out.Withdrawn.AnonymousID)
		x.h.withdrawn(out.Withdrawn)
	}
	if !out.Deferring && (app.Identify || len(app.Tracks) > 0) {
		x.metrics().ignored.WithLabelValues("no_consent").Inc()
	}
}

// appHeaders parses what the app says, and ignores it where it cannot have been
// meant for this visitor.
func (x *exchange) appHeaders(h http.Header, taken http.Header) reserved.AppHeaders {
	if taken == nil {
		return reserved.AppHeaders{}
	}
	switch {
	case httpcache.Hit(x.r.Method, h):
		x.metrics().ignored.WithLabelValues("cache_hit").Inc()
	case x.facts.Speculative:
		x.metrics().ignored.WithLabelValues("speculative").Inc()
	case x.facts.Bot != "" && x.facts.Bot != navigation.RuleHeaders:
		x.metrics().ignored.WithLabelValues("bot").Inc()
	default:
		app := reserved.Parse(taken, x.rejected)
		app.Consent = x.h.Consent.grantable(app.Consent)
		if app.Reset && clearsCookies(h) {
			x.h.warn(x.r, warnClearSiteData, "a response with Intilery-Reset clears cookies by Clear-Site-Data but not storage; "+
				"the tag then restores the old ID; leave it out, or send \"cookies\", \"storage\"")
		}
		return app
	}
	return reserved.AppHeaders{}
}

// clearsCookies reports a Clear-Site-Data field that clears cookies and leaves
// what scripts stored (W3C Clear Site Data, 3.1).
func clearsCookies(h http.Header) bool {
	value := strings.Join(h["Clear-Site-Data"], ",")
	return strings.Contains(value, `"cookies"`) && !strings.Contains(value, `"storage"`)
}

// shareWithCaches takes a page away from shared caches where the site wants it,
// and drops what names the visitor from a response that they may store: a cache
// that does not tell its hits, such as one inside the app, would say it of every
// visitor and merge them all. A logout and a consent do not last there, because no
// cookie can be set, which is reported too.
func (x *exchange) shareWithCaches(app *reserved.AppHeaders, status int, h http.Header) {
	names := app.UserID != "" || app.Identify
	forgets := app.Reset || app.Consent != cookie.ConsentUnknown
	private := x.h.Cacheable == cacheablePrivate && status < 400 && x.loadsDocument(h)
	if !names && !forgets && !private || httpcache.SharingOf(x.r.Method, status, h, time.Now()) != httpcache.Shared {
		return
	}
	if private {
		httpcache.MakePrivate(h)
		return
	}
	for header, given := range map[string]bool{
		reserved.UserID: app.UserID != "", reserved.Traits: app.UserID == "" && app.Identify,
		reserved.Reset: app.Reset, reserved.Consent: app.Consent != cookie.ConsentUnknown,
	} {
		if given {
			x.rejected(header, errCacheable)
		}
	}
	app.UserID, app.Traits, app.Identify = "", nil, false
}

// protectCookies keeps the cookies that the request's exchange has set from shared
// caches, to which an error route may have opened the response.
func (x *exchange) protectCookies(status int, h http.Header) {
	ours := func(line string) bool { return x.h.resolver().Sets(line) }
	if !slices.ContainsFunc(h["Set-Cookie"], ours) {
		return
	}
	switch httpcache.SharingOf(x.r.Method, status, h, time.Now()) {
	case httpcache.Shared:
		h["Set-Cookie"] = slices.DeleteFunc(h["Set-Cookie"], ours)
	case httpcache.Silent:
		httpcache.KeepPrivate(h)
	}
}

// loadsDocument reports whether the response is a document, be it a visitor's, a
// bot's or one that a cache fetches to have it ready: a copy of any of them is
// what the next visitor is given.
func (x *exchange) loadsDocument(h http.Header) bool {
	if x.facts.Navigation {
		return true
	}
	kind, _, _ := strings.Cut(first(h, "Content-Type"), ";")
	return first(x.r.Header, "Sec-Fetch-Dest") == "" && strings.EqualFold(strings.TrimSpace(kind), "text/html")
}
