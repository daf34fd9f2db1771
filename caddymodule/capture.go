package caddymodule

import (
	"crypto/sha256"
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/intilery/caddy-intilery/caddymodule/internal/eventcontext"
	"github.com/intilery/caddy-intilery/caddymodule/internal/reserved"
	"github.com/intilery/caddy-intilery/cookie"
	"github.com/intilery/caddy-intilery/forwarder/event"
)

// capture hands the response's events to the queue, in the order identify, page,
// track.
func (x *exchange) capture(app *reserved.AppHeaders, out cookie.Outcome, paged bool) {
	tracks := app.Tracks
	if out.Deferring && x.id.Withheld {
		tracks = nil
	}
	identified := out.SendIdentify && (app.Identify || out.Linked)
	paged = paged && !out.Deferring && out.Durable
	if !out.Durable && out.UserID == "" {
		if !out.Deferring && (app.Identify || len(tracks) > 0) {
			x.metrics().ignored.WithLabelValues("no_identity").Inc()
		}
		return
	}
	if !identified && !paged && len(tracks) == 0 {
		return
	}
	base := event.Event{UserID: out.UserID, Timestamp: x.request.Now}
	if out.Durable {
		base.AnonymousID = out.AnonymousID
	}
	base.Context = x.eventContext()
	if identified {
		e := base
		e.Type, e.Traits = event.Identify, app.Traits
		x.send(&e, reserved.Traits)
	}
	if paged {
		e := base
		e.Type, e.Name, e.Properties = event.Page, app.Page.Name, app.Page.Properties
		x.sendPage(&e)
	}
	for _, t := range tracks {
		e := base
		e.Type, e.Name, e.Properties, e.Extra = event.Track, t.Name, t.Properties, t.Extra
		x.send(&e, reserved.Track)
	}
}

// sendPage hands a page event to the queue, or withholds it where the page's tag may
// send one of the same view.
func (x *exchange) sendPage(e *event.Event) {
	destination, ok := x.chooseDestination()
	if x.h.Page != pageAuto || e.AnonymousID == "" || !ok {
		x.send(e, reserved.Page)
		return
	}
	x.events++
	x.h.app.queue.views.withhold(destination, e, x.metrics().withheld)
}

// send hands one event to the queue. The queue counts and reports what it cannot
// take; an event that is too large is the app's to correct, so its header is
// named here.
func (x *exchange) send(e *event.Event, header string) {
	destination, ok := x.chooseDestination()
	if !ok {
		x.metrics().ignored.WithLabelValues("no_destination").Inc()
		return
	}
	switch err := x.h.app.queue.Capture(destination, e); {
	case err == nil:
		x.events++
	case errors.Is(err, event.ErrTooLarge):
		x.rejected(header, reserved.ErrOversized)
	default:
		x.h.logger.Debug("event not captured", zap.Error(err))
	}
}

// chooseDestination returns the destination of this exchange's events.
func (x *exchange) chooseDestination() (name string, ok bool) {
	if x.destination != "" {
		return x.destination, true
	}
	if !x.h.varies {
		x.destination = x.h.Destination
		return x.destination, true
	}
	value := x.h.Destination
	if repl, ok := x.r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		value = repl.ReplaceAll(value, "")
	}
	if x.destination, ok = x.h.app.choose(value); !ok {
		x.h.warn(x.r, warnDestination, "no destination for this request; its events are not captured; "+
			"add the value of the site's destination option, or default, to the global option's map",
			zap.String("destination", x.h.Destination))
	}
	return x.destination, ok
}

// eventContext is the context of this exchange's events.
func (x *exchange) eventContext() event.Context {
	return eventcontext.Of(eventcontext.Request{
		URL:       originalURL(x.r),
		Referer:   x.browser.referer,
		UserAgent: x.browser.userAgent,
		Language:  x.browser.language,
		Secure:    x.request.Secure,
		Host:      x.request.Host,
		IP:        x.h.visitorIP(x.r),
		Document:  x.facts.Navigation && x.r.Method != http.MethodPost || x.fetched,
	}, x.h.redact)
}

// visitorIP is the client IP by Caddy's trusted_proxies, as client_ip allows.
func (h *Handler) visitorIP(r *http.Request) string {
	if h.ClientIP == clientIPOff {
		return ""
	}
	ip := clientIP(r)
	if h.ClientIP == clientIPAnonymized {
		return eventcontext.AnonymizeIP(ip)
	}
	return ip
}

// clientIP is the client's address by Caddy's trusted_proxies.
func clientIP(r *http.Request) string {
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return ip
}

// identifyDigest tells two identifies apart, so that an app may send one on
// every page. Without a User-Id the traits belong to the user known so far.
func identifyDigest(app *reserved.AppHeaders, knownUser string) (digest [16]byte) {
	if !app.Identify {
		return digest
	}
	user := app.UserID
	if user == "" {
		user = knownUser
	}
	buf := make([]byte, 0, len(user)+1+len(app.Traits))
	buf = append(append(append(buf, user...), 0), app.Traits...)
	sum := sha256.Sum256(buf)
	copy(digest[:], sum[:])
	return digest
}
