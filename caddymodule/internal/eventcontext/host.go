package eventcontext

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// maxHost bounds the host and its port: a name has 253 bytes at most (RFC 1035),
// and converting one costs the square of its length.
const maxHost = 300

// toASCII is what the URL standard calls "domain to ASCII": UTS #46 without
// transitional processing, and without rules for names of hosts that browsers do
// not apply, such as one against underscores.
var toASCII = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false),
	idna.CheckHyphens(false), idna.StrictDomainName(false), idna.VerifyDNSLength(false))

// Host returns a host with an optional port as a browser shows it in a URL: in
// lower case, other scripts as A-labels (xn--...), without the port that is the
// scheme's default. A trailing dot stays. What no browser could show is "".
func Host(host string, secure bool) string {
	if len(host) > maxHost {
		return ""
	}
	name, port, ok := splitPort(host)
	shown := showName(name)
	switch {
	case !ok || shown == "":
		return ""
	case port == "" || secure && port == "443" || !secure && port == "80":
		return shown
	case len(host) == len(name)+len(":")+len(port) && shown == name:
		return host
	}
	return shown + ":" + port
}

// splitPort splits a host and its port, which is "" or a number without leading
// zeros.
func splitPort(host string) (name, port string, ok bool) {
	colon := strings.LastIndexByte(host, ':')
	if colon < strings.LastIndexByte(host, ']') { // a colon of an IPv6 address, or none
		return host, "", true
	}
	if colon < 0 || colon == len(host)-1 {
		return strings.TrimSuffix(host, ":"), "", true
	}
	name, port = host[:colon], host[colon+1:]
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", "", false
	}
	for len(port) > 1 && port[0] == '0' {
		port = port[1:]
	}
	return name, port, true
}

// showName returns a name or an address as a browser shows it, "" for none.
func showName(name string) string {
	if inner, ok := strings.CutPrefix(name, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		if addr, err := netip.ParseAddr(inner); !ok || err != nil || !addr.Is6() || addr.Zone() != "" {
			return ""
		}
		return strings.ToLower(name)
	}
	for i := range len(name) {
		if name[i] >= utf8.RuneSelf {
			ascii, err := toASCII.ToASCII(name)
			if err != nil || !utf8.ValidString(name) {
				return ""
			}
			name = ascii
			break
		}
	}
	for i := range len(name) {
		if forbidden(name[i]) {
			return ""
		}
	}
	return strings.ToLower(name)
}

// forbidden reports the URL standard's "forbidden domain code points".
func forbidden(c byte) bool {
	return c <= ' ' || c >= 0x7f || strings.IndexByte(`#%/:<>?@[\]^|`, c) >= 0
}
