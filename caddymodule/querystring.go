package caddymodule

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// handoffParameter carries a hand-off in a link between two sites. It is not one
// of the tag's, which would take the value itself for an ID.
const handoffParameter = "intilery_handoff"

// tagParameters are in the names of the query parameters by which the tag takes
// an identity from a URL. The tag reads a name anywhere in a pair's left side
// (`x[ajs_aid]`, `?ajs_aid` after a second question mark), so a part is enough.
var tagParameters = [...]string{"ajs_aid", "ajs_uid", "ajs_trait_"}

// What came of a link, as a metric label.
const (
	linkDropped    = "dropped"     // the tag's parameters are gone
	linkRefused    = "refused"     // not a hand-off of ours, of now, for here
	linkKept       = "kept"        // a hand-off that this visitor has no use for
	linkHandedOver = "handed_over" // the visitor has the ID now
)

// shield answers a document whose URL carries an identity with a redirect to the
// same URL without it, so that no tag ever reads it. It reports whether it did.
//
// The target is made of the request's own path and of the rest of its query; the
// host is never named, and what was removed is never repeated. There is no loop:
// the target has none of the parameters.
func (h *Handler) shield(hook *responseHook) (answered bool) {
	defer hook.contain()
	v := &hook.visit
	if h.Querystring == queryAllow || h.Querystring == "" || v.r.Method != http.MethodGet && v.r.Method != http.MethodHead {
		return false
	}
	u := originalURL(v.r)
	signed := h.Querystring == querySigned
	query, links := cleanQuery(u.RawQuery, signed)
	if !links.any() || !loadsPage(v.r) {
		return false
	}
	hook.done = true // this answer is ours: there is no app's word in it
	header := hook.ResponseWriter.Header()
	header.Set("Cache-Control", "no-store")
	if links.handoff && v.facts.speculative {
		// A redirect would be followed now and reused when the visitor comes,
		// without the cookie. Refused, the browser asks again then.
		hook.ResponseWriter.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	if links.tag {
		siteMetrics.links.WithLabelValues(linkDropped).Inc()
	}
	if links.handoff {
		outcome, cookies := v.accept(links.value)
		siteMetrics.links.WithLabelValues(outcome).Inc()
		if len(cookies) > 0 {
			header["Set-Cookie"] = append(header["Set-Cookie"], cookies...)
		}
	}
	header.Set("Location", location(u, query))
	hook.ResponseWriter.WriteHeader(http.StatusFound)
	return true
}

// accept takes the identity that a link of ours brings.
func (v *visit) accept(value string) (outcome string, cookies []string) {
	if !v.tracked || !v.known {
		return linkRefused, nil
	}
	from := ""
	if referrer, err := url.Parse(first(v.r.Header, "Referer")); err == nil {
		from = referrer.Host
	}
	out, ok := v.h.jar().Accept(value, from, v.id, v.request)
	switch {
	case !ok:
		return linkRefused, nil
	case len(out.Cookies) == 0:
		return linkKept, nil
	}
	siteMetrics.identities.WithLabelValues(out.Reason.String()).Inc()
	return linkHandedOver, out.Cookies
}

// loadsPage reports a request for a document in which a tag may run: one in a
// frame has the same cookies to lose.
func loadsPage(r *http.Request) bool {
	switch first(r.Header, "Sec-Fetch-Dest") {
	case "document", "iframe", "frame", "fencedframe", "embed", "object":
		return true
	case "":
		return acceptsHTML(r)
	}
	return false
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
