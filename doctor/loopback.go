package doctor

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/intilery/caddy-intilery/internal/loopback"
)

// isLoopback reports a host that browsers trust on plain HTTP (W3C Secure
// Contexts, 3.1): a loopback address, localhost, or a name below it.
func isLoopback(host string) bool {
	return loopback.Name(host) || loopback.Host(host)
}

// newTransport returns the transport that a Doctor has by default.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy: func(r *http.Request) (*url.URL, error) {
			if loopback.Name(r.URL.Hostname()) {
				return nil, nil
			}
			return http.ProxyFromEnvironment(r)
		},
		DialContext:            dial,
		ForceAttemptHTTP2:      true, // not tried by default where DialContext is set
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: 1 << 20,
		DisableKeepAlives:      true,
	}
}

func dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	host, port, err := net.SplitHostPort(address)
	if err != nil || !loopback.Name(host) {
		return dialer.DialContext(ctx, network, address)
	}
	conn, err := dialer.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		if conn, err := dialer.DialContext(ctx, network, net.JoinHostPort("::1", port)); err == nil {
			return conn, nil
		}
		return nil, err
	}
	return conn, nil
}
