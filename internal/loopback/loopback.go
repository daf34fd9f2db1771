// Package loopback tells by a host's name or address, without asking anybody, whether
// it is this machine.
package loopback

import (
	"net/netip"
	"strings"
)

// Host reports whether a host, without a port or brackets, is localhost or a loopback
// address. Letter case counts.
func Host(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// Name reports a name that is always a loopback address, whatever a name server says:
// localhost and those below it (RFC 6761, 6.3).
func Name(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
