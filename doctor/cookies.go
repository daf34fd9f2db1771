package doctor

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// ownCookies are our two cookies as the first visitor got them, nil for one that
// the browser does not have.
type ownCookies struct{ readable, keeper *http.Cookie }

func (e *examination) ownCookies(v *visits) (ours ownCookies) {
	ours.keeper = e.ownCookie(v, e.cookies.KeeperName)
	if !e.cookies.KeeperOnly {
		ours.readable = e.ownCookie(v, e.cookies.Name)
	}
	return ours
}

const (
	fixRewritten = "find what rewrites Set-Cookie on the way"
	fixHost      = "if a proxy or CDN replaces Host, let it send the visitor's (nginx: proxy_set_header Host $host)"
)

// ownCookie judges one of our cookies, and returns it if the browser has it after
// the first visit.
func (e *examination) ownCookie(v *visits, name string) *http.Cookie {
	topic := "cookie " + name
	doc := v.first.document()
	var set []*http.Cookie
	var from *url.URL
	for _, a := range v.first.answers {
		for _, c := range a.cookies {
			if c.Name == name && siteOf(hostOf(a.url)) == siteOf(hostOf(doc.url)) && !expires(c, e.now) {
				set, from = append(set, c), a.url
			}
		}
	}
	if len(set) == 0 {
		e.report.add(problem, topic, "check that the site's block has intilery, whether consent is required, and the caching above",
			"it is not set for a new visitor")
		return nil
	}
	c := set[len(set)-1]
	for _, other := range set[:len(set)-1] {
		if other.Domain != c.Domain || other.Value != c.Value {
			e.report.add(problem, topic, "find what else sets a cookie of that name, and stop it or rename one of the two (cookie { name })",
				"it is set more than once, for %s and for %s: the tag and the server read different ones", scopeOf(other), scopeOf(c))
			break
		}
	}
	e.attributes(topic, c, from, name == e.cookies.KeeperName)
	if !sendsBack(v.browser, doc.url, name) {
		if !e.report.has(topic, problem) {
			e.report.add(problem, topic, fixRewritten, "browsers refuse it, or do not send it back to the page that set it")
		}
		return nil
	}
	if !e.report.has(topic) {
		e.report.add(fine, topic, "", "set by the server for %s, for %s", scopeOf(c), days(lifeOf(c, e.now)))
	}
	return c
}

// attributes judges a cookie that an answer of an address sets.
func (e *examination) attributes(topic string, c *http.Cookie, from *url.URL, isKeeper bool) {
	host, domain, want := hostOf(from), strings.ToLower(strings.TrimPrefix(c.Domain, ".")), e.domain(from.Host)
	switch {
	case domain == want:
	case domain != "" && domain != host && !strings.HasSuffix(host, "."+domain):
		e.report.add(problem, topic, fixHost, "it is set for %s on a page of %s: browsers refuse it", scopeOf(c), host)
	default:
		e.report.add(problem, topic, "let only one of the app, the tag and the module set it, or set cookie { domain } to match; "+fixHost,
			"it is set for %s instead of %s: there will be duplicates", scopeOf(c), scopeOf(&http.Cookie{Domain: want}))
	}
	if isKeeper && !c.HttpOnly {
		e.report.add(problem, topic, fixRewritten, "it is not HttpOnly: scripts can shorten and delete it")
	}
	if from.Scheme == "https" && !c.Secure {
		e.report.add(problem, topic, "behind a proxy that ends TLS, name it in Caddy's trusted_proxies and let it send X-Forwarded-Proto: https",
			"it is not Secure although the page is HTTPS")
	}
	if c.Path != "/" {
		e.report.add(problem, topic, fixRewritten, "its Path is %q: browsers do not send it to the other pages", c.Path)
	}
	if c.SameSite == http.SameSiteStrictMode {
		e.report.add(problem, topic, fixRewritten, "it is SameSite=Strict: browsers do not send it when a visitor follows a link from another site")
	}
	switch life := lifeOf(c, e.now); {
	case life == 0:
		e.report.add(problem, topic, fixRewritten, "it has neither Max-Age nor Expires: it ends with the browser's session")
	case life > longestCookie:
		e.report.add(note, topic, "", "it asks for %s; browsers cap at 400 days", days(life))
	}
}

// nextVisits judges whether the visitor is known again, and whether another one
// is told apart.
func (e *examination) nextVisits(v *visits, ours ownCookies) {
	if v.again == nil {
		return
	}
	e.secondVisit(v.again, ours)
	const topic = "another visitor"
	const fix = "let no cache in front of the module store answers with Set-Cookie, and purge it"
	set := 0
	for _, a := range v.other.answers {
		for _, c := range a.cookies {
			if !e.isOurs(c.Name) || expires(c, e.now) {
				continue
			}
			set++
			if same(c, ours.keeper) || same(c, ours.readable) {
				e.report.add(problem, topic, fix, "another new visitor got the same cookies: a cache gives one visitor's cookies to all")
				return
			}
		}
	}
	if set == 0 {
		e.report.add(problem, topic, fix, "another new visitor got no cookies")
		return
	}
	e.report.add(fine, topic, "", "another new visitor gets other cookies")
}

func (e *examination) secondVisit(again *load, ours ownCookies) {
	const topic = "second visit"
	const fix = "check that all servers of the site have the same keeper keys and the same time, and whether a CDN removes Cookie from requests"
	set := 0
	for _, a := range again.answers {
		for _, c := range a.cookies {
			if !e.isOurs(c.Name) || expires(c, e.now) {
				continue
			}
			set++
			if c.Name == e.cookies.Name && ours.readable != nil && c.Value != ours.readable.Value {
				e.report.add(problem, topic, fix, "the visitor got another ID")
				return
			}
		}
	}
	if set > 0 {
		e.report.add(note, topic, fix, "the same ID, but its cookies are set again: the server did not know them")
		return
	}
	e.report.add(fine, topic, "", "the visitor is known, and nothing is set again")
}

// same reports a cookie with the name and value of another one. Two keepers of
// one visitor are never the same: each is sealed anew.
func same(c, other *http.Cookie) bool {
	return other != nil && c.Name == other.Name && c.Value == other.Value
}

// hasOurs reports that a browser would send a cookie of ours to an address.
func (e *examination) hasOurs(browser http.CookieJar, at *url.URL) bool {
	return slices.ContainsFunc(browser.Cookies(at), func(c *http.Cookie) bool { return e.isOurs(c.Name) })
}

// sendsBack reports that a browser would send the cookie of a name.
func sendsBack(browser http.CookieJar, at *url.URL, name string) bool {
	return slices.ContainsFunc(browser.Cookies(at), func(c *http.Cookie) bool { return c.Name == name })
}

// expires reports a Set-Cookie that removes a cookie.
func expires(c *http.Cookie, now time.Time) bool {
	return c.MaxAge < 0 || c.Value == "" || c.MaxAge == 0 && !c.Expires.IsZero() && !c.Expires.After(now)
}

func scopeOf(c *http.Cookie) string {
	if c.Domain == "" {
		return "this host only"
	}
	return strings.TrimPrefix(c.Domain, ".")
}
