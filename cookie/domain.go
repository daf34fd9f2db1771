package cookie

import (
	"cmp"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

const (
	maxHostLen  = 253
	maxLabelLen = 63

	// maxLevels bounds on how many domains below the registrable one a twin is
	// removed, and with it the Set-Cookie lines of a response.
	maxLevels = 4
)

// scope is where a host's cookies live.
type scope struct {
	// host is the name of the host that asked, where domain is given.
	host string
	// domain is the Domain attribute, "" for host-only cookies.
	domain string
	// wider is the registrable domain when the configuration narrowed domain
	// down: a tag may have written there.
	wider string
	// site names the scope in a keeper's seal.
	site string
}

// others returns the scopes in which a cookie of ours may sit beside the one
// that is written: host-only, and on each domain from the registrable one down
// to the host. An earlier configuration may have written there, or a tag: it
// probes these domains with a test cookie, and where two tabs probe at once one
// removes the other's, which then takes a narrower domain.
func (s scope) others() []string {
	if s.domain == "" {
		return nil
	}
	name, top := s.host, cmp.Or(s.wider, s.domain)
	for levels := strings.Count(name, ".") - strings.Count(top, "."); levels > maxLevels; levels-- {
		name = parent(name)
	}
	others := []string{""}
	for ; ; name = parent(name) {
		if name != s.domain {
			others = append(others, name)
		}
		if name == top {
			return others
		}
	}
}

// parent is the domain one level above a host name.
func parent(name string) string {
	return name[strings.IndexByte(name, '.')+1:]
}

// all returns every scope in which a cookie of ours may sit.
func (s scope) all() []string {
	return append(s.others(), s.domain)
}

// scope returns the scope for a request's Host, which may carry a port. The last
// one is remembered: a site has few hosts, and looking up the public suffix costs
// more than opening a keeper.
func (rv *Resolver) scope(host string) scope {
	if last := rv.last.Load(); last != nil && last.asked == host {
		return last.scope
	}
	if len(host) > maxHostLen+len(":65535") {
		return rv.newScope(host)
	}
	asked := strings.Clone(host) // outlives the request
	s := rv.newScope(asked)
	rv.last.Store(&hostScope{asked, s})
	return s
}

type hostScope struct {
	asked string
	scope scope
}

func (rv *Resolver) newScope(host string) scope {
	name, ok := hostname(host)
	if !ok {
		return scope{site: name}
	}
	if rv.domain != "" && within(name, rv.domain) {
		return scope{host: name, domain: rv.domain, wider: rv.wider, site: rv.domain}
	}
	if registrable := registrableDomain(name); registrable != "" {
		return scope{host: name, domain: registrable, site: registrable}
	}
	return scope{site: name}
}

// Domain returns the Domain attribute of the cookies for a request's Host, which
// may carry a port: "" where they are host-only.
func (rv *Resolver) Domain(host string) string {
	return rv.scope(host).domain
}

// hostname returns the host without its port, in lower case and in ASCII. It
// reports whether that is a name that a Domain attribute may be made from.
// Addresses are not, nor are names with a trailing dot: a browser takes those
// for another host than the one without, and would refuse the cookie.
func hostname(host string) (name string, ok bool) {
	if rest, found := strings.CutPrefix(host, "["); found {
		inner, _, _ := strings.Cut(rest, "]")
		return bounded(inner), false
	}
	if i := strings.IndexByte(host, ':'); i >= 0 {
		if strings.IndexByte(host[i+1:], ':') >= 0 {
			return bounded(host), false
		}
		host = host[:i]
	}
	host = bounded(host)
	if !isASCII(host) {
		ascii, err := idna.Lookup.ToASCII(host)
		if err != nil {
			return host, false
		}
		host = bounded(ascii)
	}
	return host, isDomainName(host)
}

// bounded returns the host in lower case, and cuts one that no browser would
// send, so that it costs no more than a real one: before, and again because
// what is not UTF-8 gets longer.
func bounded(host string) string {
	host = strings.ToLower(host[:min(len(host), maxHostLen+1)])
	return host[:min(len(host), maxHostLen+1)]
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// isDomainName reports a lower-case host name in ASCII that is not an address
// and has no trailing dot.
func isDomainName(host string) bool {
	if len(host) > maxHostLen {
		return false
	}
	for rest, more := host, true; more; {
		var label string
		label, rest, more = strings.Cut(rest, ".")
		if len(label) > maxLabelLen || !only(label, isHostByte) {
			return false
		}
		if !more && isNumber(label) {
			return false
		}
	}
	return true
}

func isHostByte(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || c == '-' || c == '_'
}

// isNumber reports a last label that makes browsers read the whole host as an
// IPv4 address (WHATWG URL, "ends in a number").
func isNumber(label string) bool {
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return hex == "" || only(hex, isHex)
	}
	return only(label, func(c byte) bool { return '0' <= c && c <= '9' })
}

// registrableDomain returns the public suffix of a host name and one label
// more, or "" if the host is itself a public suffix or a single label.
func registrableDomain(name string) string {
	suffix, _ := publicsuffix.PublicSuffix(name)
	i := len(name) - len(suffix) - 1
	if i <= 0 || name[i] != '.' {
		return ""
	}
	return name[strings.LastIndexByte(name[:i], '.')+1:]
}

// within reports that host is domain or a host below it.
func within(host, domain string) bool {
	rest, ok := strings.CutSuffix(host, domain)
	return ok && (rest == "" || rest[len(rest)-1] == '.')
}

// configuredDomain normalises the domain option and reports whether a browser
// would take it.
func configuredDomain(domain string) (string, bool) {
	name, ok := hostname(strings.TrimPrefix(domain, "."))
	return name, ok && strings.IndexByte(domain, ':') < 0 && registrableDomain(name) != ""
}
