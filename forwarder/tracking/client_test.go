package tracking

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/intilery/caddy-intilery/internal/faketime"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "s3cr3t-token"

// client returns a client of a test server, whose connections are closed at the end.
func client(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	srv := httptest.NewServer(h)
	tr := &http.Transport{}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		srv.Close()
	})
	c, err := New(Config{Endpoint: srv.URL, ClientID: "Acme", UserAgent: "caddy-intilery/1.2", Transport: tr})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSendRequest(t *testing.T) {
	var got *http.Request
	var body []byte
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.Write([]byte(`{"success":true,"eventId":"e-1"}`))
	})
	a := c.Send(t.Context(), secret, []byte(`{"batch":[]}`))
	if a.Class != Accepted || a.Status != 200 || a.EventID != "e-1" || a.Err != nil {
		t.Fatalf("answer %+v", a)
	}
	if got.Method != "POST" || got.URL.Path != "/track/acme/acme/ACME/v1/batch" || string(body) != `{"batch":[]}` {
		t.Errorf("%s %s %q", got.Method, got.URL.Path, body)
	}
	for k, want := range map[string]string{"auth-token": secret, "content-type": "application/json", "user-agent": "caddy-intilery/1.2"} {
		if got.Header.Get(k) != want {
			t.Errorf("header %s: %q, want %q", k, got.Header.Get(k), want)
		}
	}
	if got.ContentLength != 12 || len(got.TransferEncoding) > 0 || got.Header.Get("Content-Encoding") != "" {
		t.Errorf("length %d, encodings %v %q", got.ContentLength, got.TransferEncoding, got.Header.Get("Content-Encoding"))
	}
}

func TestNew(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string // the URL, or "error: " and a part of it
	}{
		{Config{ClientID: "acme"}, "https://tracking.intilery.com/track/acme/acme/ACME/v1/batch"},
		{Config{ClientID: "A", AccountID: "B", BrandID: "c"}, "https://tracking.intilery.com/track/a/b/C/v1/batch"},
		{Config{ClientID: "a", Endpoint: "http://[::1]:8080/base/"}, "http://[::1]:8080/base/track/a/a/A/v1/batch"},
		{Config{ClientID: "a b/../c"}, "https://tracking.intilery.com/track/a%20b%2F..%2Fc/a%20b%2F..%2Fc/A%20B%2F..%2FC/v1/batch"},
		{Config{}, "error: client ID is empty"},
		{Config{ClientID: "a", Endpoint: "tracking.intilery.com"}, `error: endpoint "tracking.intilery.com"`},
		{Config{ClientID: "a", Endpoint: "ftp://x"}, "error: endpoint"},
		{Config{ClientID: "a", Endpoint: "https://u:p@x"}, "error: endpoint"},
		{Config{ClientID: "a", Endpoint: "https://x?a=b"}, "error: endpoint"},
		{Config{ClientID: "a", Endpoint: "https://x\n"}, "error: endpoint"},
	} {
		got := ""
		if cl, err := New(c.cfg); err != nil {
			got = "error: " + err.Error()
		} else {
			got = cl.URL()
		}
		if got != c.want && !(strings.HasPrefix(c.want, "error") && strings.HasPrefix(got, c.want)) {
			t.Errorf("New(%+v): %s, want %s", c.cfg, got, c.want)
		}
	}
}

func TestSendBadToken(t *testing.T) {
	c, err := New(Config{ClientID: "a", Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		t.Error("a request was made")
		return nil, errors.New("no")
	})})
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"", secret + "\n", secret + "\x00"} {
		a := c.Send(t.Context(), token, []byte("{}"))
		if a.Class != Misconfigured || a.Err == nil || strings.Contains(a.Err.Error(), secret) {
			t.Errorf("token %q: %+v", token, a)
		}
	}
}

func TestSendDoesNotFollowRedirects(t *testing.T) {
	var others atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { others.Add(1) }))
	defer other.Close()
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	if a := c.Send(t.Context(), secret, []byte("{}")); a.Class != Misconfigured || a.Status != 307 {
		t.Errorf("answer %+v", a)
	}
	if others.Load() != 0 {
		t.Error("the token was sent to another host")
	}
}

func TestSendReusesConnections(t *testing.T) {
	var conns atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusTooManyRequests)
		w.Write(bytes.Repeat([]byte("x"), maxAnswer+1000)) // more than is looked at
	}))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	c, err := New(Config{Endpoint: srv.URL, ClientID: "a", Transport: tr})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if a := c.Send(t.Context(), secret, []byte("{}")); a.Class != Throttled || a.Status != 429 {
			t.Fatalf("answer %+v", a)
		}
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections for 5 requests, want 1", n)
	}
}

// TestSendWhateverComes breaks the connection at each stage.
func TestSendWhateverComes(t *testing.T) {
	hijack := func(raw string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			io.WriteString(conn, raw)
			conn.Close()
		}
	}
	for _, c := range []struct {
		name, raw string
		class     Class
		status    int
	}{
		{"closed without a word", "", Unavailable, 0},
		{"not HTTP", "SSH-2.0-x\r\n", Unavailable, 0},
		{"broken header", "HTTP/1.1 200 OK\r\nContent-", Unavailable, 0},
		{"body cut off", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"success\":true", Unavailable, 200},
		{"encoded", "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 16\r\n\r\n{\"success\":true}", Misconfigured, 200},
		{"encoded refusal", "HTTP/1.1 400 No\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\n{}", Misconfigured, 400},
		{"gateway timeout", "HTTP/1.1 504 Slow\r\nContent-Length: 0\r\n\r\n", Unavailable, 504},
		{"refusal cut off", "HTTP/1.1 400 Bad\r\nContent-Length: 100\r\n\r\n{\"succ", Rejected, 400},
		{"bad chunk", "HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Unavailable, 503},
		{"retry-after", "HTTP/1.1 429 No\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n", Throttled, 429},
	} {
		a := client(t, hijack(c.raw)).Send(t.Context(), secret, []byte("{}"))
		if a.Class != c.class || a.Status != c.status {
			t.Errorf("%s: %+v", c.name, a)
		}
		if whole := c.status != 0 && c.name != "body cut off"; (a.Err == nil) != whole {
			t.Errorf("%s: error %v", c.name, a.Err)
		}
		if a.TimedOut != (c.status == 504) {
			t.Errorf("%s: timed out: %v", c.name, a.TimedOut)
		}
		if c.status == 429 && a.RetryAfter != 9*time.Second {
			t.Errorf("retry after %v", a.RetryAfter)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(status int, body io.Reader, header http.Header) *http.Response {
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(body)}
}

// TestRetryAfterDate: the receiver's clock counts, not this machine's.
func TestRetryAfterDate(t *testing.T) {
	c, err := New(Config{ClientID: "a", Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		return answer(429, strings.NewReader(""), http.Header{
			"Date":        {"Sun, 01 Mar 2020 12:00:00 GMT"},
			"Retry-After": {"Sun, 01 Mar 2020 12:00:40 GMT"},
		}), nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	if a := c.Send(t.Context(), secret, nil); a.RetryAfter != 40*time.Second {
		t.Errorf("retry after %v, want 40s", a.RetryAfter)
	}
}

// hang blocks until the context ends.
type hang struct{ ctx context.Context }

func (h hang) Read([]byte) (int, error) {
	<-h.ctx.Done()
	return 0, h.ctx.Err()
}

func TestSendTimesOut(t *testing.T) {
	for name, rt := range map[string]roundTrip{
		"no answer": func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		},
		"no end of the body": func(r *http.Request) (*http.Response, error) {
			return answer(500, hang{r.Context()}, nil), nil
		},
	} {
		faketime.Test(t, func(t *testing.T) {
			c, err := New(Config{ClientID: "a", Transport: rt})
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			a := c.Send(t.Context(), secret, []byte("{}"))
			if a.Class != Unavailable || !a.TimedOut {
				t.Errorf("%s: %+v", name, a)
			}
			if d := time.Since(start); d != Timeout {
				t.Errorf("%s: took %v, want %v", name, d, Timeout)
			}
		})
	}
}

// TestSendLetsGoOfThePayload: a transport that goes on reading the request's
// body after it has answered must not see the bytes that come next.
func TestSendLetsGoOfThePayload(t *testing.T) {
	var kept, again io.ReadCloser
	c, err := New(Config{ClientID: "a", Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		kept = r.Body
		again, _ = r.GetBody()
		return answer(413, strings.NewReader(""), nil), nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	c.Send(t.Context(), secret, []byte("payload"))
	for _, b := range []io.ReadCloser{kept, again} {
		if n, err := b.Read(make([]byte, 10)); n != 0 || err == nil || err == io.EOF {
			t.Errorf("read %d, %v after Send has returned", n, err)
		}
	}
}
