package doctor

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/intilery/caddy-intilery/internal/navigation"
)

// plainTimeout bounds the visit over plain HTTP, because firewalls that drop
// packets are common there.
const plainTimeout = 5 * time.Second

// plainVisit is what became of a visit over plain HTTP to a page that is served
// over HTTPS.
type plainVisit struct {
	answered bool
	secured  bool   // it led to HTTPS
	last     answer // the last over plain HTTP
}

// https judges how the site is protected on the way.
func (e *examination) https(v *visits) {
	doc := v.first.document()
	downgraded := false
	for _, l := range []*load{v.first, v.again, v.other} {
		if from, to := downgrade(l); from != nil {
			downgraded = true
			e.report.add(problem, "HTTPS",
				"redirect to https://; behind a proxy that ends TLS, name it in Caddy's trusted_proxies and let it send X-Forwarded-Proto: https",
				"the site redirects from https://%s to http://%s: Secure cookies are not sent there", from.Host, to.Host)
		}
	}
	switch {
	case downgraded:
	case doc.url.Scheme == "https":
		e.report.add(fine, "HTTPS", "", "cookies can be Secure, and browsers tell which requests are navigations")
		e.plain(v)
		e.hsts(v)
	case isLoopback(hostOf(doc.url)):
		e.report.add(note, "HTTPS", "", "plain HTTP on this machine, which browsers trust like HTTPS; elsewhere the site needs HTTPS")
	default:
		e.report.add(problem, "HTTPS", "serve the site over HTTPS and redirect to it",
			"plain HTTP: the cookies can be read and replaced on the way, and browsers do not tell which requests are navigations")
	}
}

// downgrade returns a redirect from HTTPS to plain HTTP, nil for none.
func downgrade(l *load) (from, to *url.URL) {
	if l == nil {
		return nil, nil
	}
	for i, a := range l.answers[1:] {
		if before := l.answers[i]; before.url.Scheme == "https" && a.url.Scheme == "http" {
			return before.url, a.url
		}
	}
	return nil, nil
}

// openPlain visits over plain HTTP the page that the first visit was shown over
// HTTPS. It returns nil where there is no such address: on this machine, and
// where HTTPS has a port of its own.
func (e *examination) openPlain(ctx context.Context, first *load) (*plainVisit, error) {
	doc := first.document()
	if doc.url.Scheme != "https" || isLoopback(hostOf(doc.url)) || doc.url.Port() != "" && doc.url.Port() != "443" {
		return nil, nil
	}
	for _, a := range first.answers {
		if a.url.Scheme == "http" && hostOf(a.url) == hostOf(doc.url) {
			return &plainVisit{answered: true, secured: true, last: a}, nil // seen already
		}
	}
	at := &url.URL{Scheme: "http", Host: strings.TrimSuffix(doc.url.Host, ":443"), Path: doc.url.Path, RawPath: doc.url.RawPath, RawQuery: doc.url.RawQuery}
	limited, cancel := context.WithTimeout(ctx, plainTimeout)
	defer cancel()
	p := &plainVisit{}
	browser := newBrowser()
	for range maxRedirects + 1 {
		a, next, err := e.get(limited, at, browser)
		if err != nil {
			return &plainVisit{}, ctx.Err()
		}
		p.answered, p.last = true, a
		if next == nil || next.Scheme == "https" {
			p.secured = next != nil
			return p, nil
		}
		at = next
	}
	return &plainVisit{}, nil
}

// plain judges the visit over plain HTTP. A known visitor's Secure cookies are
// not sent there, and browsers refuse to replace them from there (RFC 6265bis,
// "leave secure cookies alone"): the visitor is new on each page.
func (e *examination) plain(v *visits) {
	const topic = "plain HTTP"
	switch p, host := v.plain, hostOf(v.first.document().url); {
	case p == nil:
	case !p.answered:
		e.report.add(fine, topic, "", "http://%s does not answer here", host)
	case p.secured:
		e.report.add(fine, topic, "", "http://%s redirects to HTTPS", host)
	case !navigation.IsPage(p.last.status, p.last.header, p.last.body):
		e.report.add(note, topic, "redirect it to HTTPS", "http://%s answers %d and does not redirect to HTTPS", host, p.last.status)
	default:
		verdict := problem
		if v.secures(host) {
			verdict = note // known visitors do not get there
		}
		e.report.add(verdict, topic, "redirect it to HTTPS, as Caddy does for sites without a scheme in their address",
			"http://%s serves pages and does not redirect to HTTPS: known visitors are new on each of them", host)
	}
}

// hsts notes that nothing keeps browsers away from plain HTTP.
func (e *examination) hsts(v *visits) {
	host := hostOf(v.first.document().url)
	if _, err := netip.ParseAddr(host); err == nil || isLoopback(host) || v.secures(host) {
		return
	}
	e.report.add(note, "HSTS", `send it, in Caddy with: header Strict-Transport-Security "max-age=31536000"`,
		"no Strict-Transport-Security: browsers may open http:// addresses of the site")
}

// secures reports that a host told browsers to use HTTPS only.
func (v *visits) secures(host string) bool {
	for _, l := range []*load{v.first, v.again, v.other} {
		if l == nil {
			continue
		}
		for _, a := range l.answers {
			if a.url.Scheme == "https" && hostOf(a.url) == host && hstsAge(a.header) > 0 {
				return true
			}
		}
	}
	return false
}

// hstsAge reads the max-age of the first Strict-Transport-Security field (RFC
// 6797, 6.1 and 8.1), 0 for none.
func hstsAge(h http.Header) uint64 {
	for directive := range strings.SplitSeq(h.Get("Strict-Transport-Security"), ";") {
		name, value, _ := strings.Cut(directive, "=")
		if strings.EqualFold(strings.TrimSpace(name), "max-age") {
			seconds, _ := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 64) // 0, or the greatest if out of range
			return seconds
		}
	}
	return 0
}
