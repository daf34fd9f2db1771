package doctor

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/cookie"
)

var home = zone{
	"shop.example.com": {"192.0.2.1", "192.0.3.1", "2001:db8::1"}, "www.example.com": {"192.0.99.9"}, "far.example.com": {"198.51.100.1"},
	"alias.example.com": {"=edge.cdn.example.net", "192.0.2.7"}, "both.example.com": {"=edge.cdn.example.net", "192.0.2.8"},
	"six.example.com": {"2001:db8:0:0:ffff::2"}, "seven.example.com": {"2001:db8:0:1::2"}, "mute.example.com": {"=", "192.0.2.7"}, "broken.example.com": {"broken", "192.0.2.7"}, "many.example.com": {"192.0.2.1", "198.51.100.1"}, "other.example.org": {"192.0.2.1"},
	"co.uk": {"192.0.2.1"}, "github.io": {"192.0.2.1"}, "xn--bcher-kva.example": {"192.0.2.1"}, "shop.example.com.": {"192.0.2.1"},
}

const shop = "https://shop.example.com/"

// set is a site that sets response headers, in pairs.
func set(pairs ...string) app {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(pairs); i += 2 {
			w.Header()[pairs[i]] = []string{pairs[i+1]}
		}
	}
}

// also is a good site whose answers are changed by another app.
func also(edit app) app {
	good := mints(readableSet, keeperSet)
	return secured(func(w http.ResponseWriter, r *http.Request) {
		good(w, r)
		edit(w, r)
	})
}

// cookies is a good site but for the cookies that it sets.
func cookies(lines ...string) app { return secured(mints(lines...)) }

// examined checks the findings of a site: want lists all notes and problems and
// any of the others as "verdict topic: part of text fix: fix|".
func examined(t *testing.T, site, page string, cfg cookie.Config, app app, want ...string) *Report {
	t.Helper()
	return judged(t, &Doctor{Resolver: home, Transport: app, Cookies: cfg, Now: time.Now}, site, page, want...)
}

// judged is examined for a Doctor of any kind.
func judged(t *testing.T, d *Doctor, site, page string, want ...string) *Report {
	t.Helper()
	r, err := d.Examine(t.Context(), address(t, site), address(t, page))
	if err != nil {
		t.Fatal(err)
	}
	problems := 0
	for _, f := range r.findings {
		line := string(f.verdict) + " " + f.topic + ": " + f.text + " fix: " + f.fix + "|"
		if f.verdict == fine && r.has(f.topic, note, problem) {
			t.Errorf("ok beside something else: %s", line)
		}
		if f.verdict == problem {
			problems++
			if f.fix == "" {
				t.Errorf("problem without a fix: %s", line)
			}
		}
		i := slices.IndexFunc(want, func(w string) bool {
			key, part, _ := strings.Cut(w, ": ")
			return strings.HasPrefix(line, key+": ") && strings.Contains(line, part)
		})
		if i >= 0 {
			want = slices.Delete(slices.Clone(want), i, i+1)
		} else if f.verdict != fine {
			t.Errorf("unexpected: %s", line)
		}
	}
	for _, w := range want {
		t.Errorf("not found: %s", w)
	}
	if r.Problems() != problems {
		t.Errorf("%d problems, want %d", r.Problems(), problems)
	}
	return r
}

// without removes an attribute from a Set-Cookie line.
func without(line, attribute string) string { return strings.Replace(line, attribute+"; ", "", 1) }

func TestFindings(t *testing.T) {
	good := cookies(readableSet, keeperSet)
	plain := mints(without(readableSet, "Secure"), without(keeperSet, "Secure"))
	local := func(domain string) app {
		return mints(strings.Replace(without(readableSet, "Secure"), "Domain=example.com; ", domain, 1), strings.Replace(without(keeperSet, "Secure"), "Domain=example.com; ", domain, 1))
	}
	atPlain := func(hsts string, other app) app {
		good := mints(readableSet, keeperSet)
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Scheme == "http" {
				other(w, r)
				return
			}
			w.Header().Set("Strict-Transport-Security", hsts)
			good(w, r)
		}
	}
	redirect := func(from, to string, then app) app {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Scheme+"://"+r.Host == from {
				set("Location", to)(w, r)
				w.WriteHeader(http.StatusFound)
				return
			}
			then(w, r)
		}
	}
	const notSet = "not set for a new visitor"
	none := []string{"problem cookie intilery_keeper: " + notSet, "problem cookie ajs_anonymous_id: " + notSet}
	both := func(text string, more ...string) []string {
		return append([]string{"problem cookie ajs_anonymous_id: " + text, "problem cookie intilery_keeper: " + text}, more...)
	}
	const outer = "outer `header`"
	for _, tt := range []struct {
		name, site string
		cfg        cookie.Config
		app        app
		want       []string
	}{
		{"all is well", shop, cookie.Config{}, good, []string{
			"ok HTTPS: Secure", "ok plain HTTP: redirects", "ok domain: for example.com", "ok DNS: same host", "ok caching: no shared cache",
			"ok cookie ajs_anonymous_id: for 365 days", "ok cookie intilery_keeper: for 365 days", "ok second visit: is known", "ok another visitor: other cookies"}},
		{"a name in Unicode", "https://bücher.example", cookie.Config{}, cookies(strings.Replace(readableSet, "example.com", "xn--bcher-kva.example", 1), strings.Replace(keeperSet, "example.com", "xn--bcher-kva.example", 1)),
			[]string{"ok domain: for xn--bcher-kva.example", "ok DNS: same host", "ok cookie intilery_keeper: for 365 days"}},

		{"plain HTTP", "http://shop.example.com", cookie.Config{}, plain, []string{"problem HTTPS: redirect to it"}},
		{"plain HTTP that redirects", "http://shop.example.com", cookie.Config{}, good, []string{"ok HTTPS: Secure", "ok plain HTTP: redirects"}},
		{"plain HTTP on localhost", "http://localhost", cookie.Config{}, local(""), []string{"note HTTPS: this machine", "note domain: single name", "note DNS: has nothing to compare"}},
		{"plain HTTP below localhost", "http://shop.localhost", cookie.Config{}, local("Domain=shop.localhost; "),
			[]string{"note HTTPS: this machine", "ok domain: for shop.localhost", "note DNS: has nothing to compare", "ok second visit: is known"}},
		{"plain HTTP on loopback", "http://127.0.0.1:8080", cookie.Config{}, local(""), []string{"note HTTPS: this machine", "note domain: address", "note DNS: has nothing to compare"}},
		{"HTTPS on localhost", "https://localhost", cookie.Config{}, atPlain("", mints(without(readableSet, "Domain=example.com"), without(keeperSet, "Domain=example.com"))),
			both("for example.com on a page of localhost", "note domain: single name", "note DNS: has nothing to compare")},
		{"from HTTPS to plain HTTP", shop, cookie.Config{}, redirect("https://shop.example.com", "http://shop.example.com/a", plain),
			[]string{"problem HTTPS: X-Forwarded-Proto"}},
		{"to plain HTTP and back", shop, cookie.Config{}, redirect("https://shop.example.com", "http://www.example.com/", good),
			[]string{"problem HTTPS: from https://shop.example.com to http://www.example.com", "note document: host www.example.com"}},

		{"pages over plain HTTP", shop, cookie.Config{}, atPlain("", plain), []string{"problem plain HTTP: known visitors are new", "note HSTS: Strict-Transport-Security"}},
		{"pages over plain HTTP, with HSTS", shop, cookie.Config{}, atPlain("max-age=99", plain), []string{"note plain HTTP: does not redirect"}},
		{"pages over plain HTTP on another host", shop, cookie.Config{}, atPlain("", redirect("http://shop.example.com", "http://www.example.com", plain)),
			[]string{"problem plain HTTP: does not redirect", "note HSTS: max-age=31536000"}},
		{"plain HTTP redirects over two hosts", shop, cookie.Config{}, atPlain("max-age=99",
			redirect("http://shop.example.com", "http://www.example.com", redirect("http://www.example.com", "https://www.example.com", plain))), []string{"ok plain HTTP: redirects to HTTPS"}},
		{"nothing over plain HTTP", shop, cookie.Config{}, atPlain("max-age=99", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }),
			[]string{"note plain HTTP: answers 403"}},
		{"no answer over plain HTTP", shop, cookie.Config{}, atPlain("max-age=99", set("Connection", "refused")), []string{"ok plain HTTP: does not answer"}},
		{"plain HTTP redirects without end", shop, cookie.Config{}, atPlain("max-age=99", redirect("http://shop.example.com", "/", nil)), []string{"ok plain HTTP: does not answer"}},
		{"HSTS revoked", shop, cookie.Config{}, also(set("Strict-Transport-Security", `includeSubDomains; Max-Age="0"`)), []string{"note HSTS: browsers may open"}},
		{"HSTS for ever", shop, cookie.Config{}, also(set("Strict-Transport-Security", `includeSubDomains; Max-Age="99999999999999999999"`)), nil},
		{"no HSTS on an address", "https://192.0.2.1", cookie.Config{}, also(set("Strict-Transport-Security", "")),
			both("for example.com on a page of 192.0.2.1", "note domain: is an address", "note DNS: has nothing to compare")},

		{"a public suffix of a country", "https://co.uk", cookie.Config{}, good, both("refuse", "problem domain: public suffix")},
		{"a public suffix of a hoster", "https://github.io", cookie.Config{}, good, both("refuse", "note domain: others have sites")},
		{"no such name", "https://none.example.com", cookie.Config{}, good, []string{"note DNS: cannot be resolved here: no such host"}},
		{"addresses in several networks", "https://many.example.com", cookie.Config{}, good, []string{"note DNS: several networks (192.0.0.0/16, 198.51.0.0/16)"}},

		{"no page", shop, cookie.Config{}, secured(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }), append(none, "problem document: answers 404")},
		{"data", shop, cookie.Config{}, also(set("Content-Type", "application/json")), []string{`note document: not an HTML document (200, "application/json")`}},
		{"data without a type", shop, cookie.Config{}, also(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			fmt.Fprint(w, "\x00")
		}), []string{`note document: not an HTML document`}},
		{"a redirect to another host", shop, cookie.Config{}, redirect("https://shop.example.com", "https://www.example.com/", good),
			[]string{"note document: examine https://www.example.com/ too", "ok second visit: is known"}},
		{"a redirect to another scheme", shop, cookie.Config{}, redirect("https://shop.example.com", "mailto:a@example.com", good),
			append(none, "note document: not an HTML document (302", "note HSTS: ", "ok plain HTTP: redirects")},

		{"a redirect to no host", shop, cookie.Config{}, redirect("https://shop.example.com", "https:///a", good), append(none, "note document: not an HTML document (302", "note HSTS: ")},
		{"a redirect to nowhere", shop, cookie.Config{}, secured(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(302) }), append(none, "note document: not an HTML document (302")},
		{"a Location without a redirect", shop, cookie.Config{}, also(func(w http.ResponseWriter, r *http.Request) {
			set("Location", "https://www.example.com/")(w, r)
			w.WriteHeader(http.StatusCreated)
		}), nil},
		{"a name with a dot at its end", "https://shop.example.com.", cookie.Config{}, cookies(without(readableSet, "Domain=example.com"), without(keeperSet, "Domain=example.com")),
			[]string{"note domain: only"}},

		{"headers of the app", shop, cookie.Config{}, also(set("Intilery-Track", "secret", "intilery_user_id", "secret", "Intilery-Page", "off", "Intilery-Reset", "true", "Intilery-Consent", "denied")),
			[]string{"problem headers: Intilery-Consent, Intilery-Page, Intilery-Reset, Intilery-Track, intilery_user_id: the module is bypassed"}},
		{"trailers of the app", shop, cookie.Config{}, also(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "Intilery-Track")
			w.WriteHeader(200)
			w.Header().Set("Intilery-Track", "secret")
		}), []string{"problem headers: receives Intilery-Track: "}},
		{"headers of the app on a redirect", shop, cookie.Config{}, func(w http.ResponseWriter, r *http.Request) {
			if r.Host == "shop.example.com" {
				set("Intilery-Reset", "true")(w, r)
			}
			redirect("https://shop.example.com", "https://www.example.com/", good)(w, r)
		}, []string{"problem headers: Intilery-Reset", "note document: examine"}},
		{"clears cookies", shop, cookie.Config{}, also(set("Clear-Site-Data", `"cache", "cookies"`)), []string{"note headers: Intilery-Reset"}},
		{"clears everything", shop, cookie.Config{}, also(set("Clear-Site-Data", `"*"`)), []string{"note headers: Intilery-Reset"}},
		{"clears its cache", shop, cookie.Config{}, also(set("Clear-Site-Data", `"cache"`)), nil},
		{"a CDN", shop, cookie.Config{}, also(set("X-Amz-Cf-Id", "a")), []string{"note CDN: through CloudFront fix: |"}},
		{"a CDN that passes nothing on", shop, cookie.Config{}, secured(set("X-Amz-Cf-Id", "a", "Content-Type", "text/html")), append(none, "note CDN: AllViewer")},

		{"a cacheable document without cookies", shop, cookie.Config{}, secured(set("Cache-Control", "public, max-age=60", "Content-Type", "text/html")),
			append(none, "problem caching: cacheable private")},
		{"a cacheable error without cookies", shop, cookie.Config{}, secured(func(w http.ResponseWriter, r *http.Request) {
			set("Cache-Control", "public")(w, r)
			w.WriteHeader(404)
		}), append(none, "problem document: answers 404")},
		{"cookies on a cacheable document", shop, cookie.Config{}, also(set("Cache-Control", "public, s-maxage=600")), []string{"problem caching: (Cache-Control: public, s-maxage=600) and give them to other visitors fix: "}},
		{"what to do about cookies on a cacheable document", shop, cookie.Config{}, also(set("Cache-Control", "public")), []string{"problem caching: " + outer}},
		{"cookies on a document that a CDN may store", shop, cookie.Config{}, also(set("Cache-Control", "private, no-store", "Cdn-Cache-Control", "max-age=600")),
			[]string{"problem caching: (Cdn-Cache-Control: max-age=600)"}},
		{"cookies on a document with Vary", shop, cookie.Config{}, also(set("Cache-Control", "max-age=60", "Vary", "Accept-Encoding, cookie")), []string{"problem caching: Vary: Cookie does not"}},
		{"cookies on a document with another Vary", shop, cookie.Config{}, also(set("Cache-Control", "max-age=60", "Vary", "Accept-Encoding")), []string{"problem caching: to other visitors fix: "}},
		{"cookies on a document with Expires", shop, cookie.Config{}, also(func(w http.ResponseWriter, r *http.Request) {
			delete(w.Header(), "Cache-Control")
			set("Expires", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))(w, r)
		}), []string{"problem caching: (Expires: "}},
		{"Expires beside Cache-Control", shop, cookie.Config{}, also(set("Expires", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))), nil},
		{"cookies without private", shop, cookie.Config{}, also(set("Cache-Control", "no-cache")), []string{"note caching: not marked private"}},
		{"no cookies and no private", shop, cookie.Config{}, also(func(w http.ResponseWriter, r *http.Request) {
			if len(r.Cookies()) > 0 {
				w.Header().Set("Cache-Control", "public")
			}
		}), nil},
		{"cookies on a cacheable redirect", shop, cookie.Config{}, func() app {
			good := cookies(readableSet, keeperSet)
			return func(w http.ResponseWriter, r *http.Request) {
				good(w, r)
				if r.URL.Path == "/" && r.URL.Scheme == "https" {
					set("Cache-Control", "max-age=60", "Location", "/a")(w, r)
					w.WriteHeader(http.StatusFound)
				}
			}
		}(), []string{"problem caching: Cache-Control: max-age=60"}},
		{"from a cache without cookies", shop, cookie.Config{}, secured(set("Age", "5", "Content-Type", "text/html")), append(none, "problem caching: without cookies")},
		{"from a cache behind the module", shop, cookie.Config{}, also(set("Age", "5")), []string{"note caching: Intilery-* headers is ignored"}},
		{"the next visitor is served from a cache", shop, cookie.Config{}, func() app {
			visits := 0
			return secured(func(w http.ResponseWriter, r *http.Request) {
				if visits++; visits == 2 {
					set("X-Cache", "HIT")(w, r)
					return
				}
				mints(readableSet, keeperSet)(w, r)
			})
		}(), []string{"problem caching: without cookies", "problem another visitor: got no cookies"}},
		{"a cache replays the cookies", shop, cookie.Config{}, cookies(strings.Replace(readableSet, "NN", "7", 1), strings.Replace(keeperSet, "NN", "7", 1)),
			[]string{"problem another visitor: gives one visitor's cookies to all", "ok second visit: is known"}},
		{"a cache replays the readable cookie", shop, cookie.Config{}, cookies(strings.Replace(readableSet, "NN", "7", 1), keeperSet), []string{"problem another visitor: same cookies"}},

		{"set twice", shop, cookie.Config{}, cookies("ajs_anonymous_id=other; Path=/; Secure", readableSet, keeperSet),
			[]string{"problem cookie ajs_anonymous_id: more than once, for this host only and for example.com"}},
		{"set twice in two scopes", shop, cookie.Config{}, cookies("intilery_keeper=NN; Path=/; Secure", readableSet, keeperSet), []string{"problem cookie intilery_keeper: more than once"}},
		{"set twice to two values", shop, cookie.Config{}, cookies("intilery_keeper=NNa; Path=/; Domain=example.com; Secure", readableSet, keeperSet), []string{"problem cookie intilery_keeper: more than once"}},
		{"set twice alike", shop, cookie.Config{}, cookies(keeperSet, readableSet, keeperSet), nil},
		{"removed elsewhere", shop, cookie.Config{}, cookies("ajs_anonymous_id=; Path=/; Max-Age=0", "ajs_anonymous_id=a; Path=/; Max-Age=0",
			"ajs_anonymous_id=a; Path=/; Expires=Thu, 01 Jan 1970 00:00:01 GMT", readableSet, keeperSet), []string{"ok cookie ajs_anonymous_id: for 365 days"}},
		{"on another site on the way", "https://other.example.org", cookie.Config{}, redirect("https://other.example.org", shop, good), []string{"note document: examine"}},
		{"narrower than the tag's", shop, cookie.Config{}, cookies(strings.Replace(readableSet, "Domain=", "Domain=shop.", 1), keeperSet),
			[]string{"problem cookie ajs_anonymous_id: for shop.example.com instead of example.com"}},
		{"host-only where a proxy replaces Host", shop, cookie.Config{}, cookies(without(readableSet, "Domain=example.com"), without(keeperSet, "Domain=example.com")),
			both("this host only instead of example.com: there will be duplicates fix: let only one of the app, the tag and the module set it, or set cookie { domain } to match; if a proxy or CDN replaces Host")},
		{"for the domain of a backend", shop, cookie.Config{}, cookies(strings.Replace(readableSet, "example.com", "backend.example.net", 1), strings.Replace(keeperSet, "example.com", "backend.example.net", 1)),
			both("for backend.example.net on a page of shop.example.com: browsers refuse it fix: if a proxy or CDN replaces Host")},
		{"for a domain that ends alike", shop, cookie.Config{}, cookies(strings.Replace(readableSet, "example.com", "op.example.com", 1), keeperSet),
			[]string{"problem cookie ajs_anonymous_id: browsers refuse it"}},
		{"for a domain with a dot", shop, cookie.Config{}, cookies(strings.Replace(readableSet, "Domain=e", "Domain=.E", 1), keeperSet), []string{"ok cookie ajs_anonymous_id: for 365 days"}},
		{"a configured domain", shop, cookie.Config{Domain: "shop.example.com"}, cookies(strings.Replace(readableSet, "Domain=", "Domain=shop.", 1), strings.Replace(keeperSet, "Domain=", "Domain=shop.", 1)),
			[]string{"ok cookie ajs_anonymous_id: for shop.example.com", "ok cookie intilery_keeper: for shop.example.com"}},
		{"other names", shop, cookie.Config{Name: "anonymousId", KeeperName: "k"}, cookies(strings.Replace(readableSet, "ajs_anonymous_id", "anonymousId", 1), strings.Replace(keeperSet, "intilery_keeper", "k", 1)),
			[]string{"ok cookie anonymousId: 365", "ok cookie k: 365"}},
		{"keeper only", shop, cookie.Config{KeeperOnly: true}, cookies(keeperSet), []string{"ok cookie intilery_keeper: 365"}},
		{"not HttpOnly", shop, cookie.Config{}, cookies(readableSet, without(keeperSet, "HttpOnly")), []string{"problem cookie intilery_keeper: not HttpOnly"}},
		{"not Secure", shop, cookie.Config{}, cookies(without(readableSet, "Secure"), keeperSet),
			[]string{"problem cookie ajs_anonymous_id: trusted_proxies and let it send X-Forwarded-Proto: https"}},
		{"Secure over plain HTTP", "http://shop.example.com", cookie.Config{}, mints(readableSet, without(keeperSet, "Secure")),
			[]string{"problem HTTPS: ", "problem cookie ajs_anonymous_id: browsers refuse it, or do not send it back"}},
		{"for a path", shop, cookie.Config{}, cookies(strings.Replace(readableSet, "Path=/", "Path=/app", 1), keeperSet), []string{`problem cookie ajs_anonymous_id: Path is "/app"`}},
		{"SameSite=Strict", shop, cookie.Config{}, cookies(strings.Replace(readableSet, "Lax", "Strict", 1), keeperSet), []string{"problem cookie ajs_anonymous_id: follows a link"}},
		{"for the session", shop, cookie.Config{}, cookies(readableSet, without(keeperSet, "Max-Age=31536000")), []string{"problem cookie intilery_keeper: neither Max-Age nor Expires"}},
		{"too long", shop, cookie.Config{}, cookies(readableSet, strings.Replace(keeperSet, "31536000", "99999999999999", 1)), []string{"note cookie intilery_keeper: cap at 400 days"}},
		{"too long, and refused", "http://shop.example.com", cookie.Config{}, mints(without(readableSet, "Secure"), strings.Replace(keeperSet, "31536000", "99999999", 1)),
			[]string{"problem HTTPS: ", "note cookie intilery_keeper: cap at 400 days", "problem cookie intilery_keeper: browsers refuse it"}},

		{"another ID at the second visit", shop, cookie.Config{}, func() app {
			n := 0
			return secured(func(w http.ResponseWriter, r *http.Request) {
				n++
				w.Header()["Set-Cookie"] = []string{strings.Replace(readableSet, "NN", fmt.Sprint(n), 1), strings.Replace(keeperSet, "NN", fmt.Sprint(n), 1)}
				set("Cache-Control", "private", "Content-Type", "text/html")(w, r)
			})
		}(), []string{"problem second visit: CDN removes Cookie"}},
		{"other cookies at the second visit", shop, cookie.Config{}, also(func(w http.ResponseWriter, r *http.Request) {
			if len(r.Cookies()) > 0 {
				w.Header()["Set-Cookie"] = []string{"session=1", "ajs_anonymous_id=; Path=/; Max-Age=0"}
				set("Cache-Control", "private")(w, r)
			}
		}), []string{"ok second visit: is known"}},
		{"other cookies for another visitor", shop, cookie.Config{}, func() app {
			visits, good := 0, mints(readableSet, keeperSet)
			return secured(func(w http.ResponseWriter, r *http.Request) {
				good(w, r)
				if visits++; visits == 2 {
					w.Header()["Set-Cookie"] = []string{"session=1", "ajs_anonymous_id=; Path=/; Max-Age=0"}
				}
			})
		}(), []string{"problem another visitor: got no cookies"}},
		{"set again at the second visit", shop, cookie.Config{}, also(func(w http.ResponseWriter, r *http.Request) {
			if len(r.Cookies()) > 0 {
				set("Cache-Control", "private", "Set-Cookie", strings.Replace(keeperSet, "NN", "again", 1))(w, r)
			}
		}), []string{"note second visit: set again"}},
	} {
		t.Run(tt.name, func(t *testing.T) { examined(t, tt.site, tt.site, tt.cfg, tt.app, tt.want...) })
	}
}

// What Safari makes of a site that serves the pages of another host.
func TestPagesOnAnotherHost(t *testing.T) {
	for _, tt := range []struct{ name, site, page, want, safari string }{
		{"the same network", shop, "https://www.example.com", "ok DNS: share a site and a network", "365 days"},
		{"another network", shop, "https://far.example.com", "problem DNS: 192.0.0.0/16", "7 days (capped)"},
		{"64 bits of IPv6", "https://six.example.com", shop, "ok DNS: share", "365 days"},
		{"other 64 bits of IPv6", "https://six.example.com", "https://seven.example.com", "problem DNS: 2001:db8::/64 and seven.example.com in 2001:db8:0:1::/64", "7 days (capped)"},
		{"an empty alias", "https://mute.example.com", shop, "ok DNS: share", "365 days"},
		{"an alias that cannot be looked up", "https://broken.example.com", shop, "ok DNS: share", "365 days"},
		{"an alias outside", "https://alias.example.com", shop, "problem DNS: alias of edge.cdn.example.net", "7 days (capped)"},
		{"an alias outside, like the pages'", "https://alias.example.com", "https://both.example.com", "ok DNS: share", "365 days"},
		{"another site", "https://other.example.org", shop, "problem DNS: different sites", "7 days (capped)"},
		{"pages that cannot be resolved", shop, "https://none.example.com", "note DNS: none.example.com cannot be resolved", "365 days"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			domain := siteOf(hostOf(address(t, tt.site)))
			app := cookies(strings.Replace(readableSet, "example.com", domain, 1), strings.Replace(keeperSet, "example.com", domain, 1))
			r := examined(t, tt.site, tt.page, cookie.Config{}, app, tt.want)
			if r.lifetimes[0].keeper != tt.safari {
				t.Errorf("Safari keeps the keeper %q, want %q", r.lifetimes[0].keeper, tt.safari)
			}
		})
	}
}

// A cookie that browsers refuse is not one that they keep.
func TestRefusedCookies(t *testing.T) {
	for _, domain := range []string{"example.net", "co.uk"} {
		t.Run(domain, func(t *testing.T) {
			app := cookies(strings.Replace(keeperSet, "example.com", domain, 1))
			r := examined(t, "https://shop.co.uk", "https://shop.co.uk", cookie.Config{KeeperOnly: true}, app, "problem cookie intilery_keeper: it is set for "+domain, "note DNS: cannot be resolved")
			if r.lifetimes[0].keeper != "not set" || r.has("second visit") {
				t.Errorf("the keeper lives %s, second visit %v", r.lifetimes[0].keeper, r.has("second visit"))
			}
		})
	}
}

func TestLifetimes(t *testing.T) {
	now := time.Now()
	set := func(maxAge int, expires time.Time) *http.Cookie {
		return &http.Cookie{MaxAge: maxAge, Expires: expires}
	}
	for _, tt := range []struct {
		name   string
		keeper *http.Cookie
		capped bool
		want   [2]string // Safari, Firefox
	}{
		{"not set", nil, false, [2]string{"not set", "not set"}},
		{"for the session", set(0, time.Time{}), false, [2]string{"until the browser is closed", "until the browser is closed"}},
		{"too long", set(1<<60, time.Time{}), false, [2]string{"400 days", "400 days"}},
		{"capped", set(31536000, time.Time{}), true, [2]string{"7 days (capped)", "365 days"}},
		{"a day, by Expires", set(0, now.Add(24*time.Hour)), false, [2]string{"1 day", "1 day"}},
		{"Max-Age before Expires", set(2*24*3600, now.Add(24*time.Hour)), false, [2]string{"2 days", "2 days"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := lifetimesOf(ownCookies{keeper: tt.keeper}, tt.capped, now)
			if got := [2]string{l[0].keeper, l[2].keeper}; got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
