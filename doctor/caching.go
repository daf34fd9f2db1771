package doctor

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/intilery/caddy-intilery/internal/httpcache"
	"github.com/intilery/caddy-intilery/internal/terminal"
)

// caching judges whether caches may store our cookies and hand them to others.
func (e *examination) caching(v *visits) {
	const topic = "caching"
	for _, l := range []*load{v.first, v.again, v.other} {
		if l == nil {
			continue
		}
		for _, a := range l.answers {
			if e.setsOurs(a) {
				e.storable(topic, a)
			}
		}
		if l == v.again || !httpcache.Hit(http.MethodGet, l.document().header) {
			continue
		}
		if slices.ContainsFunc(l.answers, e.setsOurs) {
			e.report.add(note, topic, "", "the document came from a cache: what the app says in Intilery-* headers is ignored there")
		} else {
			e.report.add(problem, topic, "let the cache in front of the module pass documents on, or put the module in front of the cache",
				"the document came from a cache, without cookies for its visitor")
		}
	}
	if doc := v.first.document(); !e.setsOurs(doc) && doc.status < 400 {
		if by := storableBy(doc, e); by != "" {
			e.report.add(problem, topic, "set `cacheable private` in the site's intilery block, or send `Cache-Control: private` or `no-cache` for pages",
				"shared caches may store the document (%s): no cookie is set on it", by)
		}
	}
	if !e.report.has(topic) {
		e.report.add(fine, topic, "", "no shared cache may store the cookies")
	}
}

// storable judges an answer that sets a cookie of ours. The module adds `private`
// to such an answer where it must, so what it lacks was changed afterwards.
func (e *examination) storable(topic string, a answer) {
	const fix = "let nothing that handles the answer after the module (an outer `header`, a proxy, a rule of a CDN) change the caching of pages, and purge its cache"
	if by := storableBy(a, e); by != "" {
		hint := ""
		if listed(a.header, "Vary", "cookie") {
			hint = "; Vary: Cookie does not prevent that, because new visitors bring none"
		}
		e.report.add(problem, topic, fix, "shared caches may store an answer that sets our cookies (%s) and give them to other visitors%s", by, hint)
		return
	}
	if httpcache.SharingOf(http.MethodGet, a.status, a.header, e.now) == httpcache.Silent {
		e.report.add(note, topic, fix, "an answer that sets our cookies is not marked private: something changed its Cache-Control")
	}
}

// storableBy names the field by which a shared cache may store an answer, "" for
// none. Each field is judged alone, because caches read different ones (RFC
// 9213); Expires only counts without Cache-Control (RFC 9111, 5.3).
func storableBy(a answer, e *examination) string {
	for _, name := range slices.Sorted(maps.Keys(a.header)) {
		if name == "Expires" && len(a.header["Cache-Control"]) > 0 {
			continue
		}
		alone := http.Header{name: a.header[name]}
		if httpcache.SharingOf(http.MethodGet, a.status, alone, e.now) == httpcache.Shared {
			return name + ": " + terminal.Shorten(strings.Join(a.header[name], ", "), maxShown/2)
		}
	}
	return ""
}

// setsOurs reports an answer that sets or removes a cookie of ours.
func (e *examination) setsOurs(a answer) bool {
	return slices.ContainsFunc(a.cookies, func(c *http.Cookie) bool { return e.isOurs(c.Name) })
}

func (e *examination) isOurs(name string) bool {
	return name == e.cookies.KeeperName || name == e.cookies.Name && !e.cookies.KeeperOnly
}

// listed reports a member of a comma-separated list.
func listed(h http.Header, field, member string) bool {
	for _, line := range h[field] {
		for one := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(one), member) {
				return true
			}
		}
	}
	return false
}
