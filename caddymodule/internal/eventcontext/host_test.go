package eventcontext

import (
	"strings"
	"testing"
)

func TestHost(t *testing.T) {
	for _, c := range []struct {
		name   string
		host   string
		secure bool
		want   string
	}{
		{"as shown", "shop.example.com", true, "shop.example.com"},
		{"default port of HTTPS", "shop.example.com:443", true, "shop.example.com"},
		{"default port of HTTP", "shop.example.com:80", false, "shop.example.com"},
		{"HTTP's port on HTTPS", "shop.example.com:80", true, "shop.example.com:80"},
		{"HTTPS's port on HTTP", "shop.example.com:443", false, "shop.example.com:443"},
		{"other port", "localhost:8080", false, "localhost:8080"},
		{"port zero", "localhost:0", false, "localhost:0"},
		{"leading zeros", "localhost:00443", true, "localhost"},
		{"leading zeros of another port", "localhost:08080", true, "localhost:8080"},
		{"empty port", "shop.example.com:", true, "shop.example.com"},
		{"upper case", "SHOP.Example.COM:8443", true, "shop.example.com:8443"},
		{"trailing dot", "Shop.example.com.:443", true, "shop.example.com."},
		{"underscore", "my_shop.example.com", true, "my_shop.example.com"},
		{"hyphens", "r3---sn-a.example.com", true, "r3---sn-a.example.com"},
		{"A-label", "XN--bcher-kva.example", true, "xn--bcher-kva.example"},
		{"other script", "Bücher.example:443", true, "xn--bcher-kva.example"},
		{"sharp s", "straße.example", true, "xn--strae-oqa.example"},
		{"ideographic full stop", "例子。example", true, "xn--fsqu00a.example"},
		{"other script with an underscore", "my_bücher.example:8443", true, "xn--my_bcher-95a.example:8443"},
		{"IPv4", "192.0.2.1:443", true, "192.0.2.1"},
		{"IPv6", "[2001:DB8::1]", true, "[2001:db8::1]"},
		{"IPv6 with the default port", "[2001:db8::1]:443", true, "[2001:db8::1]"},
		{"IPv6 with a port", "[::1]:8443", true, "[::1]:8443"},

		{"empty", "", true, ""},
		{"port alone", ":443", true, ""},
		{"user", "user:pw@shop.example.com", true, ""},
		{"path", "shop.example.com/a", true, ""},
		{"query", "shop.example.com?token=5", true, ""},
		{"port that is no number", "shop.example.com:https", true, ""},
		{"port that is too great", "shop.example.com:65536", true, ""},
		{"port with a sign", "shop.example.com:+443", true, ""},
		{"two ports", "shop.example.com:1:2", true, ""},
		{"IPv6 without brackets", "2001:db8::1", true, ""},
		{"IPv6 half in brackets", "[2001:db8::1", true, ""},
		{"IPv4 in brackets", "[192.0.2.1]", true, ""},
		{"zone", "[fe80::1%25eth0]", true, ""},
		{"text behind brackets", "[::1]a", true, ""},
		{"space", "shop example", true, ""},
		{"escape", "b%C3%BCcher.example", true, ""},
		{"not UTF-8", "b\xffcher.example", true, ""},
		{"full-width at sign", "user＠example.com", true, ""},
		{"too long", strings.Repeat("ü.", 200), true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Host(c.host, c.secure); got != c.want {
				t.Errorf("Host(%q, %v) = %q, want %q", c.host, c.secure, got, c.want)
			}
		})
	}
}

func TestHostAllocatesNothing(t *testing.T) {
	for _, host := range []string{"shop.example.com", "shop.example.com:443", "localhost:8443", "[::1]:8443"} {
		if n := testing.AllocsPerRun(100, func() { Host(host, true) }); n != 0 {
			t.Errorf("%s: %v allocations", host, n)
		}
	}
}
