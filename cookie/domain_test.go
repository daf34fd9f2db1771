package cookie

import (
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/publicsuffix"
)

func TestScope(t *testing.T) {
	tests := []struct {
		domain, host string
		want         scope
	}{
		{"", "example.com", scope{domain: "example.com", site: "example.com"}},
		{"", "www.example.com", scope{domain: "example.com", site: "example.com"}},
		{"", "www.example.com:8443", scope{domain: "example.com", site: "example.com"}},
		{"", "a.b.shop.example.co.uk", scope{domain: "example.co.uk", site: "example.co.uk"}},
		{"", "WWW.Example.COM", scope{domain: "example.com", site: "example.com"}},
		{"", "me.github.io", scope{domain: "me.github.io", site: "me.github.io"}},
		{"", "shop.internal.lan", scope{domain: "internal.lan", site: "internal.lan"}},
		{"", "dev_1.example.com", scope{domain: "example.com", site: "example.com"}},
		{"", "www.müller.example", scope{domain: "xn--mller-kva.example", site: "xn--mller-kva.example"}},
		{"", "www.xn--mller-kva.example", scope{domain: "xn--mller-kva.example", site: "xn--mller-kva.example"}},
		{"", "www.食狮.公司.cn", scope{domain: "xn--85x722f.xn--55qx5d.cn", site: "xn--85x722f.xn--55qx5d.cn"}},

		{"", "github.io", scope{site: "github.io"}},
		{"", "co.uk", scope{site: "co.uk"}},
		{"", "com", scope{site: "com"}},
		{"", "localhost:2015", scope{site: "localhost"}},
		{"", "intranet", scope{site: "intranet"}},
		{"", "192.0.2.7", scope{site: "192.0.2.7"}},
		{"", "192.0.2.7:80", scope{site: "192.0.2.7"}},
		{"", "127.1", scope{site: "127.1"}},
		{"", "0x7f.0x1", scope{site: "0x7f.0x1"}},
		{"", "[2001:DB8::1]:8443", scope{site: "2001:db8::1"}},
		{"", "[2001:db8::1]", scope{site: "2001:db8::1"}},
		{"", "2001:db8::1", scope{site: "2001:db8::1"}},
		{"", "[2001:db8::1", scope{site: "2001:db8::1"}},
		{"", "www.example.com.", scope{site: "www.example.com."}},
		{"", "", scope{site: ""}},
		{"", ".example.com", scope{site: ".example.com"}},
		{"", "a..example.com", scope{site: "a..example.com"}},
		{"", "a b.example.com", scope{site: "a b.example.com"}},
		{"", "a;b.example.com", scope{site: "a;b.example.com"}},
		{"", strings.Repeat("a", 64) + ".example.com", scope{site: strings.Repeat("a", 64) + ".example.com"}},
		{"", strings.Repeat("a.", 200) + "example.com", scope{site: strings.Repeat("a.", 127)}},

		{"example.com", "www.example.com", scope{domain: "example.com", site: "example.com"}},
		{".Shop.Example.com", "shop.example.com", scope{domain: "shop.example.com", site: "shop.example.com", wider: "example.com"}},
		{"shop.example.com", "a.shop.example.com", scope{domain: "shop.example.com", site: "shop.example.com", wider: "example.com"}},
		{"shop.example.com", "workshop.example.com", scope{domain: "example.com", site: "example.com"}},
		{"shop.example.com", "www.example.org", scope{domain: "example.org", site: "example.org"}},
		{"shop.example.com", "127.0.0.1", scope{site: "127.0.0.1"}},
	}
	for _, test := range tests {
		rv := newResolver(t, Config{Domain: test.domain})
		got := rv.scope(test.host)
		got.host = "" // TestScopesOfTwins
		if got != test.want {
			t.Errorf("%q with domain %q: got %+v, want %+v", test.host, test.domain, got, test.want)
		}
	}
}

// A tag may have written on any domain that covers the host and is not the
// cookies' own.
func TestScopesOfTwins(t *testing.T) {
	for _, test := range []struct {
		domain, host string
		want         []string
	}{
		{"", "example.com", []string{""}},
		{"", "Shop.example.com:8443", []string{"", "shop.example.com"}},
		{"", "a.b.example.co.uk", []string{"", "a.b.example.co.uk", "b.example.co.uk"}},
		{"", strings.Repeat("a.", 100) + "example.com",
			[]string{"", "a.a.a.a.example.com", "a.a.a.example.com", "a.a.example.com", "a.example.com"}},
		{"", "localhost", nil},
		{"", "192.0.2.7", nil},
		{"shop.example.com", "shop.example.com", []string{"", "example.com"}},
		{"shop.example.com", "a.shop.example.com", []string{"", "a.shop.example.com", "example.com"}},
		{"b.shop.example.com", "a.b.shop.example.com", []string{"", "a.b.shop.example.com", "shop.example.com", "example.com"}},
	} {
		rv := newResolver(t, Config{Domain: test.domain})
		if got := rv.scope(test.host).others(); !slices.Equal(got, test.want) {
			t.Errorf("%q with domain %q: got %q, want %q", test.host, test.domain, got, test.want)
		}
	}
}

// An independent jar, with the Public Suffix List, takes what is written for a
// host, gives it back on the next visit there, and on the hosts that share it.
func TestScopeIsTakenByACookieJar(t *testing.T) {
	tests := []struct {
		host   string
		shared []string
		apart  []string
	}{
		{"www.example.com", []string{"example.com", "shop.example.com"}, []string{"example.org"}},
		{"example.co.uk", []string{"www.example.co.uk"}, []string{"other.co.uk"}},
		{"me.github.io", []string{"www.me.github.io"}, []string{"you.github.io"}},
		{"github.io", nil, []string{"you.github.io"}},
		{"localhost:2015", []string{"localhost:3000"}, nil},
		{"192.0.2.7:8080", []string{"192.0.2.7"}, []string{"192.0.2.8"}},
		{"[2001:db8::1]:8080", []string{"[2001:db8::1]:443"}, []string{"[2001:db8::2]:8080"}},
		{"www.example.com.", nil, []string{"shop.example.com"}},
		{"www.xn--mller-kva.example", []string{"xn--mller-kva.example"}, []string{"other.example"}},
	}
	for _, test := range tests {
		t.Run(test.host, func(t *testing.T) {
			rv := newResolver(t, Config{})
			browser, err := cookiejar.New(&cookiejar.Options{PublicSuffixList: publicsuffix.List})
			if err != nil {
				t.Fatal(err)
			}
			at := func(host string) *url.URL { return &url.URL{Scheme: "https", Host: host, Path: "/a/b"} }
			ask := func(host string) (Identity, Outcome) {
				r := Request{Host: host, Secure: true, Document: true, Now: time.Now()}
				for _, c := range browser.Cookies(at(host)) {
					r.Cookies = append(r.Cookies, c.String())
				}
				id := rv.Resolve(r)
				return id, rv.Decide(id, r, page)
			}
			first, o := ask(test.host)
			response := http.Response{Header: http.Header{"Set-Cookie": o.Cookies}}
			browser.SetCookies(at(test.host), response.Cookies())

			for _, host := range append(test.shared, test.host) {
				if id, o := ask(host); id.AnonymousID != first.AnonymousID || id.Reason != Kept || o.Cookies != nil {
					t.Errorf("on %s: %v %s %v, want the ID kept", host, id.Reason, id.AnonymousID, o.Cookies)
				}
			}
			for _, host := range test.apart {
				if id, _ := ask(host); id.Reason != Minted {
					t.Errorf("on %s: %v, want a new visitor", host, id.Reason)
				}
			}
			r := Request{Host: test.host, Secure: true, Now: time.Now()}
			response.Header["Set-Cookie"] = rv.Decide(rv.Resolve(r), r, logout).Cookies
			browser.SetCookies(at(test.host), response.Cookies())
			if left := browser.Cookies(at(test.host)); len(left) != 0 {
				t.Errorf("after a logout the browser still has %v", left)
			}
		})
	}
}

// FuzzScope: whatever the Host, the Domain attribute is a host name that a
// browser accepts there, or absent.
func FuzzScope(f *testing.F) {
	for _, host := range []string{
		"www.example.com", "EXAMPLE.co.uk:443", "[::1]:80", "::1", "127.0.0.1", "müller.example", "a..b", ".", "", "[", ":",
		"github.io", "x.localhost", "www.example.com.", "a\x00b.com", "a;b.com", "\xff.com", "ẞ.example.com", "x。example.com",
	} {
		f.Add(host, "")
	}
	f.Add(strings.Repeat("\xd4", 86), "")
	f.Add("a.shop.example.com", "shop.example.com")
	f.Fuzz(func(t *testing.T, host, domain string) {
		rv, err := NewResolver(Config{Domain: domain}, nil)
		if err != nil {
			return
		}
		s := rv.scope(host)
		if len(s.site) > maxHostLen+1 {
			t.Errorf("site of %d bytes", len(s.site))
		}
		for _, d := range []string{s.domain, s.wider} {
			if d == "" {
				continue
			}
			if !isDomainName(d) || strings.ToLower(d) != d {
				t.Errorf("domain %q", d)
			}
			if suffix, _ := publicsuffix.PublicSuffix(d); suffix == d {
				t.Errorf("domain %q is a public suffix", d)
			}
			if _, err := netip.ParseAddr(d); err == nil {
				t.Errorf("domain %q is an address", d)
			}
			if name, ok := hostname(host); !ok || !within(name, d) {
				t.Errorf("domain %q for host %q", d, host)
			}
		}
	})
}
