package caddymodule

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/intilery/caddy-intilery/caddymodule/internal/eventcontext"
	"github.com/intilery/caddy-intilery/internal/httpcache"
	"github.com/intilery/caddy-intilery/internal/navigation"
)

// handoffParameter carries a hand-off in a link between two sites. It is not one
// of the tag's, which would take the value itself for an ID.
const handoffParameter = "intilery_handoff"

// tagParameters are in the names of the query parameters by which the tag takes
// an identity from a URL. The tag reads a name anywhere in a pair's left side
// (`x[ajs_aid]`, `?ajs_aid` after a second question mark), so a part is enough.
var tagParameters = [...]string{"ajs_aid", "ajs_uid", "ajs_trait_"}

// optionFrom names the option of accepted origins in errors.
const optionFrom = "querystring signed from"

// What came of a link, as a metric label.
const (
	linkDropped    = "dropped"     // the tag's parameters are gone
	linkRefused    = "refused"     // not a hand-off of ours, of now, for here
	linkKept       = "kept"        // a hand-off that this visitor has no use for
	linkHandedOver = "handed_over" // the visitor has the ID now
)

// stripIdentityParams answers a document whose URL carries an identity with a redirect to the
// same URL without it, so that no tag ever reads it. It reports whether it did.
//
// The target is made of the request's own path and of the rest of its query; the
// host is never named, and what was removed is never repeated. There is no loop:
// the target has none of the parameters.
func (h *Handler) stripIdentityParams(hook *responseHook) (answered bool) {
	defer hook.contain()
	x := &hook.exchange
	if h.Querystring == queryAllow || h.Querystring == "" || x.r.Method != http.MethodGet && x.r.Method != http.MethodHead {
		return false
	}
	u := originalURL(x.r)
	signed := h.Querystring == querySigned
	query, links := cleanQuery(u.RawQuery, signed)
	if !links.any() || !navigation.LoadsPage(x.r) {
		return false
	}
	hook.done = true // this answer is ours: no app says anything in it
	header := hook.ResponseWriter.Header()
	header.Set("Cache-Control", "no-store")
	if links.handoff && x.facts.Speculative {
		// A redirect would be followed now and reused when the visitor comes,
		// without the cookie. Refused, the browser asks again then.
		hook.ResponseWriter.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	if links.tag {
		x.metrics().links.WithLabelValues(linkDropped).Inc()
	}
	if links.handoff {
		outcome, cookies := x.accept(links.value)
		x.metrics().links.WithLabelValues(outcome).Inc()
		if len(cookies) > 0 {
			header["Set-Cookie"] = append(header["Set-Cookie"], cookies...)
			httpcache.DropTargeted(header)
		}
	}
	header.Set("Location", location(u, query))
	hook.ResponseWriter.WriteHeader(http.StatusFound)
	return true
}

// accept takes the identity that a link of ours brings.
func (x *exchange) accept(value string) (outcome string, cookies []string) {
	from, err := url.Parse(x.browser.referer)
	if !x.tracked || !x.known || err != nil || !x.h.acceptsFrom(from) {
		return linkRefused, nil
	}
	out, ok := x.h.resolver().Accept(value, from.Host, x.id, x.request)
	switch {
	case !ok:
		return linkRefused, nil
	case len(out.Cookies) == 0:
		return linkKept, nil
	}
	x.metrics().identities[out.Reason].Inc()
	for _, released := range out.Released {
		x.release(released)
	}
	return linkHandedOver, out.Cookies
}

// acceptsFrom reports whether the site takes hand-offs from a page's origin.
func (h *Handler) acceptsFrom(page *url.URL) bool {
	return len(h.QuerystringFrom) == 0 || slices.Contains(h.QuerystringFrom, originOf(page))
}

// provisionOrigins checks the origins after the words signed from, and writes
// them as a browser does.
func (h *Handler) provisionOrigins(repl *caddy.Replacer) (err error) {
	if len(h.QuerystringFrom) > 0 && h.Querystring != querySigned {
		return fmt.Errorf("querystring: %q takes no origins; use signed from and one or more origins", h.Querystring)
	}
	for i := range h.QuerystringFrom {
		origin := &h.QuerystringFrom[i]
		if err := replace(repl, optionFrom, origin); err != nil {
			return err
		}
		if *origin, err = parseOrigin(optionFrom, *origin); err != nil {
			return err
		}
	}
	return nil
}

// parseOrigin returns an origin as a browser writes it, with https as the default
// scheme.
func parseOrigin(option, text string) (string, error) {
	origin := text
	if !strings.Contains(origin, "://") {
		origin = "https://" + origin
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil ||
		strings.TrimSuffix(u.Path, "/") != "" || strings.ContainsAny(text, "?#*") || originOf(u) == u.Scheme+"://" {
		return "", notAccepted(option, text, "an origin such as https://shop.example.com")
	}
	return originOf(u), nil
}

// originOf is the origin of a page.
func originOf(page *url.URL) string {
	return page.Scheme + "://" + eventcontext.Host(page.Host, page.Scheme == "https")
}

// links is what a query says of an identity.
type links struct {
	tag     bool   // a parameter of the tag's is there
	handoff bool   // handoffParameter is there
	value   string // of the first one
}

func (l links) any() bool { return l.tag || l.handoff }

// cleanQuery takes the parameters off that carry an identity, and leaves all
// others as they are, in order. Names are compared decoded, as the tag does.
func cleanQuery(query string, signed bool) (clean string, found links) {
	if !strings.Contains(query, "_") && !strings.Contains(query, "%") {
		return query, links{}
	}
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name = unescape(name)
		switch {
		case carriesIdentity(name):
			found.tag = true
		case signed && name == handoffParameter:
			if !found.handoff {
				found.handoff, found.value = true, unescape(value)
			}
		default:
			kept = append(kept, pair)
		}
	}
	if !found.any() {
		return query, links{}
	}
	return strings.Join(kept, "&"), found
}

// unescape decodes a query component, or returns it as it is when it is not
// well formed: such links exist and browsers accept them.
func unescape(s string) string {
	if decoded, err := url.QueryUnescape(s); err == nil {
		return decoded
	}
	return s
}

func carriesIdentity(name string) bool {
	for _, part := range tagParameters {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// location is a URL's path and a query, for a Location that stays on the host: a
// path that begins with two slashes would name another one.
func location(u *url.URL, query string) string {
	path := u.EscapedPath()
	if path == "" || path[0] != '/' {
		path = "/" + path
	}
	if strings.HasPrefix(path, "//") {
		path = "/." + path // the URL standard removes the dot, and keeps both slashes as the path
	}
	if query == "" {
		return path
	}
	return path + "?" + visible(query)
}

// visible escapes the bytes of a query that a header cannot carry or that no
// browser sends. A server refuses most of them before we see them.
func visible(query string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(query) {
		if c := query[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"<>\^{|}`+"`", c) >= 0 {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// originalURL is the request's URL as the browser sent it, whatever was
// rewritten since.
func originalURL(r *http.Request) *url.URL {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.URL != nil {
		return original.URL
	}
	return r.URL
}
