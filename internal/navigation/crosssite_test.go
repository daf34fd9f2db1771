package navigation

import "testing"

func TestCrossSite(t *testing.T) {
	cross := headers{"Sec-Fetch-Site": "cross-site"}
	for _, tt := range []struct {
		name, method, host string
		h                  headers
		want               bool
	}{
		{"a link", "GET", "", navigate.with(cross), false},
		{"HEAD", "HEAD", "", navigate.with(cross), false},
		{"a form of a bank", "POST", "", navigate.with(cross), true},
		{"a frame", "GET", "", headers{"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Mode": "navigate"}.with(cross), true},
		{"fetch", "GET", "", fetchHTML.with(cross), true},
		{"a preflight", "OPTIONS", "", fetchHTML.with(cross), true},
		{"the same site's form", "POST", "", navigate.with(headers{"Sec-Fetch-Site": "same-site"}), false},
		{"the same origin's fetch", "POST", "", fetchHTML.with(headers{"Sec-Fetch-Site": "same-origin"}), false},
		{"typed", "GET", "", navigate.with(headers{"Sec-Fetch-Site": "none"}), false},
		{"Fetch Metadata decides before Origin", "POST", "", navigate.with(headers{"Sec-Fetch-Site": "same-site", "Origin": "https://bank.example"}), false},
		{"a worker's link", "GET", "", byWorker.with(headers{"Sec-Fetch-Mode": "same-origin", "Sec-Fetch-Site": "same-origin"}), false},

		{"a form of a bank, by Origin", "POST", "", plain.with(headers{"Origin": "https://bank.example"}), true},
		{"a link with an Origin", "GET", "", plain.with(headers{"Origin": "https://bank.example"}), false},
		{"fetch, by Origin", "GET", "", headers{"Accept": "*/*", "Origin": "https://bank.example"}, true},
		{"no Origin", "POST", "", plain, false},
		{"its own", "POST", "", plain.with(headers{"Origin": "https://shop.example.com"}), false},
		{"a subdomain", "POST", "", plain.with(headers{"Origin": "https://www.example.com"}), false},
		{"ports and case", "POST", "Shop.Example.COM:8443", plain.with(headers{"Origin": "https://WWW.example.com:444"}), false},
		{"a trailing dot", "POST", "shop.example.com.", plain.with(headers{"Origin": "https://shop.example.com"}), false},
		{"another site below a public suffix", "POST", "a.github.io", plain.with(headers{"Origin": "https://b.github.io"}), true},
		{"another site below two labels", "POST", "a.co.uk", plain.with(headers{"Origin": "https://b.co.uk"}), true},
		{"a public suffix itself", "POST", "co.uk", plain.with(headers{"Origin": "https://a.co.uk"}), true},
		{"hidden", "POST", "", plain.with(headers{"Origin": "null"}), true},
		{"hidden, safe", "GET", "", headers{"Accept": "*/*", "Origin": "null"}, false},
		{"localhost", "POST", "localhost:8080", plain.with(headers{"Origin": "http://localhost:3000"}), false},
		{"another host without a domain", "POST", "localhost", plain.with(headers{"Origin": "http://intranet"}), true},
		{"an address", "POST", "192.0.2.1:8080", plain.with(headers{"Origin": "http://192.0.2.1"}), false},
		{"another address", "POST", "192.0.2.1", plain.with(headers{"Origin": "http://198.51.2.1"}), true},
		{"an IPv6 address", "POST", "[2001:db8::1]:443", plain.with(headers{"Origin": "https://[2001:db8::1]"}), false},
		{"another IPv6 address", "POST", "[2001:db8::1]", plain.with(headers{"Origin": "https://[2001:db8::2]"}), true},
		{"another IPv6 address with dots", "POST", "[::ffff:192.0.2.1]", plain.with(headers{"Origin": "https://[::ffff:198.51.2.1]"}), true},
		{"no origin at all", "POST", "", plain.with(headers{"Origin": "shop.example.com"}), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			host := tt.host
			if host == "" {
				host = "shop.example.com"
			}
			if got := Of(request(tt.method, "https://shop.example.com/", tt.h), host, true, nil).CrossSite; got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
