package caddymodule

import (
	"context"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/intilery/caddy-intilery/cookie"
)

// scope says where the cookies live, and what the public suffix has to do with it.
func (d *doctor) scope(r *report, site *url.URL, jar *cookie.Jar) {
	host := strings.ToLower(site.Hostname())
	domain := jar.Domain(host)
	suffix, icann := publicsuffix.PublicSuffix(host)
	_, notAddress := netip.ParseAddr(host)
	switch {
	case domain != "":
		r.add(fine, "domain", "", "the cookies are for %s and every host below it, as the tag's are", domain)
	case notAddress == nil || !strings.Contains(host, "."):
		r.add(note, "domain", "", "%s is an address or a single name: the cookies are for this host alone", host)
	case host == suffix && !icann:
		r.add(note, "domain", "use a domain of your own, if hosts below "+host+" are yours too",
			"%s is a public suffix, below which strangers have sites: the cookies are for this host alone", host)
	case host == suffix:
		r.add(problem, "domain", "serve the site under a name of its own", "%s is a public suffix: browsers refuse a domain there", host)
	default:
		r.add(note, "domain", "", "the cookies are for %s alone", host)
	}
}

// dns compares two hosts as Safari does, and reports whether it will cap what the
// site's answers set on the page's visitors to seven days. The document itself is
// never capped: it is the page.
func (d *doctor) dns(ctx context.Context, r *report, site, page string) (capped bool) {
	site, page = strings.ToLower(site), strings.ToLower(page)
	if _, err := netip.ParseAddr(site); err == nil {
		r.add(note, "DNS", "", "%s is an address: there is nothing to compare", site)
		return false
	}
	siteNets, err := d.networks(ctx, site)
	if err != nil {
		r.add(note, "DNS", "", "%s cannot be resolved here: %v", site, err)
		return false
	}
	if site == page {
		if severalNetworks(siteNets) {
			r.add(note, "DNS", "let all addresses of the host share their first 16 bits (IPv4) or 64 bits (IPv6)",
				"%s has addresses in several networks (%s): Safari may cap to seven days what an answer from another "+
					"network than the page's sets; documents are not concerned", site, networkNames(siteNets))
			return false
		}
		r.add(fine, "DNS", "", "the pages are served by the same host: Safari has nothing to compare")
		return false
	}
	if siteOf(site) != siteOf(page) {
		r.add(problem, "DNS", "serve the module on the pages' own host",
			"%s and %s are different sites: Safari and Firefox keep no cookie of the one on the other", site, page)
		return true
	}
	if own, theirs := d.canonical(ctx, site), d.canonical(ctx, page); siteOf(own) != siteOf(site) && siteOf(own) != siteOf(theirs) {
		r.add(problem, "DNS", "serve the module on the pages' own host, or give "+site+" an address record",
			"%s is an alias of %s, outside of %s: Safari takes it for a tracker and caps its cookies to seven days", site, own, siteOf(site))
		return true
	}
	pageNets, err := d.networks(ctx, page)
	if err != nil {
		r.add(note, "DNS", "", "%s cannot be resolved here: %v", page, err)
		return false
	}
	if !shareNetwork(siteNets, pageNets) {
		r.add(problem, "DNS", "serve the module on the pages' own host, or from the same network",
			"%s is in %s, %s in %s: Safari compares 16 bits (IPv4) or 64 bits (IPv6), and caps to seven days", site, networkNames(siteNets), page, networkNames(pageNets))
		return true
	}
	r.add(fine, "DNS", "", "%s and %s share a name and a network, as Safari compares them", site, page)
	return false
}

// networks are the prefixes of a host's addresses that Safari compares.
func (d *doctor) networks(ctx context.Context, host string) (nets []netip.Prefix, err error) {
	addrs, err := d.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	for _, addr := range addrs {
		bits := 64
		if addr = addr.Unmap().WithZone(""); addr.Is4() {
			bits = 16
		}
		if net, err := addr.Prefix(bits); err == nil && !slices.Contains(nets, net) {
			nets = append(nets, net)
		}
	}
	return nets, nil
}

// canonical is the name that a host is an alias of, itself if it is none.
func (d *doctor) canonical(ctx context.Context, host string) string {
	name, err := d.resolver.LookupCNAME(ctx, host)
	if err != nil || name == "" {
		return host
	}
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// siteOf is a host's registrable domain, or the host if it has none.
func siteOf(host string) string {
	if domain, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return domain
	}
	return host
}

// severalNetworks reports several networks of one family.
func severalNetworks(nets []netip.Prefix) bool {
	families := map[bool]int{}
	for _, net := range nets {
		families[net.Addr().Is4()]++
	}
	return families[true] > 1 || families[false] > 1
}

func shareNetwork(a, b []netip.Prefix) bool {
	for _, net := range a {
		if slices.Contains(b, net) {
			return true
		}
	}
	return false
}

func networkNames(nets []netip.Prefix) string {
	texts := make([]string, len(nets))
	for i, net := range nets {
		texts[i] = net.String()
	}
	return strings.Join(texts, ", ")
}
