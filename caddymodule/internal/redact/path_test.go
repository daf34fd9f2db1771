package redact

import (
	"strings"
	"testing"
)

func TestPath(t *testing.T) {
	r := newRules(t, nil, nil)
	for _, c := range []struct{ name, path, want string }{
		{"empty", "", ""},
		{"nothing to remove", "/shop/shoes;size=42/a=b&c", "/shop/shoes;size=42/a=b&c"},
		{"names without a value", "/reset-password/token/barcode;code", "/reset-password/token/barcode;code"},
		{"session", "/shop;jsessionid=1A2B/shoes", "/shop/shoes"},
		{"session at the end", "/shop/shoes;a=1;JSESSIONID=1A2B;b=2", "/shop/shoes;a=1;b=2"},
		{"ampersand", "/login&token=5&a=1", "/login&a=1"},
		{"secret as a segment", "/reset/token=5/step;a=1", "/reset/redacted/step;a=1"},
		{"e-mail address", "/users/ada@example.com/orders", "/users/redacted/orders"},
		{"encoded e-mail address", "/users/ada%40example.com", "/users/redacted"},
		{"doubly encoded e-mail address", "/users/ada%2540example.com/", "/users/redacted/"},
		{"a part of a segment", "/unsubscribe-ada@example.com.html", "/redacted"},
		{"encoded query", "/a%3Ftoken%3D5/b", "/redacted/b"},
		{"without a slash", "ada@example.com/b", "redacted/b"},
		{"no e-mail address", "/@ada/react@18.2.0/maps/@51.5,-0.1,15z/a@b", "/@ada/react@18.2.0/maps/@51.5,-0.1,15z/a@b"},
		{"too long", "/" + strings.Repeat("a", maxBytes), "/redacted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := r.Path(c.path); got != c.want {
				t.Errorf("Path(%q) = %q, want %q", c.path, got, c.want)
			}
		})
	}
}

func TestRedactPath(t *testing.T) {
	for _, c := range []struct {
		name  string
		paths []string
		path  string
		want  string
	}{
		{"no match", []string{"^/reset/.+"}, "/shop", "/shop"},
		{"whole match", []string{"^/reset/.+"}, "/reset/abc/def", "redacted"},
		{"group", []string{"^/reset/([^/]+)"}, "/reset/abc/def", "/reset/redacted/def"},
		{"two groups", []string{"^/reset/([^/]+)/([^/]+)"}, "/reset/uid/abc/form", "/reset/redacted/redacted/form"},
		{"nested groups", []string{"/reset/((a)b(c))d"}, "/reset/abcd", "/reset/redactedd"},
		{"group that takes no part", []string{"/order(/[0-9]+)?"}, "/order", "/order"},
		{"group without a name", []string{"/(?:reset|activate)/[^/]+"}, "/activate/abc/x", "redacted/x"},
		{"several matches", []string{"[0-9]+"}, "/order/12/item/34", "/order/redacted/item/redacted"},
		{"adjacent matches", []string{"[0-9]"}, "/order/1234", "/order/redacted"},
		{"empty matches", []string{"x*"}, "/order/xx/1", "/order/redacted/1"},
		{"two expressions", []string{"/item/([^/]+)", "/order/([^/]+)"}, "/order/12/item/34", "/order/redacted/item/redacted"},
		{"overlapping expressions", []string{"bcd", "abc", "c"}, "/abcde", "/redactede"},
		{"encoded letters", []string{"/größe/([^/]+)"}, "/gr%C3%B6%C3%9Fe/%34%32/x", "/gr%C3%B6%C3%9Fe/redacted/x"},
		{"encoded slash", []string{"/reset/([^/]+)"}, "/reset/ab%2Fcd%2f/x", "/reset/redacted/x"},
		{"malformed escapes", []string{"/reset/([^/]+)"}, "/reset/%zz%4/x%", "/reset/redacted/x%"},
		{"not UTF-8", []string{"/reset/([^/]+)"}, "/reset/%ff\xfe/x", "/reset/redacted/x"},
		{"with built-in rules", []string{"/reset/([^/]+)"}, "/reset/abc;jsessionid=5/ada@example.com", "/reset/redacted/redacted"},
		{"behind a session", []string{"/reset/([^/]+)"}, "/reset;jsessionid=5/abc", "/reset/redacted"},
		{"completing an e-mail address", []string{"1$"}, "/a@1.1", "/redacted"},
		{"too long", []string{"/reset/(.+)$"}, "/reset/" + strings.Repeat("a", maxBytes), "/redacted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := newRules(t, nil, c.paths).Path(c.path); got != c.want {
				t.Errorf("Path(%q) = %q, want %q", c.path, got, c.want)
			}
		})
	}
}
