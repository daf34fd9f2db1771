package caddymodule

import (
	"net"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// misproxied is why the headers of a proxy in front do not show the visitor. The
// texts are metric labels.
type misproxied string

const (
	// proxyUntrusted: a proxy's headers come from an address that is not among
	// Caddy's trusted_proxies, so the visitor's address and HTTPS are not known.
	proxyUntrusted misproxied = "untrusted"
	// proxyUnixSocket: the same over a unix socket, which has an option of its own.
	proxyUnixSocket misproxied = "untrusted_unix_socket"
	// proxyNoClientIP: a trusted proxy names no client in a field that Caddy
	// reads, such as one that sends Forwarded (RFC 7239) alone.
	proxyNoClientIP misproxied = "no_client_ip"
	// proxyNoScheme: a trusted proxy connects over plain HTTP and does not say
	// whether the browser uses HTTPS.
	proxyNoScheme misproxied = "no_scheme"
	// proxyScheme: X-Forwarded-Proto says http and another field says HTTPS, so
	// that a proxy in between has overwritten it.
	proxyScheme misproxied = "scheme_overwritten"
	// proxyNoViewer: a CDN forwards neither Accept nor Sec-Fetch-* of the browser,
	// so that no request looks like a navigation.
	proxyNoViewer misproxied = "no_viewer_headers"
)

// proxyFixes are what the log advises.
var proxyFixes = map[misproxied]string{
	proxyUntrusted:  "name the proxy in the global option servers > trusted_proxies",
	proxyUnixSocket: "set the global option servers > trusted_proxies_unix",
	proxyNoClientIP: "let the proxy send X-Forwarded-For, or name its field in the global option servers > client_ip_headers",
	proxyNoScheme:   "let the proxy that ends TLS send X-Forwarded-Proto",
	proxyScheme:     "let the inner proxy pass X-Forwarded-Proto on instead of setting it",
	proxyNoViewer:   "let the CDN forward the headers Accept, User-Agent and Sec-Fetch-*",
}

// checkProxies counts, and logs now and then, a document whose visitor a proxy in
// front hides. A visitor can send a proxy's headers too, which costs a log line.
func (x *exchange) checkProxies() {
	cause := misproxy(x.r, x.facts.Navigation)
	if cause == "" {
		return
	}
	x.metrics().proxies.WithLabelValues(string(cause)).Inc()
	x.h.warn(x.r, string(cause), "the headers of a proxy in front do not show the visitor: events have the proxy's address, "+
		"or cookies are not Secure, or visits are not counted", zap.String("cause", string(cause)), zap.String("fix", proxyFixes[cause]))
}

// misproxy returns what is wrong with the proxies in front of a request, "" for
// nothing.
func misproxy(r *http.Request, navigation bool) misproxied {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	forwardedFor, forwarded := first(r.Header, "X-Forwarded-For"), first(r.Header, "Forwarded")
	proto := first(r.Header, "X-Forwarded-Proto")
	switch {
	case !navigation:
		if trusted && r.Method == http.MethodGet && viewerless(r.Header) {
			return proxyNoViewer
		}
		return ""
	case !trusted && forwardedFor == "" && forwarded == "" && proto == "":
		return ""
	case !trusted && (r.RemoteAddr == "" || r.RemoteAddr[0] == '@' || r.RemoteAddr[0] == '/'):
		return proxyUnixSocket
	case !trusted:
		return proxyUntrusted
	case r.TLS == nil && proto == "":
		return proxyNoScheme
	case r.TLS == nil && strings.EqualFold(firstOfList(proto), "http") && viewerUsesHTTPS(r.Header):
		return proxyScheme
	}
	client, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	if peer, _, err := net.SplitHostPort(r.RemoteAddr); err == nil && peer == client && forwardedFor == "" {
		return proxyNoClientIP
	}
	return ""
}

// viewerless reports a request of CloudFront with its default settings: it
// replaces User-Agent and forwards no other header of the browser.
func viewerless(h http.Header) bool {
	return first(h, "Accept") == "" && first(h, "Sec-Fetch-Dest") == "" && first(h, "User-Agent") == "Amazon CloudFront"
}

// viewerUsesHTTPS reports fields by which CDNs and balancers say that the browser
// uses HTTPS, beside X-Forwarded-Proto.
func viewerUsesHTTPS(h http.Header) bool {
	return strings.Contains(first(h, "Cf-Visitor"), `"https"`) ||
		strings.EqualFold(first(h, "Cloudfront-Forwarded-Proto"), "https") ||
		strings.EqualFold(first(h, "X-Forwarded-Ssl"), "on") ||
		strings.EqualFold(first(h, "Front-End-Https"), "on") ||
		strings.EqualFold(first(h, "X-Forwarded-Scheme"), "https") ||
		strings.Contains(strings.ToLower(first(h, "Forwarded")), "proto=https")
}
