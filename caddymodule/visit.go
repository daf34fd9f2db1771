package caddymodule

import (
	"crypto/sha256"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/intilery/caddy-intilery/cookie"
	"github.com/intilery/caddy-intilery/forwarder/event"
)

// visit is one request's way through the handler: who the visitor is before
// the app answers, and what follows from the answer.
type visit struct {
	h       *Handler
	r       *http.Request
	facts   requestFacts
	request cookie.Request
	id      cookie.Identity
	tracked bool // the site's match block lets this request be tracked
	known   bool // id has been resolved
	leaving bool // the request's path is a logout
}

// begin resolves the visitor and tells the app. Subresources are left alone:
// they cost nothing unless the app's answer turns out to speak of a visitor.
func (v *visit) begin() {
	v.facts = factsOf(v.r, v.h.Bots)
	v.leaving = v.h.logsOut(v)
	if v.facts.navigation {
		v.countGate()
	}
	if v.facts.subresource {
		return
	}
	v.resolve()
	if repl, ok := v.r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(v.placeholder)
	}
	if v.id.AnonymousID != "" {
		v.r.Header[headerAnonymousID] = []string{v.id.AnonymousID}
	}
	if v.id.UserID != "" {
		v.r.Header[headerUserID] = []string{v.id.UserID}
	}
}

// countGate counts a navigation that does not count as one.
func (v *visit) countGate() {
	switch {
	case v.facts.bot != "":
		siteMetrics.gated.WithLabelValues("bot_" + v.facts.bot).Inc()
	case v.facts.speculative:
		siteMetrics.gated.WithLabelValues("speculative").Inc()
	}
}

func (v *visit) resolve() {
	if v.known {
		return
	}
	v.known = true
	secure, host := browserOrigin(v.r)
	v.request = cookie.Request{
		Header:          v.r.Header,
		Host:            host,
		Secure:          secure,
		Document:        v.facts.document,
		Speculative:     v.facts.speculative,
		Consent:         v.h.Consent.of(v.r),
		ConsentRequired: v.h.Consent != nil,
		Now:             time.Now(),
	}
	v.id = v.h.jar().Resolve(v.request)
	if v.id.BadKeeper {
		siteMetrics.keepers.Inc()
	}
}

// placeholder serves {intilery.anonymous_id}, {intilery.user_id},
// {intilery.identity} and {intilery.handoff.<host>}, which follow the identity
// as the app's answer changes it.
func (v *visit) placeholder(key string) (any, bool) {
	name, ok := strings.CutPrefix(key, "intilery.")
	if !ok {
		return nil, false
	}
	switch name {
	case "anonymous_id":
		return v.id.AnonymousID, true
	case "user_id":
		return v.id.UserID, true
	case "identity":
		return v.id.Reason.String(), true
	}
	if target, ok := strings.CutPrefix(name, "handoff."); ok {
		return v.h.jar().Handoff(v.id, v.request.Host, target, time.Now()), true
	}
	return nil, false
}

// respond decides, from what the app answered, which cookies to set and which
// events to capture. said holds the reserved headers, already stripped from h.
func (v *visit) respond(status int, h http.Header, said http.Header, body []byte) {
	if !v.tracked {
		return
	}
	var s statement
	if said != nil {
		switch {
		case cacheHit(h):
			siteMetrics.ignored.WithLabelValues("cache_hit").Inc()
		case v.facts.speculative:
			siteMetrics.ignored.WithLabelValues("speculative").Inc()
		case v.facts.bot == botByName:
			siteMetrics.ignored.WithLabelValues("bot").Inc()
		default:
			s = parseStatement(said, v.h.rejected)
			s.consent = v.h.Consent.word(s.consent)
		}
	}
	if v.leaving && status < 400 {
		s.leave()
	}
	if v.h.Cacheable == cacheablePrivate && status < 400 && v.facts.page(v.r, h) &&
		sharingOf(v.r.Method, status, h, time.Now()) == shared {
		makePrivate(h)
	}
	v.refuseShared(&s, status, h)
	speaks := s.identify || s.userID != "" || len(s.tracks) > 0 || s.reset || s.consent != cookie.ConsentUnknown
	navigated := v.facts.navigation && v.facts.bot == "" && status < 400
	if !speaks && !navigated {
		return
	}
	v.resolve()
	page := navigated && pageAnswer(status, h, body)
	paged := page && v.h.Page == pageOn && !s.pageOff && v.facts.document
	share := sharingOf(v.r.Method, status, h, v.request.Now)
	out := v.h.jar().Decide(v.id, v.request, cookie.Response{
		UserID:         s.userID,
		Identify:       s.identify,
		IdentifyDigest: identifyDigest(s, v.id.UserID),
		Reset:          s.reset,
		Consent:        s.consent,
		Tracked:        len(s.tracks) > 0,
		Hold:           v.hold(s, paged, speaks),
		Settable:       share != shared,
		Navigation:     navigated,
		Page:           page,
	})
	v.id = out.Identity
	siteMetrics.identities.WithLabelValues(v.id.Reason.String()).Inc()
	if len(out.Cookies) > 0 {
		h["Set-Cookie"] = append(h["Set-Cookie"], out.Cookies...)
		if share == silent {
			keepPrivate(h)
		}
	}
	if !v.id.Consented {
		v.h.withdrawn(out.Withdrawn)
		return
	}
	if out.Released != "" {
		v.release(out)
	}
	v.capture(s, out, paged && !out.Holding)
}

// refuseShared drops a word on who the visitor is from a response that says
// that shared caches may store it. A cache that tells nothing of its hits, such
// as one inside the app, would say it of every visitor and merge them all.
func (v *visit) refuseShared(s *statement, status int, h http.Header) {
	if s.userID == "" && !s.identify || sharingOf(v.r.Method, status, h, time.Now()) != shared {
		return
	}
	if s.userID != "" {
		v.h.rejected(headerUserID, errCacheable)
	} else {
		v.h.rejected(headerTraits, errCacheable)
	}
	s.userID, s.traits, s.identify = "", nil, false
}

// capture hands the response's events to the forwarder: identify, page, track.
func (v *visit) capture(s statement, out cookie.Outcome, paged bool) {
	identified := s.identify && out.SendIdentify
	if !identified && !paged && len(s.tracks) == 0 {
		return
	}
	base := event.Event{UserID: out.UserID, Timestamp: v.request.Now}
	if out.Durable {
		base.AnonymousID = out.AnonymousID
	}
	if base.AnonymousID == "" && base.UserID == "" {
		if identified || len(s.tracks) > 0 { // else it is a new visitor's page that cannot set a cookie
			siteMetrics.ignored.WithLabelValues("no_identity").Inc()
		}
		return
	}
	base.Context = v.h.eventContext(v.r, v.request.Secure, v.request.Host)
	if identified {
		e := base
		e.Type, e.Traits = event.Identify, s.traits
		v.h.capture(&e, headerTraits)
	}
	if paged {
		e := base
		e.Type, e.Name, e.Properties = event.Page, s.page.name, s.page.properties
		v.h.capture(&e, headerPage)
	}
	for _, t := range s.tracks {
		e := base
		e.Type, e.Name, e.Properties, e.Extra = event.Track, t.name, t.properties, t.extra
		v.h.capture(&e, headerTrack)
	}
}

// identifyDigest tells two identifies apart, so that an app may send one on
// every page. Without a User-Id the traits belong to the user known so far.
func identifyDigest(s statement, knownUser string) (digest [16]byte) {
	if !s.identify {
		return digest
	}
	user := s.userID
	if user == "" {
		user = knownUser
	}
	buf := make([]byte, 0, len(user)+1+len(s.traits))
	buf = append(append(append(buf, user...), 0), s.traits...)
	sum := sha256.Sum256(buf)
	copy(digest[:], sum[:])
	return digest
}

// pageAnswer is the response's half of the page rule: an HTML answer, or a 304
// for one the browser holds. A download or an empty answer is no page.
func pageAnswer(status int, h http.Header, body []byte) bool {
	if status == http.StatusNotModified {
		return true
	}
	if status < 200 || status > 299 || status == http.StatusNoContent ||
		status == http.StatusResetContent || status == http.StatusPartialContent {
		return false
	}
	if disposition := first(h, "Content-Disposition"); len(disposition) >= 10 && strings.EqualFold(disposition[:10], "attachment") {
		return false
	}
	kind := first(h, "Content-Type")
	if kind == "" && body != nil {
		kind = http.DetectContentType(body) // as net/http is about to
	}
	if kind == "" {
		return true
	}
	kind, _, _ = strings.Cut(kind, ";")
	kind = strings.TrimSpace(kind)
	return strings.EqualFold(kind, "text/html") || strings.EqualFold(kind, "application/xhtml+xml")
}
