package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/cookie"
)

// zone is a name service: addresses, and aliases as "=name".
type zone map[string][]string

func (z zone) LookupCNAME(_ context.Context, host string) (string, error) {
	for _, record := range z[host] {
		if alias, ok := strings.CutPrefix(record, "="); ok {
			return alias + ".", nil
		}
		if record == "broken" {
			return "edge.cdn.example.net.", errors.New("server failure")
		}
	}
	return host + ".", nil
}

func (z zone) LookupNetIP(_ context.Context, _, host string) (addrs []netip.Addr, err error) {
	for _, record := range z[host] {
		if addr, err := netip.ParseAddr(record); err == nil {
			addrs = append(addrs, addr)
		}
	}
	if len(addrs) == 0 {
		return nil, errors.New("no such host")
	}
	return addrs, nil
}

// RoundTrip lets an app answer for all hosts.
func (app app) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	app(w, r)
	resp := w.Result()
	resp.Request = r
	if resp.Header.Get("Connection") == "refused" {
		return nil, errors.New("connection refused")
	}
	return resp, nil
}

// app is a site.
type app func(http.ResponseWriter, *http.Request)

const (
	readableSet = "ajs_anonymous_id=%22NN%22; Path=/; Domain=example.com; Max-Age=31536000; Secure; SameSite=Lax"
	keeperSet   = "intilery_keeper=NN; Path=/; Domain=example.com; Max-Age=31536000; HttpOnly; Secure; SameSite=Lax"
)

// mints is a site that sets cookies for those who bring none of ours, with a
// number of the visitor for NN.
func mints(cookies ...string) app {
	n := 0
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if len(r.Cookies()) > 0 {
			return
		}
		n++
		w.Header().Set("Cache-Control", "private")
		for _, c := range cookies {
			w.Header().Add("Set-Cookie", strings.ReplaceAll(c, "NN", fmt.Sprint(n)))
		}
	}
}

// secured is a site over HTTPS with all that belongs to it.
func secured(app app) app {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Scheme == "http" {
			http.Redirect(w, r, "https://"+r.Host+r.URL.RequestURI(), http.StatusMovedPermanently)
			return
		}
		w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		app(w, r)
	}
}

func address(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := SiteURL(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestSiteURL(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"shop.example.com", "https://shop.example.com/"},
		{"http://localhost:8080/a?b=c", "http://localhost:8080/a?b=c"},
		{"", ""}, {"ftp://a.example", ""}, {"https://", ""}, {"http://[::1", ""}, {"https://:443", ""}, {"https://a.example/\x1b", ""},
	} {
		u, err := SiteURL(tt.text)
		if got := ""; tt.want != "" {
			if err == nil {
				got = u.String()
			}
			if got != tt.want {
				t.Errorf("%q is read as %q (%v), want %q", tt.text, got, err, tt.want)
			}
		} else if err == nil {
			t.Errorf("%q is accepted", tt.text)
		}
	}
}

func TestSiteThatCannotBeVisited(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  cookie.Config
		app  app
		want string
	}{
		{"redirects without end", cookie.Config{}, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }, "too many redirects"},
		{"no connection", cookie.Config{}, set("Connection", "refused"), "opening https://shop.example.com/: connection refused"},
		{"no connection for another visitor", cookie.Config{}, refuses(2), "opening https://shop.example.com/: connection refused"},
		{"no connection at the second visit", cookie.Config{}, refuses(3), "opening https://shop.example.com/: connection refused"},
		{"wrong options", cookie.Config{Name: "a b"}, mints(), `name: "a b" is not accepted`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := &Doctor{Resolver: zone{}, Transport: tt.app, Cookies: tt.cfg}
			at := address(t, "https://shop.example.com")
			if _, err := d.Examine(t.Context(), at, at); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// refuses is a good site that cannot be reached at its nth request.
func refuses(nth int) app {
	good, n := secured(mints(readableSet, keeperSet)), 0
	return func(w http.ResponseWriter, r *http.Request) {
		if n++; n == nth {
			set("Connection", "refused")(w, r)
		}
		good(w, r)
	}
}

func TestBodyThatBreaksOff(t *testing.T) {
	at := address(t, "https://shop.example.com")
	d := &Doctor{Resolver: zone{}, Transport: &wire{first: []byte("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")}}
	if _, err := d.Examine(t.Context(), at, at); !errors.Is(err, io.ErrUnexpectedEOF) || !strings.HasPrefix(err.Error(), "reading https://shop.example.com/: ") {
		t.Errorf("error %v", err)
	}
}

// A document without an end costs no more than a long one.
func TestBodyWithoutEnd(t *testing.T) {
	at := address(t, "https://shop.example.com")
	body := &endless{}
	if _, err := (&Doctor{Resolver: zone{}, Transport: body}).Examine(t.Context(), at, at); err != nil || body.read != 2*maxBody {
		t.Errorf("read %d bytes in 2 visits, want %d; error %v", body.read, 2*maxBody, err)
	}
}

// endless is a server and the body of its answers.
type endless struct{ read int }

func (e *endless) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Body: e, Request: r}, nil
}
func (e *endless) Read(p []byte) (int, error) { e.read += len(p); return len(p), nil }
func (e *endless) Close() error               { return nil }

// The clock is the given one, and names are looked up by the system's resolver
// by default.
func TestDefaults(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel() // no query leaves
	in30Days := "Expires=" + time.Now().Add(30*24*time.Hour).UTC().Format(http.TimeFormat)
	d := &Doctor{
		Transport: secured(mints(readableSet, strings.Replace(keeperSet, "Max-Age=31536000", in30Days, 1))),
		Now:       func() time.Time { return time.Now().Add(10 * 24 * time.Hour) },
	}
	at := address(t, "https://shop.example.com")
	r, err := d.Examine(canceled, at, at)
	if err != nil {
		t.Fatal(err)
	}
	if !r.has("DNS", note) || r.lifetimes[0].keeper != "20 days" {
		t.Errorf("DNS %v, keeper for %s, want 20 days", r.has("DNS", note), r.lifetimes[0].keeper)
	}
}

// A visit over plain HTTP that is never answered costs its own timeout only, and
// an examination that is cancelled there does not say that nothing answers.
func TestCancelledAtPlainHTTP(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	good := secured(mints(readableSet, keeperSet))
	d := &Doctor{Resolver: zone{}, Transport: app(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Scheme == "http" {
			if deadline, ok := r.Context().Deadline(); !ok || time.Until(deadline) > plainTimeout {
				t.Errorf("deadline %v, %v", deadline, ok)
			}
			cancel()
			set("Connection", "refused")(w, r)
			return
		}
		good(w, r)
	})}
	at := address(t, "https://shop.example.com")
	if _, err := d.Examine(ctx, at, at); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

// Requests look as a browser's: Fetch Metadata goes to trustworthy origins only,
// Secure and foreign cookies stay away, and the page over HTTPS is asked for over
// plain HTTP only where there is such an address.
func TestRequests(t *testing.T) {
	const first, again = " document", " document intilery_keeper"
	for _, tt := range []struct {
		name, site string
		want       []string // scheme, host, Sec-Fetch-Dest, cookies
	}{
		{"over HTTPS", "https://shop.example.com", []string{
			"https shop.example.com" + first, "https shop.example.com" + first, "https shop.example.com" + again, "http shop.example.com "}},
		{"with the default port", "https://shop.example.com:443", []string{
			"https shop.example.com:443" + first, "https shop.example.com:443" + first, "https shop.example.com:443" + again, "http shop.example.com "}},
		{"with another port", "https://shop.example.com:8443", []string{
			"https shop.example.com:8443" + first, "https shop.example.com:8443" + first, "https shop.example.com:8443" + again}},
		{"on this machine", "https://localhost", []string{"https localhost" + first, "https localhost" + first, "https localhost" + again}},
		{"on this machine, plain", "http://a.localhost:80", []string{
			"http a.localhost:80" + first, "http a.localhost:80" + first, "http a.localhost:80" + again}},
		{"plain", "http://shop.example.com", []string{"http shop.example.com "}},
		{"plain that redirects", "http://secure.example.com", []string{"http secure.example.com ",
			"https secure.example.com" + first, "https secure.example.com" + first, "https secure.example.com" + again}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			d := &Doctor{Resolver: zone{}, Transport: app(func(w http.ResponseWriter, r *http.Request) {
				if !strings.Contains(r.Header.Get("Accept"), "text/html") || r.Header.Get("Upgrade-Insecure-Requests") != "1" || r.UserAgent() != userAgent {
					t.Errorf("not a browser's request: %v", r.Header)
				}
				line := r.URL.Scheme + " " + r.Host + " " + r.Header.Get("Sec-Fetch-Dest")
				for _, c := range r.Cookies() {
					line += " " + c.Name
				}
				got = append(got, line)
				if r.URL.Scheme == "http" && r.Host == "secure.example.com" {
					http.Redirect(w, r, "https://secure.example.com/", http.StatusFound)
					return
				}
				w.Header().Add("Set-Cookie", "intilery_keeper=a; Path=/; Secure")
				w.Header().Add("Set-Cookie", "foreign=a; Path=/; Domain=example.org")
			})}
			at := address(t, tt.site)
			if _, err := d.Examine(t.Context(), at, at); err != nil {
				t.Fatal(err)
			}
			if g, w := strings.Join(got, "\n"), strings.Join(tt.want, "\n"); g != w {
				t.Errorf("requests\n%s\nwant\n%s", g, w)
			}
		})
	}
}

// With its defaults, a Doctor visits names below localhost on this machine, past
// any proxy, and asks no name server for them.
func TestLocalhostNames(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(listen, func(t *testing.T) {
			listener, err := net.Listen("tcp", listen)
			if err != nil {
				t.Skip(err)
			}
			server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(mints(
				"ajs_anonymous_id=%22NN%22; Path=/; Domain=shop.localhost; Max-Age=31536000", "intilery_keeper=NN; Path=/; Domain=shop.localhost; Max-Age=31536000; HttpOnly"))}}
			server.Start()
			defer server.Close()
			_, port, _ := net.SplitHostPort(listener.Addr().String())
			at := address(t, "http://shop.localhost:"+port)
			r, err := new(Doctor).Examine(t.Context(), at, at)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := r.Write(&out); err != nil || r.Problems() != 0 {
				t.Errorf("%v, problems %d:\n%s", err, r.Problems(), &out)
			}
		})
	}
}

func TestMain(m *testing.M) {
	os.Setenv("HTTP_PROXY", "http://proxy.example:3128") // read once in a process
	os.Exit(m.Run())
}

func TestProxy(t *testing.T) {
	for host, want := range map[string]string{"shop.localhost": "", "shop.example.com": "http://proxy.example:3128"} {
		u, err := newTransport().Proxy(httptest.NewRequest(http.MethodGet, "http://"+host+"/", nil))
		if err != nil {
			t.Fatal(err)
		}
		if got := ""; u != nil && u.String() != want || u == nil && want != got {
			t.Errorf("%s is visited through %v, want %q", host, u, want)
		}
	}
}

// Only localhost and the names below it are turned to loopback.
func TestDial(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skip(err)
	}
	conn, err := dial(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatalf("another address: %v", err)
	}
	conn.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	listener.Close()
	if conn, err := dial(t.Context(), "tcp", "a.localhost:"+port); err == nil {
		conn.Close()
		t.Error("connected where nothing listens")
	}
	if _, err := dial(t.Context(), "tcp", "localhost"); err == nil {
		t.Error("connected without a port")
	}
}

func TestHosts(t *testing.T) {
	for _, tt := range []struct{ text, host, site string }{
		{"https://Shop.Example.com:443/", "shop.example.com", "example.com"},
		{"https://Bücher.example", "xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"https://my_Shop.example.com", "my_shop.example.com", "example.com"},
		{"https://xn--A.example.com", "xn--a.example.com", "example.com"},
		{"https://A\u202eb.example.com", "a\u202eb.example.com", "example.com"}, // not a host name
		{"https://co.uk", "co.uk", "co.uk"},
		{"https://192.0.2.1", "192.0.2.1", "192.0.2.1"},
		{"https://[2001:DB8::1]:8443", "2001:db8::1", "2001:db8::1"},
	} {
		if got := hostOf(address(t, tt.text)); got != tt.host {
			t.Errorf("host of %s: %q, want %q", tt.text, got, tt.host)
		}
		if got := siteOf(tt.host); got != tt.site {
			t.Errorf("site of %s: %q, want %q", tt.host, got, tt.site)
		}
	}
}

func TestIsLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LocalHost": true, "localhost.": true, "shop.localhost": true, "a.b.localhost.": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true,
		"notlocalhost": false, "localhost.example.com": false, "192.0.2.1": false, "::2": false, "": false,
	} {
		if got := isLoopback(host); got != want {
			t.Errorf("%q: %t, want %t", host, got, want)
		}
	}
}
