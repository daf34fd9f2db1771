package preflight

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/tracking"
	"github.com/intilery/caddy-intilery/sandbox"
)

const secret = "token-that-must-not-show"

// want says that a report has a line of a verdict and a topic that holds a text.
type want struct {
	verdict     Verdict
	topic, text string
}

func (w want) check(t *testing.T, s *Section) {
	t.Helper()
	for _, f := range s.Findings {
		if f.Verdict == w.verdict && f.Topic == w.topic && strings.Contains(f.Text, w.text) {
			if w.verdict == Problem && f.Fix == "" {
				t.Errorf("no fix of %q", f.Text)
			}
			return
		}
	}
	t.Errorf("no %s %s with %q in\n%s", w.verdict, w.topic, w.text, text(t, s))
}

func text(t *testing.T, s *Section) string {
	t.Helper()
	var out strings.Builder
	if err := (&Report{sections: []*Section{s}}).Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func has(s *Section, v Verdict) bool {
	return (&Report{sections: []*Section{s}}).Count(v) > 0
}

// look checks the destination acme at an endpoint.
func look(t *testing.T, c Checker, endpoint string) *Section {
	t.Helper()
	s := new(Report).Section("destination")
	c.Destination(t.Context(), s, Destination{
		Tracking: tracking.Config{Endpoint: endpoint, ClientID: "acme"},
		Token:    func() (string, error) { return secret, nil },
	})
	if strings.Contains(text(t, s), secret[:len(secret)-6]) {
		t.Errorf("the token is shown:\n%s", text(t, s))
	}
	return s
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

func answering(status int, body string, headers ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	})
}

// What a right configuration looks like, and that nothing is stored.
func TestAcceptedToken(t *testing.T) {
	box := sandbox.New(sandbox.Options{ClientID: "acme", Token: secret})
	defer box.Close()
	s := look(t, Checker{}, serve(t, box))
	for _, w := range []want{
		{OK, "connection", "127.0.0.1:"},
		{OK, "TLS", "none: the endpoint is on this machine"},
		{OK, "token", "is answered 400 with it, and 403 with a wrong token"},
		{OK, "round trip", "from the request"},
		{OK, "clock", "within 1s"},
	} {
		w.check(t, s)
	}
	if has(s, Problem) || has(s, Warning) {
		t.Errorf("not all is well:\n%s", text(t, s))
	}
	if n := len(box.Events()); n != 0 {
		t.Errorf("%d events are stored", n)
	}
}

func TestRefusals(t *testing.T) {
	box := func(o sandbox.Options, f sandbox.Fault) http.Handler {
		b := sandbox.New(o)
		b.SetFault(f)
		t.Cleanup(b.Close)
		return b
	}
	for name, tt := range map[string]struct {
		h    http.Handler
		want want
	}{
		"token":              {box(sandbox.Options{Token: "another"}, sandbox.FaultNone), want{Problem, "token", "refused (403): auth-token is not valid"}},
		"brand":              {box(sandbox.Options{Token: secret, BrandID: "OTHER"}, sandbox.FaultNone), want{Problem, "token", "refused (403): auth-token is not authorised for this account or brand"}},
		"the token quoted":   {answering(403, `{"success":false,"message":"bad token `+secret+`"}`), want{Problem, "token", "bad token <token>"}},
		"the token cut":      {answering(403, `{"success":false,"message":"`+strings.Repeat("x", 280)+secret+`"}`), want{Problem, "token", "xxx<token>"}},
		"tokens are no word": {answering(400, `{"success":false,"message":"batch must not be empty"}`), want{Warning, "token", "with a wrong token too"}},
		"all is taken":       {answering(200, `{"success":true}`), want{Warning, "token", "with a wrong token too"}},
		"rate limit":         {box(sandbox.Options{}, sandbox.Fault429), want{Warning, "token", "the rate limit is reached"}},
		"it fails":           {box(sandbox.Options{}, sandbox.Fault503), want{Problem, "endpoint", "fails (503)"}},
		"it hangs up":        {box(sandbox.Options{}, sandbox.FaultDrop), want{Problem, "endpoint", "EOF"}},
		"not found":          {answering(404, "no"), want{Problem, "endpoint", "not as the Tracking API answers (404)"}},
		"a redirect":         {answering(302, "", "Location", "http://127.0.0.1:1/"), want{Problem, "endpoint", "(302)"}},
		"a page":             {answering(200, "<html>"), want{Problem, "endpoint", "(200): not an answer of the Tracking API"}},
		"steering":           {answering(403, `{"message":"a\u001b[2J"}`), want{Problem, "token", "a [2J"}},
	} {
		t.Run(name, func(t *testing.T) { tt.want.check(t, look(t, Checker{}, serve(t, tt.h))) })
	}
}

func TestClocks(t *testing.T) {
	for name, tt := range map[string]struct {
		by   time.Duration
		want want
	}{
		"ahead":  {-time.Minute, want{Warning, "clock", "ahead of the receiver's"}},
		"behind": {time.Hour, want{Warning, "clock", "behind the receiver's"}},
		"near":   {5 * time.Second, want{OK, "clock", "agrees"}},
	} {
		t.Run(name, func(t *testing.T) {
			date := time.Now().Add(tt.by).UTC().Format(http.TimeFormat)
			tt.want.check(t, look(t, Checker{}, serve(t, answering(400, `{"success":false}`, "Date", date))))
		})
	}
	t.Run("none", func(t *testing.T) {
		undated := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Date"] = nil
			w.WriteHeader(400)
		})
		want{Note, "clock", "no Date"}.check(t, look(t, Checker{}, serve(t, undated)))
	})
}

// Whatever is silent is given up, and no more is asked of it.
func TestSilence(t *testing.T) {
	var called atomic.Int32
	slow := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		called.Add(1)
		_, _ = io.Copy(io.Discard, r.Body) // else the server does not see that the client is gone
		<-r.Context().Done()
	})
	want{Problem, "endpoint", "no answer in time"}.check(t, look(t, Checker{Timeout: 50 * time.Millisecond}, serve(t, slow)))
	if n := called.Load(); n != 1 {
		t.Errorf("%d calls", n)
	}
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	want{Problem, "TLS", "no answer in time"}.check(t, look(t, Checker{Timeout: 50 * time.Millisecond}, "https://"+mute.Addr().String()))
}

// resolver answers with the addresses, or with the error.
type resolver struct {
	addrs []netip.Addr
	err   error
}

func (r resolver) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return r.addrs, r.err
}

func TestUnreachable(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	want{Problem, "connection", "connection refused"}.check(t, look(t, Checker{}, "http://"+closed.Addr().String()))

	unknown := Checker{Resolver: resolver{err: &net.DNSError{Err: "no such host", Name: "nowhere.test", IsNotFound: true}}}
	s := look(t, unknown, "https://nowhere.test")
	want{Problem, "name", "no such host"}.check(t, s)
	if len(s.Findings) != 1 {
		t.Errorf("more was asked:\n%s", text(t, s))
	}
	for _, wrong := range []string{"ftp://a", "https://user@a"} {
		if !has(look(t, Checker{}, wrong), Problem) {
			t.Errorf("%s is no problem", wrong)
		}
	}
}

// A token that cannot be read does not keep the rest from being looked at.
func TestUnreadableToken(t *testing.T) {
	var called atomic.Bool
	at := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called.Store(true) }))
	s := new(Report).Section("destination")
	new(Checker).Destination(t.Context(), s, Destination{
		Tracking: tracking.Config{Endpoint: at, ClientID: "acme"},
		Token:    func() (string, error) { return "", errors.New("no such file") },
	})
	want{Problem, "token", "no such file"}.check(t, s)
	want{OK, "connection", ""}.check(t, s)
	if called.Load() || len(s.Findings) != 3 {
		t.Errorf("a call was tried without a token:\n%s", text(t, s))
	}
}

func TestNoCall(t *testing.T) {
	var called atomic.Bool
	at := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called.Store(true) }))
	s := look(t, Checker{NoCall: true}, at)
	want{Note, "token", "no call was made"}.check(t, s)
	if called.Load() {
		t.Error("a call was made")
	}
}

func TestProxy(t *testing.T) {
	box := sandbox.New(sandbox.Options{Token: secret, Hosts: []string{"intilery.test"}})
	defer box.Close()
	proxy := httptest.NewServer(box)
	defer proxy.Close()
	transport := &http.Transport{Proxy: func(*http.Request) (*url.URL, error) {
		return url.Parse(strings.Replace(proxy.URL, "//", "//u:"+secret+"@", 1))
	}}
	s := look(t, Checker{Transport: transport}, "http://intilery.test")
	want{Note, "network", "through the proxy 127.0.0.1:"}.check(t, s)
	want{OK, "token", "accepted"}.check(t, s)
}

// A proxy's address that is none stands in the error with its password.
func TestWrongProxy(t *testing.T) {
	wrong := errors.New("invalid proxy address http://u:" + secret + "@[")
	s := look(t, Checker{Transport: &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return nil, wrong }}}, "http://intilery.test")
	want{Problem, "network", "is not a URL"}.check(t, s)
	if len(s.Findings) != 1 {
		t.Errorf("more was asked:\n%s", text(t, s))
	}
}

// authority signs certificates of servers for 127.0.0.1.
func authority(t *testing.T) (pool *x509.CertPool, sign func(from, to time.Time, names ...string) tls.Certificate) {
	t.Helper()
	issue := func(template, parent *x509.Certificate, by *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if by == nil {
			parent, by = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
		if err != nil {
			t.Fatal(err)
		}
		return der, key
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(1, 0, 0), KeyUsage: x509.KeyUsageCertSign,
	}
	der, key := issue(root, nil, nil)
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(parsed)
	return pool, func(from, to time.Time, names ...string) tls.Certificate {
		leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: from, NotAfter: to, DNSNames: names}
		if len(names) == 0 {
			leaf.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
		}
		der, own := issue(leaf, parsed, key)
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: own}
	}
}

func TestCertificates(t *testing.T) {
	pool, sign := authority(t)
	now, day := time.Now(), 24*time.Hour
	for name, tt := range map[string]struct {
		cert tls.Certificate
		pool *x509.CertPool
		want want
	}{
		"good":      {sign(now.Add(-day), now.Add(60*day)), pool, want{OK, "TLS", "issued by Test CA"}},
		"soon over": {sign(now.Add(-day), now.Add(2*day)), pool, want{Warning, "TLS", "the certificate ends on " + now.Add(2*day).UTC().Format("2006-01-02")}},
		"expired":   {sign(now.Add(-2*day), now.Add(-day)), pool, want{Problem, "TLS", "the certificate ended on " + now.Add(-day).UTC().Format("2006-01-02")}},
		"not yet":   {sign(now.Add(day), now.Add(2*day)), pool, want{Problem, "TLS", "is valid from"}},
		"other":     {sign(now.Add(-day), now.Add(60*day), "other.test"), pool, want{Problem, "TLS", "the certificate is for other.test"}},
		"unknown":   {sign(now.Add(-day), now.Add(60*day)), x509.NewCertPool(), want{Problem, "TLS", "does not know, issued by Test CA"}},
	} {
		t.Run(name, func(t *testing.T) {
			box := sandbox.New(sandbox.Options{Token: secret})
			defer box.Close()
			server := httptest.NewUnstartedServer(box)
			server.TLS = &tls.Config{Certificates: []tls.Certificate{tt.cert}}
			server.Config.ErrorLog = nil
			server.StartTLS()
			defer server.Close()
			s := look(t, Checker{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: tt.pool}}}, server.URL)
			tt.want.check(t, s)
			if tt.want.verdict != Problem {
				want{OK, "token", "accepted"}.check(t, s)
			}
		})
	}
}
