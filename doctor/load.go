package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"

	"github.com/intilery/caddy-intilery/internal/navigation"
	"github.com/intilery/caddy-intilery/internal/terminal"
)

const (
	// userAgent is a browser's, so that the site serves what a browser gets.
	userAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36 intilery-doctor"

	maxRedirects = 5
	maxBody      = 1 << 20
)

// load is a page as a browser opens it: one or more answers, all but the last
// of which redirect.
type load struct{ answers []answer }

func (l *load) document() answer { return l.answers[len(l.answers)-1] }

// answer is one response.
type answer struct {
	url     *url.URL
	status  int
	header  http.Header
	trailer http.Header
	body    []byte // its beginning
	cookies []*http.Cookie
}

// open loads a page with a browser's cookies, which it updates.
func (e *examination) open(ctx context.Context, at *url.URL, browser http.CookieJar) (*load, error) {
	l := &load{}
	for range maxRedirects + 1 {
		a, next, err := e.get(ctx, at, browser)
		if err != nil {
			return nil, err
		}
		l.answers = append(l.answers, a)
		if next == nil {
			return l, nil
		}
		at = next
	}
	return nil, fmt.Errorf("opening %s: %w", l.answers[0].url.Redacted(), errRedirects)
}

var errRedirects = errors.New("too many redirects")

// get performs one request of a navigation. It returns the address that the
// answer redirects to, nil for none.
func (e *examination) get(ctx context.Context, at *url.URL, browser http.CookieJar) (a answer, next *url.URL, err error) {
	req := (&http.Request{Method: http.MethodGet, URL: at, Host: at.Host}).WithContext(ctx)
	req.Header = http.Header{
		"Accept":                    {"text/html,application/xhtml+xml,*/*;q=0.8"},
		"Accept-Language":           {"en"},
		"Upgrade-Insecure-Requests": {"1"},
		"User-Agent":                {userAgent},
	}
	if isTrustworthy(at) {
		req.Header["Sec-Fetch-Dest"] = []string{"document"}
		req.Header["Sec-Fetch-Mode"] = []string{"navigate"}
		req.Header["Sec-Fetch-Site"] = []string{"none"}
		req.Header["Sec-Fetch-User"] = []string{"?1"}
	}
	if a, err = e.send(req, browser); err != nil || a.status < 300 || a.status > 399 {
		return a, nil, err
	}
	next, err = at.Parse(a.header.Get("Location"))
	if err != nil || a.header.Get("Location") == "" || next.Scheme != "http" && next.Scheme != "https" || next.Host == "" {
		return a, nil, nil
	}
	return a, next, nil
}

// send makes a request with a browser's cookies, which the answer updates.
func (e *examination) send(req *http.Request, browser http.CookieJar) (a answer, err error) {
	at := req.URL
	for _, c := range browser.Cookies(at) {
		req.AddCookie(c)
	}
	resp, err := e.transport.RoundTrip(req)
	if err != nil {
		return a, fmt.Errorf("opening %s: %w", at.Redacted(), err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return a, fmt.Errorf("reading %s: %w", at.Redacted(), err)
	}
	a = answer{url: at, status: resp.StatusCode, header: resp.Header, trailer: resp.Trailer, body: body, cookies: resp.Cookies()}
	browser.SetCookies(at, a.cookies)
	return a, nil
}

// isTrustworthy reports an address to which browsers send Fetch Metadata.
func isTrustworthy(at *url.URL) bool { return at.Scheme == "https" || isLoopback(hostOf(at)) }

// document judges what the visitor was shown.
func (e *examination) document(site *url.URL, first *load) {
	doc := first.document()
	if host := hostOf(doc.url); host != hostOf(site) {
		e.report.add(note, "document", "examine "+terminal.Shorten(doc.url.Redacted(), maxShown)+" too", "the site redirects to the host %s", host)
	}
	switch {
	case doc.status >= 400:
		e.report.add(problem, "document", "examine a page that exists", "the site answers %d, and sets no cookie on that", doc.status)
	case !navigation.IsPage(doc.status, doc.header, doc.body):
		e.report.add(note, "document", "examine an HTML page", "the answer is not an HTML document (%d, %q)", doc.status, doc.header.Get("Content-Type"))
	}
}

// hostOf returns an address' host as it is looked up: in lower case and in ASCII.
func hostOf(u *url.URL) string {
	if ascii, err := idna.Lookup.ToASCII(u.Hostname()); err == nil {
		return ascii
	}
	return strings.ToLower(u.Hostname())
}

// siteOf returns a host's registrable domain, or the host if it has none.
func siteOf(host string) string {
	if domain, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return domain
	}
	return host
}
