package preflight

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/tracking"
	"github.com/intilery/caddy-intilery/internal/loopback"
)

// DefaultTimeout is the timeout of a step by default.
const DefaultTimeout = 10 * time.Second

// Checker looks at things outside of this process. The zero value is ready to use.
type Checker struct {
	// Timeout bounds each step, such as a lookup or a call. Default: DefaultTimeout.
	Timeout time.Duration

	// NoCall leaves out the calls to Intilery: then nothing is said about the token
	// and the clock.
	NoCall bool

	// Resolver looks up the endpoints' addresses. Default: [net.DefaultResolver].
	Resolver Resolver

	// Transport makes the calls. Default: the forwarder's.
	Transport *http.Transport
}

// Resolver is the part of a [*net.Resolver] that is used.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Destination is one brand of one account at Intilery.
type Destination struct {
	// Tracking says where batches go.
	Tracking tracking.Config
	// Token reads the auth token. Its errors hold no token.
	Token func() (string, error)
}

func (c *Checker) timeout() time.Duration {
	if c.Timeout > 0 {
		return c.Timeout
	}
	return DefaultTimeout
}

// step returns a context for one step.
func (c *Checker) step(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.timeout())
}

// Destination looks the endpoint's name up, connects to it, looks at its certificate,
// and sends two empty batches: one with the token, and one with a wrong token, which
// shows that the endpoint tells tokens apart at all. An empty batch has no call that
// could be stored or counted.
func (c *Checker) Destination(ctx context.Context, s *Section, d Destination) {
	client, err := tracking.New(d.Tracking)
	if err != nil {
		s.Add(Problem, "endpoint", "correct the option", "%v", err)
		return
	}
	at, err := url.Parse(client.URL())
	if err != nil {
		s.Add(Problem, "endpoint", "correct endpoint", "%v", err)
		return
	}
	transport := c.Transport
	if transport == nil {
		transport = tracking.NewTransport(1)
		defer transport.CloseIdleConnections()
	}
	token, err := d.Token()
	if err != nil {
		s.Add(Problem, "token", "put the token where auth_token says, readable by the user that Caddy runs as", "%v", err)
	}
	switch reached := c.reach(ctx, s, at, transport); {
	case !reached, err != nil:
	case c.NoCall:
		s.Add(Note, "token", "", "no call was made: whether it is accepted is not known")
	default:
		c.call(ctx, s, d.Tracking, transport, token)
	}
}

// reach connects to an endpoint, and reports whether a call can be tried.
func (c *Checker) reach(ctx context.Context, s *Section, at *url.URL, transport *http.Transport) bool {
	via, err := proxyOf(transport, at)
	if err != nil { // which may quote a password
		s.Add(Problem, "network", "correct HTTPS_PROXY or HTTP_PROXY in the environment", "the proxy that the environment names is not a URL: no request can be made")
		return false
	}
	if via != "" {
		s.Add(Note, "network", "", "requests go through the proxy %s, which HTTPS_PROXY or a similar variable names: name, connection and certificate are not looked at", via)
		return true
	}
	host := at.Hostname()
	if !c.lookUp(ctx, s, host) {
		return false
	}
	port := at.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[at.Scheme]
	}
	ctx, cancel := c.step(ctx)
	defer cancel()
	begun := time.Now()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		s.Add(Problem, "connection", "let this machine connect to port "+port+" of "+host+": check endpoint, firewall and routes", "%v", plain(ctx, err))
		return false
	}
	defer conn.Close()
	s.Add(OK, "connection", "", "%s in %v", conn.RemoteAddr().String(), rounded(time.Since(begun)))
	if at.Scheme == "https" {
		return c.secure(ctx, s, conn, host, transport.TLSClientConfig)
	}
	if loopback.Host(host) {
		s.Add(OK, "TLS", "", "none: the endpoint is on this machine")
	} else {
		s.Add(Warning, "TLS", "use https:// in endpoint", "none: the token and all events can be read on their way to %s", host)
	}
	return true
}

// proxyOf returns the host of the proxy that requests to an address go through, "" if
// there is none.
func proxyOf(transport *http.Transport, at *url.URL) (host string, err error) {
	if transport.Proxy == nil {
		return "", nil
	}
	via, err := transport.Proxy(&http.Request{URL: at})
	if err != nil || via == nil {
		return "", err
	}
	return via.Host, nil // without a password
}

func (c *Checker) lookUp(ctx context.Context, s *Section, host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	var resolver Resolver = net.DefaultResolver
	if c.Resolver != nil {
		resolver = c.Resolver
	}
	ctx, cancel := c.step(ctx)
	defer cancel()
	addrs, err := resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		s.Add(Problem, "name", "check the host in endpoint, and the name servers of this machine", "%v", plain(ctx, err))
		return false
	}
	var texts []string
	for _, a := range addrs {
		texts = append(texts, a.Unmap().String())
	}
	slices.Sort(texts)
	s.Add(OK, "name", "", "%s is %s", host, strings.Join(slices.Compact(texts), ", "))
	return true
}

// secure looks at the certificate of a connection. Config may be nil.
func (c *Checker) secure(ctx context.Context, s *Section, conn net.Conn, host string, config *tls.Config) bool {
	const topic = "TLS"
	config = config.Clone() // nil of nil
	if config == nil {
		config = new(tls.Config)
	}
	config.ServerName = host
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		text, fix := certificateFault(plain(ctx, err))
		s.Add(Problem, topic, fix, "%s", text)
		return false
	}
	state := secured.ConnectionState()
	leaf := state.PeerCertificates[0]
	const soon = 7 * 24 * time.Hour
	ends := leaf.NotAfter.UTC().Format("2006-01-02")
	if time.Until(leaf.NotAfter) < soon {
		s.Add(Warning, topic, "have it renewed before", "the certificate ends on %s; issued by %s", ends, issuer(leaf))
	} else {
		s.Add(OK, topic, "", "%s, the certificate ends on %s, issued by %s", tls.VersionName(state.Version), ends, issuer(leaf))
	}
	return true
}

// plain replaces the error of a step that took too long, which says nothing of the
// time.
func plain(ctx context.Context, err error) error {
	var timeout net.Error
	if errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return errTimeout
	}
	return err
}

var errTimeout = errors.New("no answer in time; --timeout gives more")

func rounded(d time.Duration) time.Duration {
	if d < 10*time.Millisecond {
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(time.Millisecond)
}
