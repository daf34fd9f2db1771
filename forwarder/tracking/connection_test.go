package tracking

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/internal/faketime"
)

// network is one in memory, for bubbles: a listener whose connections can be
// swallowed, as by a middlebox that forgets them.
type network struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once

	mu     sync.Mutex
	dialed []*swallowed
}

// swallowed is a client's end of a connection. Once it is gone, what is written
// is lost, and nothing comes back.
type swallowed struct {
	net.Conn
	gone atomic.Bool
}

func (c *swallowed) Write(p []byte) (int, error) {
	if c.gone.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func newNetwork() *network { return &network{conns: make(chan net.Conn), done: make(chan struct{})} }

func (n *network) Accept() (net.Conn, error) {
	select {
	case c := <-n.conns:
		return c, nil
	case <-n.done:
		return nil, net.ErrClosed
	}
}

func (n *network) Close() error   { n.once.Do(func() { close(n.done) }); return nil }
func (n *network) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func (n *network) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case n.conns <- server:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c := &swallowed{Conn: client}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dialed = append(n.dialed, c)
	return c, nil
}

func (n *network) swallow() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.dialed {
		c.gone.Store(true)
	}
}

// certificate is that of test servers.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return s.TLS.Certificates[0], pool
}

// TestSwallowedConnection: a connection that a middlebox has swallowed is given
// up, and the batch after it takes another one (field: HTTP/2 used the dead one
// for minutes).
func TestSwallowedConnection(t *testing.T) {
	cert, pool := certificate(t)
	for proto, h2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		t.Run(proto, func(t *testing.T) {
			faketime.Test(t, func(t *testing.T) {
				n := newNetwork()
				var seen atomic.Value
				srv := &http.Server{
					TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
					Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						seen.Store(r.Proto)
						io.Copy(io.Discard, r.Body)
						w.Write([]byte(`{"success":true}`))
					}),
				}
				protocols := new(http.Protocols)
				protocols.SetHTTP1(!h2)
				protocols.SetHTTP2(h2)
				srv.Protocols = protocols
				served := make(chan struct{})
				go func() { defer close(served); srv.ServeTLS(n, "", "") }()
				tr := NewTransport(8)
				tr.Proxy, tr.DialContext, tr.TLSClientConfig, tr.Protocols = nil, n.dial, &tls.Config{RootCAs: pool}, protocols
				c, err := New(Config{Endpoint: "https://example.com", ClientID: "a", Transport: tr})
				if err != nil {
					t.Fatal(err)
				}
				if a := c.Send(t.Context(), secret, []byte("{}")); a.Class != Accepted || seen.Load() != proto {
					t.Fatalf("%+v by %v", a, seen.Load())
				}
				n.swallow()
				start := time.Now()
				if a := c.Send(t.Context(), secret, []byte("{}")); a.Class != Unavailable {
					t.Errorf("on the swallowed connection: %+v", a)
				}
				if a := c.Send(t.Context(), secret, []byte("{}")); a.Class != Accepted {
					t.Errorf("after it: %+v", a)
				}
				if d := time.Since(start); d > Timeout {
					t.Errorf("it took %v", d)
				}
				tr.CloseIdleConnections()
				srv.Close()
				n.Close()
				<-served
				for _, conn := range n.dialed {
					conn.Close()
				}
			})
		})
	}
}

// TestMovedName: after an answer that it is unavailable the receiver is looked up
// anew, and so it is when the connections are closed.
func TestMovedName(t *testing.T) {
	serve := func(status int, body string) *httptest.Server {
		return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.WriteHeader(status)
			io.WriteString(w, body)
		}))
	}
	old, next := serve(503, ""), serve(200, `{"success":true}`)
	defer old.Close()
	defer next.Close()
	var address atomic.Value
	address.Store(old.Listener.Addr().String())
	tr := NewTransport(8)
	defer tr.CloseIdleConnections()
	tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address.Load().(string))
	}
	c, err := New(Config{Endpoint: "http://intilery.example", ClientID: "a", Transport: tr})
	if err != nil {
		t.Fatal(err)
	}
	if a := c.Send(t.Context(), secret, []byte("{}")); a.Status != 503 {
		t.Fatalf("%+v", a)
	}
	address.Store(next.Listener.Addr().String())
	if a := c.Send(t.Context(), secret, []byte("{}")); a.Class != Accepted {
		t.Errorf("after the name has moved: %+v", a)
	}
	address.Store(old.Listener.Addr().String())
	if a := c.Send(t.Context(), secret, []byte("{}")); a.Class != Accepted {
		t.Errorf("a connection that works was not kept: %+v", a)
	}
	c.CloseIdleConnections()
	if a := c.Send(t.Context(), secret, []byte("{}")); a.Status != 503 {
		t.Errorf("a closed connection was used: %+v", a)
	}
}
