package redact

import (
	"strings"
	"testing"
)

func TestQuery(t *testing.T) {
	r := newRules(t, nil, nil)
	for _, c := range []struct{ name, query, want string }{
		{"empty", "", ""},
		{"nothing to remove", "a=1&b=2", "a=1&b=2"},
		{"odd spelling", "&&a=1&=2&b&c=%zz&d=%&e=%4", "&&a=1&=2&b&c=%zz&d=%&e=%4"},
		{"in the middle", "a=1&token=t&b=2", "a=1&b=2"},
		{"first", "token=t&b=2", "b=2"},
		{"last", "a=1&token=t", "a=1"},
		{"only", "token=t", ""},
		{"without a value", "a=1&token=", "a=1"},
		{"password reset by Firebase", "mode=resetPassword&oobCode=ABC&apiKey=k&lang=en", "mode=resetPassword&lang=en"},
		{"password reset by code", "reset_code=123456&step=2", "step=2"},
		{"activation by WordPress", "page=gf_activation&activation_key=k", "page=gf_activation"},
		{"nonce of WordPress", "action=trash&_wpnonce=1a2b", "action=trash"},
		{"second question mark", "a=1?token=5", "a=1"},
		{"second question mark in the middle", "a=1?token=5&b=2", "a=1&b=2"},
		{"second question mark before what stays", "a=1?b=2&token=5", "a=1?b=2"},
		{"semicolons", "a=1;token=5;b=2", "a=1;b=2"},
		{"escaped by HTML", "a=1&amp;token=5&amp;b=2", "a=1&amp&amp;b=2"},
		{"encoded name", "c%6Fde=1&q=code", "q=code"},
		{"encoded brackets", "user%5Bpassword%5D=p&user%5Bname%5D=n", "user%5Bname%5D=n"},
		{"encoded URL in a value", "next=%2Freset%3Ftoken%3D5&a=1", "a=1"},
		{"encoded URL without a secret", "next=%2Fcart%3Fstep%3D5&a=1", "next=%2Fcart%3Fstep%3D5&a=1"},
		{"encoded URL with a fragment", "next=https%3A%2F%2Fa.example%2F%23access_token%3D5&a=1", "a=1"},
		{"short name in a fragment of a value", "next=https%3A%2F%2Fa.example%2F%23sid%3D5&a=1", "a=1"},
		{"short name in a path of a value", "next=%2Fa%2Fsid%3D5&a=1", "a=1"},
		{"short name behind a comma", "next=a%2Csid%3D5&a=1", "a=1"},
		{"URL in a value", "next=https://a.example/?sid=5&a=1", "next=https://a.example/&a=1"},
		{"query in a value", "data=token=5&a=1", "a=1"},
		{"doubly encoded URL", "u=https%3A%2F%2Fa%2F%3Fnext%3D%252Freset%253Fsid%253D5", ""},
		{"thrice encoded", "u=a%25253Fsid%25253D5", ""},
		{"e-mail parameter", "email=ada&b=2", "b=2"},
		{"e-mail address", "q=ada@example.com&b=2", "b=2"},
		{"encoded e-mail address", "q=ada%40example.com&b=2", "b=2"},
		{"doubly encoded e-mail address", "q=ada%2540example.com&b=2", "b=2"},
		{"encoded dot", "q=ada%40example%2Ecom&b=2", "b=2"},
		{"with a tag", "q=ada%2Btag%40mail.example.co.uk&b=2", "b=2"},
		{"beside malformed escapes", "q=%zz+ada%40example.com&b=2", "b=2"},
		{"in a sentence", "q=write+to+ada@example.com+now&b=2", "b=2"},
		{"as a name", "ada@example.com&b=2", "b=2"},
		{"international", "q=%E7%94%A8%E6%88%B7%40%E4%BE%8B%E5%AD%90.%E5%85%AC%E5%8F%B8&b=2", "b=2"},
		{"quoted local part", "q=%22a%20b%22@example.com&b=2", "b=2"},
		{"no e-mail addresses", "a=@ada.example&b=ada@&c=a@b&d=react@18.2.0&e=@51.5,-0.1&f=a%40b&g=a@.com", "a=@ada.example&b=ada@&c=a@b&d=react@18.2.0&e=@51.5,-0.1&f=a%40b&g=a@.com"},
		{"campaign", "utm_source=news&utm_medium=email&utm_content=code&utm_campaign=a%20b", "utm_source=news&utm_medium=email&utm_content=code&utm_campaign=a%20b"},
		{"e-mail address in a campaign", "utm_source=ada%40example.com&utm_medium=email", "utm_medium=email"},
		{"fragment", "a=1#access_token=5", "a=1"},
		{"fragment with an e-mail address", "a=1#b&c=ada@example.com", "a=1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := r.Query(c.query); got != c.want {
				t.Errorf("Query(%q) = %q, want %q", c.query, got, c.want)
			}
		})
	}
}

func TestURL(t *testing.T) {
	r := newRules(t, nil, []string{"/reset/([^/]+)"})
	for _, c := range []struct{ name, raw, want string }{
		{"empty", "", ""},
		{"nothing to remove", "https://example.com/a?b=1", "https://example.com/a?b=1"},
		{"no path", "https://example.com", "https://example.com"},
		{"app", "android-app://com.google.android.gm/", "android-app://com.google.android.gm/"},
		{"secret", "https://example.com/a?code=1", "https://example.com/a"},
		{"secret and fragment", "https://example.com/a?b=1&code=1#frag", "https://example.com/a?b=1"},
		{"fragment", "https://example.com/a#access_token=5", "https://example.com/a"},
		{"fragment with a question mark", "https://example.com/a#b?c=1", "https://example.com/a"},
		{"user and password", "https://user:secret@example.com/a?c=1", "https://example.com/a?c=1"},
		{"user and no path", "https://user@example.com", "https://example.com"},
		{"user with an at sign", "https://a@b:c@example.com/?d=1", "https://example.com/?d=1"},
		{"user behind more slashes", `https:///\user:pw@example.com/`, `https:///\example.com/`},
		{"user before a backslash", `https://user:pw@example.com\a`, `https://example.com\a`},
		{"user in a relative URL", "//user:pw@example.com/a", ""},
		{"e-mail address as a user", "https://ada@example.com/", "https://example.com/"},
		{"encoded e-mail address as a host", "https://ada%40example.com/a", "https://redacted/a"},
		{"user without a host", "https://user@/a@b", "https://redacted/a@b"},
		{"at sign in a path", "https://example.com/a@b?c=1", "https://example.com/a@b?c=1"},
		{"e-mail address in a path", "https://example.com/u/ada@example.com?c=1", "https://example.com/u/redacted?c=1"},
		{"path by expression", "https://example.com/reset/abc", "https://example.com/reset/redacted"},
		{"path alone", "/a?token=1&b=2", ""},
		{"path with a URL", "https://example.com/a/https://user@example.com/", "https://example.com/a/https://redacted/"},
		{"question mark alone", "https://example.com/?", "https://example.com/"},
		{"two question marks", "https://example.com/??", "https://example.com/??"},
		{"no URL", "not a url\x00?token=1", ""},
		{"no authority", "https:user:pw@example.com/", ""},
		{"backslashes", `https:\\user:pw@example.com/`, ""},
		{"mail", "mailto:ada@example.com", ""},
		{"scheme with an at sign", "ada@example.com://x/", ""},
		{"no scheme", "://x/", ""},
		{"too long", "https://example.com/" + strings.Repeat("a", maxBytes), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := r.URL(c.raw); got != c.want {
				t.Errorf("URL(%q) = %q, want %q", c.raw, got, c.want)
			}
		})
	}
}

func TestLongQuery(t *testing.T) {
	r := newRules(t, nil, nil)
	longest := strings.Repeat("a", maxBytes)
	if got := r.Query(longest); got != longest {
		t.Errorf("a query of the greatest length became %d bytes", len(got))
	}
	if got := r.Query(longest + "a"); got != "" {
		t.Errorf("a longer one became %d bytes", len(got))
	}
}

func TestNothingToRemoveAllocatesNothing(t *testing.T) {
	r := newRules(t, []string{"order_ref"}, nil) // regexp uses a pool, which the race detector empties at random
	for _, c := range []struct {
		name   string
		redact func(string) string
		text   string
	}{
		{"query", r.Query, "a=1&utm_source=news&utm_campaign=Black%20Friday&q=caf%C3%A9+au+lait"},
		{"long encoded query", r.Query, "q=%20" + strings.Repeat("x", 400)},
		{"path", r.Path, "/shop/shoes/running-shoes-42"},
		{"URL", r.URL, "https://shop.example.com/shop?a=1&utm_source=news#top"},
	} {
		t.Run(c.name, func(t *testing.T) {
			want, _, _ := strings.Cut(c.text, "#")
			if got := c.redact(c.text); got != want {
				t.Fatalf("got %q", got)
			}
			if n := testing.AllocsPerRun(100, func() { c.redact(c.text) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

func BenchmarkQuery(b *testing.B) {
	r := newRules(b, []string{"order_ref"}, nil)
	for _, c := range []struct{ name, query string }{
		{"plain", "a=1&page=2&utm_source=news&utm_medium=mail&utm_campaign=spring"},
		{"encoded", "a=1&page=2&utm_source=news&utm_medium=mail&utm_campaign=Black%20Friday"},
		{"secret", "a=1&page=2&utm_source=news&utm_medium=mail&token=abc"},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.Query(c.query)
			}
		})
	}
}
