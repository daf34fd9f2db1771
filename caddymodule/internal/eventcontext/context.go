package eventcontext

import (
	"net/url"
	"strings"

	"github.com/intilery/caddy-intilery/caddymodule/internal/redact"
	"github.com/intilery/caddy-intilery/forwarder/event"
)

// Request is what the browser sent. Take it when the request comes in: later
// handlers rewrite the URL and change headers.
type Request struct {
	URL *url.URL // of which the path and the query are read

	// Referer, UserAgent and Language are the headers Referer, User-Agent and
	// Accept-Language.
	Referer, UserAgent, Language string

	// Secure and Host say where the browser is: HTTPS or HTTP, and the host with
	// its port, if there is one.
	Secure bool
	Host   string

	// IP is told as it is. See AnonymizeIP.
	IP string

	// Document says that the request loads a page, so that its URL is the page's.
	Document bool
}

// Of returns the context of a request's events: every field that the Tracking API
// has for one and that a server can know.
//
// The page of a document is its own URL, and the page's referrer is the Referer.
// Fetches, form posts and assets happen on a page: that is their Referer, if it is
// of the same origin (a URL's scheme, host and port, RFC 6454), and its referrer
// is not known. Without one, the page is the request's own URL. Campaign is that
// of the page. Without a host that a browser could show, URL is path and query.
func Of(req Request, rules *redact.Rules) event.Context {
	site := origin{scheme: "http://", secure: req.Secure, host: Host(req.Host, req.Secure)}
	if req.Secure {
		site.scheme = "https://"
	}
	path, query, onPage := "", "", false
	if !req.Document {
		path, query, onPage = site.locate(req.Referer)
	}
	referrer := ""
	if !onPage {
		path, query = req.URL.EscapedPath(), req.URL.RawQuery
		referrer = rules.URL(req.Referer)
	}
	query = rules.Query(query)
	page := site.page(rules.Path(path), query)
	page.Referrer = Truncate(referrer)
	return event.Context{
		IP:        req.IP,
		UserAgent: Truncate(req.UserAgent),
		Locale:    Locale(req.Language),
		Page:      page,
		Campaign:  Campaign(query),
	}
}

// origin is a site's origin as a browser shows it.
type origin struct {
	scheme string // with "://"
	secure bool
	host   string // with a port that is not the default; "" if it is not known
}

// locate returns path and query of a URL of this origin.
func (o origin) locate(raw string) (path, query string, ok bool) {
	if len(raw) < len(o.scheme) || !strings.EqualFold(raw[:len(o.scheme)], o.scheme) {
		return "", "", false
	}
	rest, _, _ := strings.Cut(raw[len(o.scheme):], "#")
	rest, query, _ = strings.Cut(rest, "?")
	host := rest
	if n := strings.IndexByte(rest, '/'); n >= 0 {
		host, path = rest[:n], rest[n:]
	}
	host = host[strings.LastIndexByte(host, '@')+1:]
	return path, query, o.host != "" && Host(host, o.secure) == o.host
}

// page returns the context of a page, made of one new text.
func (o origin) page(path, query string) event.PageContext {
	scheme, slash, search := o.scheme, "", ""
	if o.host == "" {
		scheme = ""
	}
	if path == "" || path[0] != '/' {
		slash = "/"
	}
	if query != "" {
		search = "?"
	}
	full := scheme + o.host + slash + path + search + query
	start := len(scheme) + len(o.host)
	end := start + len(slash) + len(path)
	return event.PageContext{URL: Truncate(full), Path: Truncate(full[start:end]), Search: Truncate(full[end:])}
}
