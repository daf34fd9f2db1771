package doctor

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// scope says for which hosts the cookies are.
func (e *examination) scope(host string) {
	const topic = "domain"
	domain := e.domain(host)
	suffix, icann := publicsuffix.PublicSuffix(host)
	_, notAddress := netip.ParseAddr(host)
	switch {
	case domain != "":
		e.report.add(fine, topic, "", "the cookies are for %s and all hosts below it, like the tag's", domain)
	case notAddress == nil || !strings.Contains(host, "."):
		e.report.add(note, topic, "", "%s is an address or a single name: the cookies are for this host only", host)
	case host == suffix && !icann:
		e.report.add(note, topic, "use a domain of your own if the hosts below it are yours too",
			"%s is a public suffix, below which others have sites: the cookies are for this host only", host)
	case host == suffix:
		e.report.add(problem, topic, "serve the site under a name of its own", "%s is a public suffix: browsers refuse a domain there", host)
	default:
		e.report.add(note, topic, "", "the cookies are for %s only", host)
	}
}

// dns compares two hosts as Safari does, and reports whether it will cap what the
// site's answers set for the page's visitors to seven days. The document itself
// is never capped: it is the page.
func (e *examination) dns(ctx context.Context, site, page string) (capped bool) {
	const topic = "DNS"
	if _, err := netip.ParseAddr(site); err == nil || isLoopback(site) {
		e.report.add(note, topic, "", "%s is an address or this machine: Safari has nothing to compare", site)
		return false
	}
	siteNets, err := e.networks(ctx, site)
	if err != nil {
		e.report.add(note, topic, "", "%s cannot be resolved here: %s", site, err.Error())
		return false
	}
	if site == page {
		if severalNetworks(siteNets) {
			e.report.add(note, topic, "let all addresses of the host share their first 16 bits (IPv4) or 64 bits (IPv6)",
				"%s has addresses in several networks (%s): Safari may cap at seven days the cookies that fetched responses set; documents are not affected",
				site, networkNames(siteNets))
			return false
		}
		e.report.add(fine, topic, "", "the same host serves the pages: Safari has nothing to compare")
		return false
	}
	if siteOf(site) != siteOf(page) {
		e.report.add(problem, topic, "serve the module on the pages' own host",
			"%s and %s are different sites: Safari and Firefox keep no cookie of one on the other", site, page)
		return true
	}
	if own, theirs := e.canonical(ctx, site), e.canonical(ctx, page); siteOf(own) != siteOf(site) && siteOf(own) != siteOf(theirs) {
		e.report.add(problem, topic, "serve the module on the pages' own host, or use an address record instead of the alias",
			"%s is an alias of %s, outside of %s: Safari takes it for a tracker and caps its cookies to seven days", site, own, siteOf(site))
		return true
	}
	pageNets, err := e.networks(ctx, page)
	if err != nil {
		e.report.add(note, topic, "", "%s cannot be resolved here: %s", page, err.Error())
		return false
	}
	if !shareNetwork(siteNets, pageNets) {
		e.report.add(problem, topic, "serve the module on the pages' own host, or from the same network",
			"%s is in %s and %s in %s: Safari compares 16 bits (IPv4) or 64 bits (IPv6), and caps to seven days",
			site, networkNames(siteNets), page, networkNames(pageNets))
		return true
	}
	e.report.add(fine, topic, "", "%s and %s share a site and a network, as Safari compares them", site, page)
	return false
}

// networks returns the prefixes of a host's addresses that Safari compares.
func (e *examination) networks(ctx context.Context, host string) (nets []netip.Prefix, err error) {
	addrs, err := e.hosts.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	for _, addr := range addrs {
		bits := 64
		if addr = addr.Unmap().WithZone(""); addr.Is4() {
			bits = 16
		}
		if net := netip.PrefixFrom(addr, bits).Masked(); !slices.Contains(nets, net) {
			nets = append(nets, net)
		}
	}
	return nets, nil
}

// canonical returns the name that a host is an alias of, itself if it is none.
func (e *examination) canonical(ctx context.Context, host string) string {
	name, err := e.hosts.LookupCNAME(ctx, host)
	if name = strings.ToLower(strings.TrimSuffix(name, ".")); err != nil || name == "" {
		return host
	}
	return name
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
	return slices.ContainsFunc(a, func(net netip.Prefix) bool { return slices.Contains(b, net) })
}

func networkNames(nets []netip.Prefix) string {
	texts := make([]string, len(nets))
	for i, net := range nets {
		texts[i] = net.String()
	}
	return strings.Join(texts, ", ")
}
