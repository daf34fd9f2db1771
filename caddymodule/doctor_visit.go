package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/intilery/caddy-intilery/cookie"
)

const (
	// doctorAgent is a browser's, so that the site serves what a browser gets.
	doctorAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36 intilery-doctor"

	maxDoctorRedirects = 5
	maxDoctorBody      = 1 << 20

	longestCookie = 400 * 24 * time.Hour // the cap of Chrome and Firefox
)

// answerSeen is a document and the cookies that came with it and on the way.
type answerSeen struct {
	at     *url.URL
	status int
	header http.Header
	set    []*http.Cookie
}

// ownCookies are our two cookies as they were set, nil for one that was not.
type ownCookies struct{ readable, keeper *http.Cookie }

// visit opens the site twice, as a new visitor and as the same one again.
func (d *doctor) visit(ctx context.Context, r *report, site *url.URL, jar *cookie.Jar) (ours ownCookies, err error) {
	cfg := d.cookies.WithDefaults()
	first, err := d.open(ctx, site, nil)
	if err != nil {
		return ours, err
	}
	if first.at.Hostname() != site.Hostname() {
		r.add(note, "document", "examine "+first.at.Redacted()+" too", "the site redirects to the host %s", first.at.Hostname())
	}
	if first.status >= 400 {
		r.add(problem, "document", "examine a page that exists", "the site answers %d, and sets no cookie on that", first.status)
	} else if !pageAnswer(first.status, first.header, nil) {
		r.add(note, "document", "examine a page of HTML", "the answer is no HTML document (%q)", first.header.Get("Content-Type"))
	}
	d.caching(r, first)
	ours.keeper = d.setCookie(r, cfg.KeeperName, first, jar, true)
	if !cfg.KeeperOnly {
		ours.readable = d.setCookie(r, cfg.Name, first, jar, false)
	}
	if ours.keeper == nil {
		return ours, nil
	}
	second, err := d.open(ctx, first.at, first.set)
	if err != nil {
		return ours, err
	}
	d.secondVisit(r, cfg, ours, second)
	return ours, nil
}

// open gets a page as a browser does, through its redirects.
func (d *doctor) open(ctx context.Context, at *url.URL, cookies []*http.Cookie) (*answerSeen, error) {
	seen := &answerSeen{at: at}
	for range maxDoctorRedirects + 1 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, seen.at.String(), nil)
		if err != nil {
			return nil, err
		}
		req.Header = http.Header{
			"Accept": {"text/html,application/xhtml+xml,*/*;q=0.8"}, "Accept-Language": {"en"}, "User-Agent": {doctorAgent},
			"Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Site": {"none"}, "Sec-Fetch-User": {"?1"},
		}
		if siteOf(seen.at.Hostname()) == siteOf(at.Hostname()) {
			bring(req, append(slices.Clone(cookies), seen.set...))
		}
		resp, err := d.transport.RoundTrip(req)
		if err != nil {
			return nil, fmt.Errorf("opening %s: %w", seen.at.Redacted(), err)
		}
		_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxDoctorBody))
		resp.Body.Close()
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", seen.at.Redacted(), err)
		}
		seen.status, seen.header = resp.StatusCode, resp.Header
		seen.set = append(seen.set, resp.Cookies()...)
		to, err := resp.Location()
		if resp.StatusCode < 300 || resp.StatusCode > 399 || err != nil {
			return seen, nil
		}
		if to.Scheme != "http" && to.Scheme != "https" {
			return seen, nil
		}
		seen.at = to
	}
	return nil, errors.New("too many redirects")
}

// bring puts cookies on a request, the last of each name.
func bring(r *http.Request, cookies []*http.Cookie) {
	last := map[string]*http.Cookie{}
	for _, c := range cookies {
		last[c.Name] = c
	}
	for _, c := range last {
		if c.MaxAge >= 0 {
			r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		}
	}
}

// caching says whether the document can carry a cookie.
func (d *doctor) caching(r *report, a *answerSeen) {
	switch {
	case cacheHit(a.header):
		r.add(problem, "caching", "let the cache in front of the module pass documents on, or put the module in front of the cache",
			"the document came out of a cache: whatever it sets was meant for another visitor")
	case sharingOf(http.MethodGet, a.status, a.header, d.now()) == shared:
		r.add(problem, "caching", "set `cacheable private` in the site's intilery block, or send `Cache-Control: private` or `no-cache` for pages",
			"a shared cache may store the document (Cache-Control %q): no cookie is set on it", a.header.Get("Cache-Control"))
	default:
		r.add(fine, "caching", "", "no shared cache stores the document with its cookies")
	}
}

// setCookie looks at one of our cookies in an answer, and returns it.
func (d *doctor) setCookie(r *report, name string, a *answerSeen, jar *cookie.Jar, isKeeper bool) *http.Cookie {
	var found []*http.Cookie
	for _, c := range a.set {
		if c.Name == name && c.MaxAge >= 0 && c.Value != "" {
			found = append(found, c)
		}
	}
	topic := "cookie " + name
	if len(found) == 0 {
		r.add(problem, topic, "see whether the site's block has intilery, whether consent is required, and the caching above",
			"it is not set for a new visitor")
		return nil
	}
	c := found[len(found)-1]
	for _, other := range found[:len(found)-1] {
		if other.Domain != c.Domain || other.Value != c.Value {
			r.add(problem, topic, "find what else sets a cookie of that name, and stop it or rename one of the two (cookie { name })",
				"it is set more than once, for %s and for %s: the tag and the server would read different ones", where(other), where(c))
			break
		}
	}
	faults := len(r.findings)
	if want := jar.Domain(a.at.Host); strings.TrimPrefix(c.Domain, ".") != want {
		r.add(problem, topic, "let only one of the app, the tag and the module set it, or set cookie { domain } to match",
			"it is set for %s, where %s is expected: there will be twins", where(c), where(&http.Cookie{Domain: want}))
	}
	if isKeeper && !c.HttpOnly {
		r.add(problem, topic, "find what rewrites Set-Cookie on the way", "it is not HttpOnly: scripts can shorten and clear it")
	}
	if a.at.Scheme == "https" && !c.Secure {
		r.add(problem, topic, "behind a proxy that ends TLS, name it in Caddy's trusted_proxies", "it is not Secure although the page is HTTPS")
	}
	life := lifeOf(c, d.now())
	switch {
	case life == 0:
		r.add(problem, topic, "find what rewrites Set-Cookie on the way", "it has neither Max-Age nor Expires: it ends with the browser's session")
	case life > longestCookie:
		r.add(note, topic, "", "it asks for %s; browsers cap at 400 days", days(life))
	}
	if len(r.findings) == faults {
		r.add(fine, topic, "", "set by the server for %s, for %s", where(c), days(life))
	}
	return c
}

// secondVisit says whether the visitor is known again.
func (d *doctor) secondVisit(r *report, cfg cookie.Config, ours ownCookies, second *answerSeen) {
	again := 0
	for _, c := range second.set {
		if c.Name != cfg.Name && c.Name != cfg.KeeperName || c.MaxAge < 0 {
			continue
		}
		again++
		if c.Name == cfg.Name && ours.readable != nil && c.Value != ours.readable.Value {
			r.add(problem, "second visit", "see whether all servers of the site have the same keeper keys, and one clock",
				"the visitor got another ID")
			return
		}
	}
	if again > 0 {
		r.add(note, "second visit", "see whether all servers of the site have the same keeper keys",
			"the same ID, but its cookies are set again: the server did not know them")
		return
	}
	r.add(fine, "second visit", "", "the visitor is known, and nothing is set again")
}

// lifeOf is how long a cookie asks to live, 0 for a session.
func lifeOf(c *http.Cookie, now time.Time) time.Duration {
	if c.MaxAge > 0 {
		return min(time.Duration(c.MaxAge), time.Duration(1<<62)/time.Second) * time.Second
	}
	if c.Expires.IsZero() {
		return 0
	}
	return max(c.Expires.Sub(now), 0)
}

func where(c *http.Cookie) string {
	if c.Domain == "" {
		return "this host alone"
	}
	return strings.TrimPrefix(c.Domain, ".")
}

func days(life time.Duration) string {
	if n := int64(life.Round(time.Hour) / (24 * time.Hour)); n != 1 {
		return fmt.Sprintf("%d days", n)
	}
	return "1 day"
}
