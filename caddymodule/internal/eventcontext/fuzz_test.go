package eventcontext

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzOf checks what must be true of any context, whatever the client sends.
func FuzzOf(f *testing.F) {
	f.Add("/order?a=1?token=5", "https://shop.example.com/u/ada@example.com?email=a", "shop.example.com:443", true, false)
	f.Add("/favicon.ico", "HTTPS://Bücher.example#a", "bücher.example", true, false)
	f.Add("/a%2Fb?utm_source=ada%2540example.com&utm_=%zz", "https:///\\user:pw@x/", "[::1]:080", false, true)
	f.Add("*", "", "", false, true)
	f.Fuzz(func(t *testing.T, target, referer, host string, secure, document bool) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			t.Skip()
		}
		rules := newRules(t)
		c := Of(Request{URL: u, Referer: referer, Host: host, Secure: secure, Document: document, UserAgent: referer, Language: host}, rules)
		room := MaxText
		for _, p := range c.Campaign {
			room -= len(p.Key) + len(p.Value)
		}
		if room < 0 {
			t.Errorf("the campaign is %d bytes too long", -room)
		}
		for name, text := range map[string]string{
			"URL": c.Page.URL, "path": c.Page.Path, "search": c.Page.Search, "referrer": c.Page.Referrer, "user agent": c.UserAgent,
		} {
			if len(text) > MaxText {
				t.Errorf("%s has %d bytes", name, len(text))
			}
		}
		if query := strings.TrimPrefix(c.Page.Search, "?"); rules.Query(query) != query {
			t.Errorf("search has something to redact: %q", query)
		}
		if path := rules.Path(c.Page.Path); path != c.Page.Path {
			t.Errorf("path has something to redact: %q", c.Page.Path)
		}
		if referrer := rules.URL(c.Page.Referrer); referrer != c.Page.Referrer && strings.Contains(c.Page.Referrer, "://") {
			t.Errorf("referrer has something to redact: %q", c.Page.Referrer)
		}
		if !strings.HasPrefix(c.Page.Path, "/") {
			t.Errorf("path %q", c.Page.Path)
		}
		if !strings.Contains(c.Page.URL, c.Page.Path) && len(c.Page.URL) < MaxText {
			t.Errorf("path %q is no part of %q", c.Page.Path, c.Page.URL)
		}
	})
}

func FuzzHost(f *testing.F) {
	for _, host := range []string{"", "Shop.example.com:443", "bücher.example:080", "[2001:DB8::1]:80", "[", ":", "a:b@c:1", "例子。x.", "xn--a:0"} {
		f.Add(host, true)
	}
	f.Fuzz(func(t *testing.T, host string, secure bool) {
		once := Host(host, secure)
		if twice := Host(once, secure); twice != once {
			t.Errorf("once %q, twice %q", once, twice)
		}
		for i := range len(once) {
			if once[i] <= ' ' || once[i] >= 0x7f || strings.IndexByte("@/?#\\%", once[i]) >= 0 {
				t.Errorf("%q has a byte that no host has", once)
			}
		}
		if once != strings.ToLower(once) {
			t.Errorf("%q is not in lower case", once)
		}
	})
}
