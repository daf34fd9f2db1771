package eventcontext

import (
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/intilery/caddy-intilery/caddymodule/internal/redact"
	"github.com/intilery/caddy-intilery/forwarder/event"
)

func newRules(t testing.TB, paths ...string) *redact.Rules {
	t.Helper()
	rules, err := redact.New([]string{"order_ref"}, paths)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// requestFor is a request for a URL as net/http reads it from the request line.
func requestFor(t testing.TB, target string) Request {
	t.Helper()
	u, err := url.ParseRequestURI(target)
	if err != nil {
		t.Fatal(err)
	}
	return Request{URL: u, Secure: true, Host: "shop.example.com"}
}

func TestOf(t *testing.T) {
	req := requestFor(t, "/cart?utm_source=news&token=5")
	req.Document = true
	req.Referer = "https://ada:pw@example.org/u/ada@example.org?code=1&b=2#c"
	req.UserAgent = "Mozilla/5.0"
	req.Language = "en-GB,en;q=0.9"
	req.IP = "203.0.113.7"
	want := event.Context{
		IP: "203.0.113.7", UserAgent: "Mozilla/5.0", Locale: "en-GB",
		Page: event.PageContext{
			URL:  "https://shop.example.com/cart?utm_source=news",
			Path: "/cart", Search: "?utm_source=news",
			Referrer: "https://example.org/u/redacted?b=2",
		},
		Campaign: []event.Param{{Key: "source", Value: "news"}},
	}
	if diff := cmp.Diff(want, Of(req, newRules(t))); diff != "" {
		t.Error(diff)
	}
}

func TestPage(t *testing.T) {
	for _, c := range []struct {
		name     string
		target   string
		host     string
		plain    bool // HTTP
		fetch    bool // no document
		referer  string
		url      string
		path     string
		search   string
		referrer string
	}{
		{name: "document", target: "/a?b=1", referer: "https://shop.example.com/before",
			url: "https://shop.example.com/a?b=1", path: "/a", search: "?b=1", referrer: "https://shop.example.com/before"},
		{name: "document over HTTP", target: "/a", plain: true, url: "http://shop.example.com/a", path: "/a"},
		{name: "default port", target: "/a", host: "shop.example.com:443", url: "https://shop.example.com/a", path: "/a"},
		{name: "default port over HTTP", target: "/a", plain: true, host: "shop.example.com:80", url: "http://shop.example.com/a", path: "/a"},
		{name: "port of the other scheme", target: "/a", host: "shop.example.com:80", url: "https://shop.example.com:80/a", path: "/a"},
		{name: "upper case", target: "/A", host: "SHOP.Example.com", url: "https://shop.example.com/A", path: "/A"},
		{name: "no host", target: "/a?b=1", host: "-", url: "/a?b=1", path: "/a", search: "?b=1"},
		{name: "no path", target: "http://shop.example.com", url: "https://shop.example.com/", path: "/"},
		{name: "all of a server", target: "*", url: "https://shop.example.com/*", path: "/*"},
		{name: "escaped path", target: "/gr%C3%B6%C3%9Fe/a%2Fb?c=%20", url: "https://shop.example.com/gr%C3%B6%C3%9Fe/a%2Fb?c=%20", path: "/gr%C3%B6%C3%9Fe/a%2Fb", search: "?c=%20"},
		{name: "two slashes", target: "//evil.example/a", url: "https://shop.example.com//evil.example/a", path: "//evil.example/a"},
		{name: "secrets", target: "/u/ada@example.com;jsessionid=5?email=a&a=1?token=5", url: "https://shop.example.com/u/redacted?a=1", path: "/u/redacted", search: "?a=1"},
		{name: "secrets alone", target: "/a?reset_code=5", url: "https://shop.example.com/a", path: "/a"},
		{name: "path by expression", target: "/reset/abc", url: "https://shop.example.com/reset/redacted", path: "/reset/redacted"},

		{name: "fetch", target: "/wp-json/a?b=1", fetch: true, referer: "https://shop.example.com/checkout?step=2",
			url: "https://shop.example.com/checkout?step=2", path: "/checkout", search: "?step=2"},
		{name: "asset", target: "/favicon.ico", fetch: true, referer: "https://shop.example.com/",
			url: "https://shop.example.com/", path: "/"},
		{name: "fetch with secrets in its page", target: "/order", fetch: true, referer: "https://ada:pw@shop.example.com/reset/abc/u@example.com?token=5&a=1#b",
			url: "https://shop.example.com/reset/redacted/redacted?a=1", path: "/reset/redacted/redacted", search: "?a=1"},
		{name: "fetch with a fragment in its Referer", target: "/order", fetch: true, referer: "https://shop.example.com/a#b?c",
			url: "https://shop.example.com/a", path: "/a"},
		{name: "fetch by an origin-only policy", target: "/order", fetch: true, referer: "https://shop.example.com",
			url: "https://shop.example.com/", path: "/"},
		{name: "fetch whose Host is spelled otherwise", target: "/order", fetch: true, host: "Shop.example.com:443", referer: "https://shop.example.com/a",
			url: "https://shop.example.com/a", path: "/a"},
		{name: "fetch whose Referer is spelled otherwise", target: "/order", fetch: true, referer: "HTTPS://SHOP.example.com:443/a?b",
			url: "https://shop.example.com/a?b", path: "/a", search: "?b"},
		{name: "fetch on another port", target: "/order", fetch: true, host: "localhost:8443", referer: "https://localhost:8443/a",
			url: "https://localhost:8443/a", path: "/a"},
		{name: "fetch without a Referer", target: "/order?a=1", fetch: true, url: "https://shop.example.com/order?a=1", path: "/order", search: "?a=1"},
		{name: "fetch from another host", target: "/order", fetch: true, referer: "https://www.example.com/a?sid=1",
			url: "https://shop.example.com/order", path: "/order", referrer: "https://www.example.com/a"},
		{name: "fetch from a longer host", target: "/order", fetch: true, referer: "https://shop.example.com.evil.example/a",
			url: "https://shop.example.com/order", path: "/order", referrer: "https://shop.example.com.evil.example/a"},
		{name: "fetch from a user of the same name", target: "/order", fetch: true, referer: "https://shop.example.com@evil.example/a",
			url: "https://shop.example.com/order", path: "/order", referrer: "https://evil.example/a"},
		{name: "fetch from the other scheme", target: "/order", fetch: true, referer: "http://shop.example.com/a",
			url: "https://shop.example.com/order", path: "/order", referrer: "http://shop.example.com/a"},
		{name: "fetch from another port", target: "/order", fetch: true, referer: "https://shop.example.com:8443/a",
			url: "https://shop.example.com/order", path: "/order", referrer: "https://shop.example.com:8443/a"},
		{name: "fetch without hosts", target: "/order", fetch: true, host: "-", referer: "https:///a",
			url: "/order", path: "/order", referrer: "https:///a"},
		{name: "fetch with a Referer that is no URL", target: "/order", fetch: true, referer: "https:",
			url: "https://shop.example.com/order", path: "/order"},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := requestFor(t, c.target)
			switch c.host {
			case "":
			case "-":
				req.Host = ""
			default:
				req.Host = c.host
			}
			req.Secure, req.Document, req.Referer = !c.plain, !c.fetch, c.referer
			want := event.PageContext{URL: c.url, Path: c.path, Search: c.search, Referrer: c.referrer}
			if diff := cmp.Diff(want, Of(req, newRules(t, "/reset/([^/]+)")).Page); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCampaignFollowsThePage(t *testing.T) {
	req := requestFor(t, "/order?utm_source=own")
	req.Referer = "https://shop.example.com/landing?utm_source=page&utm_content=ada%40example.com"
	want := []event.Param{{Key: "source", Value: "page"}}
	if diff := cmp.Diff(want, Of(req, newRules(t)).Campaign); diff != "" {
		t.Error(diff)
	}
}

func TestTextsAreBounded(t *testing.T) {
	long := strings.Repeat("é", MaxText)
	req := requestFor(t, "/"+strings.Repeat("p", 3000)+"?utm_source="+strings.Repeat("q", 3000))
	req.Document = true
	req.Referer = "https://example.org/" + strings.Repeat("r", 3000)
	req.UserAgent = long
	c := Of(req, newRules(t))
	for name, text := range map[string]string{
		"URL": c.Page.URL, "path": c.Page.Path, "search": c.Page.Search, "referrer": c.Page.Referrer,
		"user agent": c.UserAgent, "campaign": c.Campaign[0].Key + c.Campaign[0].Value,
	} {
		if len(text) != MaxText {
			t.Errorf("%s has %d bytes", name, len(text))
		}
		if !utf8.ValidString(text) {
			t.Errorf("%s is not UTF-8", name)
		}
	}
	e := event.Event{Type: event.Page, AnonymousID: "a", Timestamp: time.Unix(0, 0), Context: c}
	stored, err := e.Store("1.0")
	if err != nil {
		t.Fatalf("a page event with the longest texts: %v", err)
	}
	if room := event.MaxBytes - len(stored); room < 10_000 {
		t.Errorf("only %d bytes are left for properties", room)
	}
}

// What is at the limit before redacting is elsewhere after it.
func TestRedactsBeforeTruncating(t *testing.T) {
	for _, secret := range []string{"token=s3cr3t", "a=s3cr3t@example.com", "a=s3cr3t%40example.com", "next=%3Ftoken%3Ds3cr3t"} {
		for pad := MaxText - 100; pad < MaxText+10; pad++ {
			query := "a=" + strings.Repeat("x", pad) + "&" + secret + "&b=" + strings.Repeat("y", 100)
			req := requestFor(t, "/?"+query)
			req.Document, req.Referer = true, "https://example.org/?"+query
			page := Of(req, newRules(t)).Page
			if all := page.URL + page.Search + page.Referrer; strings.Contains(all, "s3cr3t") {
				t.Fatalf("%s behind %d bytes: %q", secret, pad, all)
			}
		}
	}
}

func ordinary(t testing.TB) Request {
	req := requestFor(t, "/shop/shoes/running-shoes-42")
	req.Document = true
	req.Referer = "https://shop.example.com/shop/shoes"
	req.UserAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
	req.Language = "en-GB,en;q=0.9"
	req.IP = "203.0.113.7"
	return req
}

func ofCampaign(t testing.TB) Request {
	req := ordinary(t)
	req.URL = requestFor(t, "/shop?utm_source=news&utm_medium=mail&utm_campaign=spring&utm_content=top").URL
	return req
}

func ofFetch(t testing.TB) Request {
	req := ordinary(t)
	req.Document = false
	return req
}

func TestOfAllocations(t *testing.T) {
	rules := newRules(t)
	for _, c := range []struct {
		name string
		req  Request
		want float64
	}{
		{"document", ordinary(t), 1},                 // the URL
		{"document of a campaign", ofCampaign(t), 2}, // and the parameters
		{"fetch", ofFetch(t), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if n := testing.AllocsPerRun(100, func() { Of(c.req, rules) }); n != c.want {
				t.Errorf("%v allocations, want %v", n, c.want)
			}
		})
	}
}

func BenchmarkOf(b *testing.B) {
	rules := newRules(b)
	for _, c := range []struct {
		name string
		req  Request
	}{{"document", ordinary(b)}, {"campaign", ofCampaign(b)}, {"fetch", ofFetch(b)}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Of(c.req, rules)
			}
		})
	}
}
