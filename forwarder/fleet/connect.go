package fleet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	dialTimeout     = 2 * time.Second
	reconnectWait   = 250 * time.Millisecond
	reconnectJitter = 500 * time.Millisecond
	// pingInterval is how often an idle connection is tried. Two that are not
	// answered end it: a node must notice a dead connection about when its lease ends.
	pingInterval = 2 * time.Second
	pingsOut     = 2
)

// inbox is the prefix of the subjects of answers. It is the fleet's own, so that its
// users need not read everybody's.
func inbox(name string) string { return "_INBOX_" + name }

// connectOptions returns the options of the connection and its servers. Files are
// read here once, so that a wrong one is told at the start, and again at each connect,
// so that a renewed one is taken.
func connectOptions(ctx context.Context, o Options) (servers string, _ []nats.Option, _ error) {
	options := []nats.Option{
		nats.Name(o.Name + " node " + o.Node),
		nats.CustomInboxPrefix(inbox(o.Name)),
		nats.SetCustomDialer(dialer{ctx}),
		nats.Timeout(dialTimeout),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, 2*reconnectJitter),
		// Credentials may be wrong for a while, such as when they are being changed.
		nats.IgnoreAuthErrorAbort(),
		// A write that waited for a connection would come after its caller gave it up.
		nats.ReconnectBufSize(-1),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(pingsOut),
	}
	credentials, err := credentialOptions(o)
	if err != nil {
		return "", nil, err
	}
	options = append(options, credentials...)
	if o.TLS != nil {
		secure, err := tlsOptions(*o.TLS)
		if err != nil {
			return "", nil, err
		}
		options = append(options, secure...)
	}
	return strings.Join(o.Servers, ","), options, nil
}

func credentialOptions(o Options) ([]nats.Option, error) {
	var out []nats.Option
	if o.Credentials != "" {
		if _, err := os.ReadFile(o.Credentials); err != nil {
			return nil, fmt.Errorf("credentials: %w", err)
		}
		out = append(out, nats.UserCredentials(o.Credentials))
	}
	if o.NKey != "" {
		option, err := nats.NkeyOptionFromSeed(o.NKey)
		if err != nil {
			return nil, fmt.Errorf("nkey %s: %w", o.NKey, err)
		}
		out = append(out, option)
	}
	if o.User != "" {
		out = append(out, nats.UserInfoHandler(func() (string, string) {
			if o.Password == nil {
				return o.User, ""
			}
			password, err := o.Password()
			if err != nil {
				// The broker refuses the empty one, and the next attempt asks again.
				o.Logger.Error("fleet: no password for the broker", "error", err)
			}
			return o.User, password
		}))
	}
	if len(out) > 1 {
		return nil, errors.New("more than one of credentials, nkey and user")
	}
	return out, nil
}

func tlsOptions(t TLS) ([]nats.Option, error) {
	out := []nats.Option{nats.Secure(&tls.Config{MinVersion: tls.VersionTLS12})}
	if t.CA != "" {
		if _, err := os.ReadFile(t.CA); err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		out = append(out, nats.RootCAs(t.CA))
	}
	if (t.Cert == "") != (t.Key == "") {
		return nil, errors.New("client certificate: cert and key go together")
	}
	if t.Cert != "" {
		if _, err := tls.LoadX509KeyPair(t.Cert, t.Key); err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		out = append(out, nats.ClientCert(t.Cert, t.Key))
	}
	return out, nil
}

// dialer ends dialing, and what it has dialed, with a context: a shutdown does not
// wait for a server that is silent.
type dialer struct{ ctx context.Context }

func (d dialer) Dial(network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(d.ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &boundConn{conn, context.AfterFunc(d.ctx, func() { _ = conn.Close() })}, nil
}

type boundConn struct {
	net.Conn
	unbind func() bool
}

func (c *boundConn) Close() error {
	c.unbind()
	return c.Conn.Close()
}
