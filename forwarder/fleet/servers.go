package fleet

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

const serversAccepted = "one or more of nats://<host>:<port>, tls://, ws://, wss:// or <host>:<port>"

var hostForm = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?$`)

// checkServers checks the brokers' addresses. The client speaks either WebSocket or
// NATS's own protocol to all of them.
func checkServers(servers []string) error {
	if len(servers) == 0 {
		return wrong("servers", "no value; use %s", serversAccepted)
	}
	var sockets int
	for _, server := range servers {
		if strings.Contains(server, "@") { // not shown: it may be a password
			return wrong("servers", "an address holds an @; use the options user and password, or credentials, to log in")
		}
		if !validServer(server) {
			return wrong("servers", "%q is not accepted; use %s", server, serversAccepted)
		}
		if strings.HasPrefix(server, "ws") && strings.Contains(server, "://") {
			sockets++
		}
	}
	if sockets != 0 && sockets != len(servers) {
		return wrong("servers", "ws:// and wss:// cannot be used beside other addresses; use them for all servers or for none")
	}
	return nil
}

func validServer(server string) bool {
	scheme, _, isURL := strings.Cut(server, "://")
	if !isURL {
		host, port, err := net.SplitHostPort(server)
		return err == nil && validHost(host) && validPort(port)
	}
	switch scheme {
	case "nats", "tls", "ws", "wss":
	default:
		return false
	}
	u, err := url.Parse(server)
	return err == nil && validHost(u.Hostname()) && (u.Port() == "" || validPort(u.Port())) &&
		(u.Path == "" || u.Path == "/") && u.RawQuery == "" && !u.ForceQuery && !strings.Contains(server, "#")
}

func validHost(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil || hostForm.MatchString(host)
}

func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}
