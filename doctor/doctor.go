package doctor

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/intilery/caddy-intilery/cookie"
)

// Doctor examines sites. Its zero value examines a site with the default cookie
// options.
type Doctor struct {
	// Resolver looks up the addresses and aliases that Safari compares. Default:
	// [net.DefaultResolver]. It is not used for connections.
	Resolver HostResolver

	// Transport performs the visits. Default: one that connects to loopback for
	// localhost and all names below it, as browsers do (RFC 6761, 6.3), and that
	// follows the proxy settings of the environment for all others.
	Transport http.RoundTripper

	// Cookies are the site's cookie options.
	Cookies cookie.Config

	// Collect is the site's collection endpoint, nil for none.
	Collect *Endpoint

	// Now is the clock by which lifetimes are judged. Default: [time.Now].
	Now func() time.Time
}

// HostResolver is the part of a [*net.Resolver] that is used.
type HostResolver interface {
	LookupCNAME(ctx context.Context, host string) (string, error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Examine visits a site and reports what it found. The page is the address of
// the pages that the site's answers belong to: the site itself, unless the
// module serves another host than the pages'.
//
// An error means that the cookie options are not valid or that the site could
// not be visited. Its text is safe to print.
func (d *Doctor) Examine(ctx context.Context, site, page *url.URL) (*Report, error) {
	r, err := d.examine(ctx, site, page)
	if err != nil {
		return nil, printableError{err}
	}
	return r, nil
}

func (d *Doctor) examine(ctx context.Context, site, page *url.URL) (*Report, error) {
	cookies, err := cookie.NewResolver(d.Cookies, nil)
	if err != nil {
		return nil, err
	}
	e := &examination{
		hosts:     d.Resolver,
		transport: d.Transport,
		domain:    cookies.Domain,
		cookies:   d.Cookies.WithDefaults(),
		collect:   d.Collect,
		now:       time.Now(),
		report:    &Report{site: site.Redacted()},
	}
	if e.hosts == nil {
		e.hosts = net.DefaultResolver
	}
	if e.transport == nil {
		e.transport = newTransport()
	}
	if d.Now != nil {
		e.now = d.Now()
	}
	v, err := e.visit(ctx, site)
	if err != nil {
		return nil, err
	}
	e.https(v)
	e.scope(hostOf(site))
	capped := e.dns(ctx, hostOf(site), hostOf(page))
	e.document(site, v.first)
	e.headers(v)
	e.caching(v)
	ours := e.ownCookies(v)
	e.network(v, ours)
	e.nextVisits(v, ours)
	if err := e.endpoint(ctx, v, site, page); err != nil {
		return nil, err
	}
	e.report.lifetimes = lifetimesOf(ours, capped, e.now)
	return e.report, nil
}

// examination is one examination of one site.
type examination struct {
	hosts     HostResolver
	transport http.RoundTripper
	domain    func(host string) string // the Domain attribute that is right for a Host
	cookies   cookie.Config
	collect   *Endpoint
	now       time.Time
	report    *Report
}

// visits are the answers that everything is judged by.
type visits struct {
	first, again, other *load // again and other are nil if the first left no cookie of ours
	plain               *plainVisit
	browser             http.CookieJar // the first visitor's, after the first visit
}

// visit makes all requests of an examination.
func (e *examination) visit(ctx context.Context, site *url.URL) (*visits, error) {
	v := &visits{browser: newBrowser()}
	var err error
	if v.first, err = e.open(ctx, site, v.browser); err != nil {
		return nil, err
	}
	at := v.first.document().url
	if e.hasOurs(v.browser, at) {
		if v.other, err = e.open(ctx, at, newBrowser()); err != nil {
			return nil, err
		}
		if v.again, err = e.open(ctx, at, v.browser); err != nil {
			return nil, err
		}
	}
	v.plain, err = e.openPlain(ctx, v.first)
	return v, err
}

// newBrowser is the cookie store of a browser that has never been used.
func newBrowser() http.CookieJar {
	jar, _ := cookiejar.New(&cookiejar.Options{PublicSuffixList: publicsuffix.List}) // never fails
	return jar
}

// SiteURL reads the address of a page, with https:// as the default scheme.
func SiteURL(text string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" {
		return nil, fmt.Errorf("%q is not accepted: use the address of a page, such as https://shop.example.com/", text)
	}
	u.Path = cmp.Or(u.Path, "/")
	return u, nil
}
