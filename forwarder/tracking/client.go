// Package tracking is a client of the Intilery Tracking API: it posts one
// batch and returns one classified answer.
//
// It promises that a call ends within its timeout whatever the receiver does,
// that every end is told as one of six classes (see Rules), and that the token
// reaches nothing but the auth-token header of the configured endpoint.
//
// It does not retry, queue, split, compress or limit the rate: that is its
// caller's policy. It does not look into the payload.
package tracking

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// DefaultEndpoint is Intilery's public Tracking API.
const DefaultEndpoint = "https://tracking.intilery.com"

// Timeout bounds one attempt, from connecting to the end of the answer.
const Timeout = 30 * time.Second

// maxAnswer is how much of an answer's body is looked at. Documented answers
// have a few dozen bytes.
const maxAnswer = 1 << 20

// When an HTTP/2 connection has brought nothing for pingAfter, a ping is sent,
// and it is closed when none comes back within pingTimeout. Otherwise requests
// would go on using one that a middlebox has swallowed.
const (
	pingAfter   = 10 * time.Second
	pingTimeout = 5 * time.Second
)

// NewTransport returns a transport for clients, which keeps up to so many
// connections to a host.
func NewTransport(connections int) *http.Transport {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		t = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	}
	t = t.Clone()
	t.MaxIdleConnsPerHost = connections
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout}
	return t
}

// Config says where batches go.
type Config struct {
	// Endpoint is scheme, host and optional path prefix. Default DefaultEndpoint.
	Endpoint string
	// ClientID, AccountID and BrandID are the path's three identifiers. The API
	// wants the first two lower case and the third upper case, so that is how
	// they are sent. AccountID defaults to ClientID, BrandID to AccountID.
	ClientID, AccountID, BrandID string
	// UserAgent is the User-Agent header. Empty leaves Go's own.
	UserAgent string
	// Transport makes the requests. Default http.DefaultTransport.
	Transport http.RoundTripper
}

// Client posts batches to one brand of one account. It is immutable and safe
// for concurrent use.
type Client struct {
	url       string
	userAgent string
	http      *http.Client
}

// New returns a client, or an error that names the wrong value. It does no I/O.
func New(c Config) (*Client, error) {
	if c.Endpoint == "" {
		c.Endpoint = DefaultEndpoint
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("endpoint %q: not a URL", c.Endpoint)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("endpoint %q: want http:// or https://, a host and at most a path", c.Endpoint)
	}
	if c.ClientID == "" {
		return nil, errors.New("client ID is empty")
	}
	if c.AccountID == "" {
		c.AccountID = c.ClientID
	}
	if c.BrandID == "" {
		c.BrandID = c.AccountID
	}
	return &Client{
		url: u.JoinPath("track",
			url.PathEscape(strings.ToLower(c.ClientID)),
			url.PathEscape(strings.ToLower(c.AccountID)),
			url.PathEscape(strings.ToUpper(c.BrandID)),
			"v1", "batch").String(),
		userAgent: c.UserAgent,
		http: &http.Client{
			Transport: c.Transport,
			// A redirect would carry the token to a host nobody configured.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// URL is the address that batches are posted to.
func (c *Client) URL() string { return c.url }

// Send posts payload, a complete JSON batch, once. It returns when the answer
// was read, the timeout passed, or ctx ended; in each case the payload is no
// longer referred to and may be reused.
func (c *Client) Send(ctx context.Context, token string, payload []byte) Answer {
	if token == "" {
		return Answer{Class: Misconfigured, Err: errors.New("auth token is empty")}
	}
	if !httpguts.ValidHeaderFieldValue(token) {
		return Answer{Class: Misconfigured, Err: errors.New("auth token has characters that a header cannot carry")}
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()

	src := &lent{data: payload}
	defer src.release()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, nil)
	if err != nil {
		return Answer{Class: Misconfigured, Err: fmt.Errorf("making the request: %w", err)}
	}
	req.Body = src.reader()
	// Lets the transport repeat a request that met a connection which the
	// receiver had just closed.
	req.GetBody = func() (io.ReadCloser, error) { return src.reader(), nil }
	req.ContentLength = int64(len(payload))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Auth-Token", token)
	if c.userAgent != "" {
		req.Header.Set("User-Agent", c.userAgent)
	}

	a := c.do(req)
	if a.Class == Unavailable {
		a.TimedOut = a.Status == http.StatusRequestTimeout || a.Status == http.StatusGatewayTimeout ||
			errors.Is(ctx.Err(), context.DeadlineExceeded)
		// The name may have moved to another address: what is connected stays with
		// the old one.
		c.CloseIdleConnections()
	}
	return a
}

// CloseIdleConnections has the next request look the name up again.
func (c *Client) CloseIdleConnections() { c.http.CloseIdleConnections() }

func (c *Client) do(req *http.Request) Answer {
	resp, err := c.http.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // without the URL, which the caller knows
		}
		return Answer{Class: Unavailable, Err: err}
	}
	defer resp.Body.Close()
	a := Answer{Class: Classify(resp.StatusCode), Status: resp.StatusCode}
	a.RetryAfter = parseRetryAfter(resp.Header.Get("Retry-After"), answeredAt(resp))
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil && a.Class == Accepted {
		// Whether the batch was taken would have been said in what is missing.
		a.Class, a.Err = Unavailable, fmt.Errorf("reading the answer: %w", err)
		return a
	}
	if resp.Header.Get("Content-Encoding") != "" {
		body = []byte{'<'} // nobody has asked for it, so it is no answer of Intilery's
	}
	a.read(body, len(body) <= maxAnswer)
	// Read what may be left, so that the connection can be used again.
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	return a
}

// answeredAt is the receiver's own clock if it tells it, so that a Retry-After
// date is right even where this machine's clock is not.
func answeredAt(resp *http.Response) time.Time {
	if t, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		return t
	}
	return time.Now()
}
