package sandbox

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/intilery/caddy-intilery/internal/loopback"
)

// allowsHost reports whether a request's Host header names this machine, or one
// of the further hosts. A site that a developer visits may point its own name at
// 127.0.0.1 (DNS rebinding): to the browser the sandbox is then that site's, and
// what it shows is open to that site's scripts.
func (s *Sandbox) allowsHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = canonicalHost(host)
	return loopback.Name(host) || loopback.Host(host) || slices.Contains(s.hosts, host)
}

// canonicalHost returns the one spelling of a host by which it is compared: a name
// in lower case and without the final dot, an address in its shortest form and
// without brackets.
func canonicalHost(host string) string {
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().String()
	}
	return host
}

// hostRefusal is for a person: in a browser, or in the log of a sender.
func hostRefusal(host string) string {
	return fmt.Sprintf("the sandbox answers on localhost and loopback addresses only, not as %q; "+
		"to serve it there on purpose, name that host in its option hosts", host)
}
