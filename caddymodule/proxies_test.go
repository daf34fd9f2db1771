package caddymodule

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func TestMisproxy(t *testing.T) {
	const client, proxy = "203.0.113.7", "10.0.0.1"
	for _, tt := range []struct {
		name       string
		trusted    bool
		remote     string
		secure     bool
		navigation bool
		headers    []string
		want       misproxied
	}{
		{"no proxy", false, client + ":1234", true, true, nil, ""},
		{"untrusted, with a scheme", false, proxy + ":1234", false, true, []string{"X-Forwarded-Proto", "https"}, proxyUntrusted},
		{"untrusted, with a client", false, proxy + ":1234", true, true, []string{"X-Forwarded-For", client}, proxyUntrusted},
		{"untrusted, RFC 7239", false, proxy + ":1234", true, true, []string{"Forwarded", "for=" + client}, proxyUntrusted},
		{"untrusted unix socket", false, "@", false, true, []string{"X-Forwarded-Proto", "https"}, proxyUnixSocket},
		{"untrusted, no navigation", false, proxy + ":1234", false, false, []string{"X-Forwarded-Proto", "https"}, ""},
		{"sound", true, proxy + ":1234", false, true, []string{"X-Forwarded-For", client, "X-Forwarded-Proto", "https"}, ""},
		{"sound, TLS to Caddy too", true, proxy + ":1234", true, true, []string{"X-Forwarded-For", client}, ""},
		{"RFC 7239 alone", true, proxy + ":1234", false, true, []string{"Forwarded", "for=" + client, "X-Forwarded-Proto", "https"}, proxyNoClientIP},
		{"no scheme", true, proxy + ":1234", false, true, []string{"X-Forwarded-For", client}, proxyNoScheme},
		{"the scheme overwritten", true, proxy + ":1234", false, true, []string{"X-Forwarded-For", client, "X-Forwarded-Proto", "http", "Cf-Visitor", `{"scheme":"https"}`}, proxyScheme},
		{"plain HTTP in all", true, proxy + ":1234", false, true, []string{"X-Forwarded-For", client, "X-Forwarded-Proto", "http"}, ""},
		{"a CDN that replaces the browser's headers", true, proxy + ":1234", false, false, []string{"User-Agent", "Amazon CloudFront"}, proxyNoViewer},
		{"a client without headers", true, proxy + ":1234", false, false, []string{"User-Agent", "curl/8"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = tt.remote
			headers(tt.headers...)(r)
			if tt.secure {
				r.TLS = new(tls.ConnectionState)
			}
			ip, _, _ := strings.Cut(tt.remote, ":")
			if tt.trusted && r.Header.Get("X-Forwarded-For") != "" {
				ip = client
			}
			r = r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey,
				map[string]any{caddyhttp.TrustedProxyVarKey: tt.trusted, caddyhttp.ClientIPVarKey: ip}))
			if got := misproxy(r, tt.navigation); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// A proxy that is not trusted is named in the log once, and counted each time.
func TestUntrustedProxyIsTold(t *testing.T) {
	r := newRig(t)
	r.serve("intilery\nreverse_proxy " + newServer(t, http.HandlerFunc(echoing)))
	before := counter(t, siteMetrics.proxies.WithLabelValues("srv0", string(proxyUntrusted)))
	for range 3 {
		r.get("/page", headers("X-Forwarded-Proto", "https", "X-Forwarded-For", "203.0.113.7"))
	}
	if got := counter(t, siteMetrics.proxies.WithLabelValues("srv0", string(proxyUntrusted))) - before; got != 3 {
		t.Errorf("counted %v, want 3", got)
	}
	if got := strings.Count(r.log(), "trusted_proxies"); got != 1 {
		t.Errorf("logged %d times, want 1: %s", got, r.log())
	}
}

// Cookies are bound to the host by which Caddy chose the site; what a trusted
// proxy forwards counts only where the site says so.
func TestForwardedHost(t *testing.T) {
	for name, options := range map[string]string{"": "", "shop.example.com": "forwarded_host"} {
		r := newRig(t)
		global := strings.Replace(r.global(""), "\tintilery {", "\tservers {\n\t\ttrusted_proxies static private_ranges 127.0.0.1/8 ::1\n\t}\n\tintilery {", 1)
		r.load(global, "intilery {\n"+options+"\n}\nreverse_proxy "+newServer(t, http.HandlerFunc(echoing)))
		resp := r.get("/page", headers("X-Forwarded-Proto", "https", "X-Forwarded-Host", "shop.example.com", "X-Forwarded-For", "203.0.113.7"))
		domain := ""
		for _, c := range resp.Cookies() {
			domain = c.Domain
			if !c.Secure {
				t.Errorf("%s is not Secure", c.Name)
			}
		}
		want := strings.TrimPrefix(name, "shop.")
		if domain != want || len(resp.Cookies()) != 2 {
			t.Errorf("options %q: the domain is %q, want %q", options, domain, want)
		}
	}
}
