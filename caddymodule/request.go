package caddymodule

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// requestFacts is what the request alone says about the response's meaning.
type requestFacts struct {
	navigation  bool   // a top-level navigation, of any method
	document    bool   // a navigation that may count as a page: GET, no bot, not speculative
	speculative bool   // a prefetch or a prerender
	bot         string // why the client is no visitor, "" if it is one
	subresource bool   // an image, a script, ...: never told to the app, never minted for
}

// factsOf reads the Fetch Metadata headers (W3C Fetch Metadata Request
// Headers), which all current browsers send on trustworthy origins, and falls
// back to Accept for plain HTTP and older ones.
func factsOf(r *http.Request, bots *Bots) requestFacts {
	f := requestFacts{speculative: speculative(r.Header)}
	switch dest := first(r.Header, "Sec-Fetch-Dest"); dest {
	case "document":
		f.navigation = true
	case "":
		f.navigation = acceptsHTML(r)
	case "audio", "audioworklet", "font", "image", "manifest", "paintworklet", "script", "serviceworker",
		"sharedworker", "style", "track", "video", "worker", "xslt":
		f.subresource = true
	}
	if f.navigation {
		f.bot = bots.bot(r)
		f.document = r.Method == http.MethodGet && !f.speculative && f.bot == ""
	}
	return f
}

// page reports whether the response is a document, be it a visitor's, a bot's or
// one that a cache fetches to have it ready: a copy of any of them is what the
// next visitor is given.
func (f requestFacts) page(r *http.Request, h http.Header) bool {
	if f.navigation {
		return true
	}
	kind, _, _ := strings.Cut(first(h, "Content-Type"), ";")
	return first(r.Header, "Sec-Fetch-Dest") == "" && strings.EqualFold(strings.TrimSpace(kind), "text/html")
}

// acceptsHTML recognises a navigation without Fetch Metadata. Script libraries
// that fetch fragments of HTML announce themselves.
func acceptsHTML(r *http.Request) bool {
	if !strings.Contains(first(r.Header, "Accept"), "text/html") {
		return false
	}
	for _, fragment := range [...]string{"X-Requested-With", "Hx-Request", "Turbo-Frame", "X-Pjax", "X-Inertia", "X-Up-Version"} {
		if _, ok := r.Header[fragment]; ok {
			return false
		}
	}
	return true
}

// speculative recognises prefetch and prerender: Sec-Purpose is today's
// header, X-Sec-Purpose Turbo's (Hotwire), which cannot set the former; the
// others are what older Chrome, Safari and Firefox sent.
func speculative(h http.Header) bool {
	return strings.Contains(first(h, "Sec-Purpose"), "pre") ||
		strings.Contains(first(h, "X-Sec-Purpose"), "pre") ||
		strings.EqualFold(first(h, "Purpose"), "prefetch") ||
		strings.EqualFold(first(h, "X-Purpose"), "preview") ||
		strings.EqualFold(first(h, "X-Moz"), "prefetch")
}

// first returns a header's first value; name must be canonical. It saves the
// canonicalisation that Header.Get does on each call.
func first(h http.Header, name string) string {
	if values := h[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// browserOrigin returns scheme and host as the browser sees them. What a proxy
// in front says counts only if Caddy's trusted_proxies names it.
func browserOrigin(r *http.Request) (secure bool, host string) {
	secure, host = r.TLS != nil, r.Host
	if trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); trusted {
		if proto := firstOfList(first(r.Header, "X-Forwarded-Proto")); proto != "" {
			secure = strings.EqualFold(proto, "https")
		}
		if forwarded := firstOfList(first(r.Header, "X-Forwarded-Host")); forwarded != "" {
			host = forwarded
		}
	}
	return secure, host
}

func firstOfList(value string) string {
	value, _, _ = strings.Cut(value, ",")
	return strings.TrimSpace(value)
}
