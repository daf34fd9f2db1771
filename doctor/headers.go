package doctor

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// headers judges what else the answers say.
func (e *examination) headers(v *visits) {
	for _, l := range []*load{v.first, v.again, v.other} {
		if l == nil {
			continue
		}
		for _, a := range l.answers {
			if names := reservedNames(a.header, a.trailer); len(names) > 0 {
				e.report.add(problem, "headers",
					"send all requests of the site through its intilery directive, without a matcher on it, and let nothing else reach the app",
					"the browser receives %s: the module is bypassed or not in front of the app", strings.Join(names, ", "))
			}
			if clearsCookies(a.header) {
				e.report.add(note, "headers", "at a logout, send Intilery-Reset: true; on other pages, remove it",
					`Clear-Site-Data "cookies" also removes the cookies that this answer sets`)
			}
		}
	}
}

// reservedNames returns the names that belong between the app and the module,
// sorted.
func reservedNames(headers ...http.Header) (names []string) {
	for _, h := range headers {
		for name := range h {
			folded := strings.ReplaceAll(strings.ToLower(name), "_", "-")
			if strings.HasPrefix(folded, "intilery-") && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// clearsCookies reads Clear-Site-Data (W3C Clear Site Data, 3.1): a list of
// quoted types.
func clearsCookies(h http.Header) bool {
	for _, line := range h["Clear-Site-Data"] {
		if strings.Contains(line, `"cookies"`) || strings.Contains(line, `"*"`) {
			return true
		}
	}
	return false
}

// cdnHeaders are response headers by which a content delivery network is known.
var cdnHeaders = map[string]string{
	"Akamai-Grn":          "Akamai",
	"Cf-Ray":              "Cloudflare",
	"X-Amz-Cf-Id":         "CloudFront",
	"X-Azure-Ref":         "Azure Front Door",
	"X-Fastly-Request-Id": "Fastly",
	"X-Nf-Request-Id":     "Netlify",
	"X-Vercel-Id":         "Vercel",
}

// network names the network in front of the site, and what it must pass on where
// no cookie came.
func (e *examination) network(v *visits, ours ownCookies) {
	doc := v.first.document()
	for _, name := range slices.Sorted(maps.Keys(cdnHeaders)) {
		if _, ok := doc.header[name]; !ok {
			continue
		}
		fix := ""
		if ours.keeper == nil {
			fix = "let it pass the visitor's Host, Cookie, Accept, User-Agent and Sec-Fetch-* headers on (CloudFront: origin request policy AllViewer)"
		}
		e.report.add(note, "CDN", fix, "the answer came through %s", cdnHeaders[name])
	}
}
