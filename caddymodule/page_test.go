package caddymodule

import (
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/intilery/caddy-intilery/forwarder/event"
)

func TestRedact(t *testing.T) {
	s := newSecrets([]string{"Order-Ref"})
	for query, want := range map[string]string{
		"":                                      "",
		"a=1&b=2":                               "a=1&b=2",
		"a=1&token=t&b=2":                       "a=1&b=2",
		"TOKEN=t":                               "",
		"reset_password_token=t&x=1":            "x=1",
		"X-Amz-Signature=s&X-Amz-Date=d":        "X-Amz-Date=d",
		"user%5Bpassword%5D=p&user%5Bname%5D=n": "user%5Bname%5D=n",
		"c%6Fde=1&q=code":                       "q=code",
		"order-ref=7&order_ref=8&q=1":           "q=1",
		"tokens=5":                              "tokens=5",
		"a=%zz&password":                        "a=%zz",
		"&&a=1":                                 "&&a=1",
	} {
		if got := s.redact(query); got != want {
			t.Errorf("redact(%q) = %q, want %q", query, got, want)
		}
	}
}

func TestRedactURL(t *testing.T) {
	s := newSecrets(nil)
	for raw, want := range map[string]string{
		"":                                      "",
		"https://example.com/a?b=1":             "https://example.com/a?b=1",
		"https://example.com/a?code=1":          "https://example.com/a",
		"https://example.com/a?b=1&code=1#frag": "https://example.com/a?b=1",
		"https://user:secret@example.com/a@b?c=1": "https://example.com/a@b?c=1",
		"https://user@example.com":                "https://example.com",
		"android-app://com.google.android.gm/":    "android-app://com.google.android.gm/",
		"not a url\x00?token=1":                   "not a url\x00",
	} {
		if got := s.redactURL(raw); got != want {
			t.Errorf("redactURL(%q) = %q, want %q", raw, got, want)
		}
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("a=1&token=%zz&&=")
	s := newSecrets(nil)
	f.Fuzz(func(t *testing.T, query string) {
		once := s.redact(query)
		for pair := range strings.SplitSeq(once, "&") {
			if s.secret(pair) {
				t.Errorf("redact(%q) left %q", query, pair)
			}
		}
		if twice := s.redact(once); twice != once {
			t.Errorf("redact is not stable: %q, then %q", once, twice)
		}
		s.redactURL(query)
		for _, p := range campaign(query) {
			if !utf8.ValidString(p.Key) && utf8.ValidString(query) {
				t.Errorf("campaign key %q", p.Key)
			}
		}
	})
}

func TestCampaign(t *testing.T) {
	got := campaign("a=1&utm_source=news+letter&utm_campaign=Black%20Friday&utm_id=7&utm_source=twice&utm_=x&utm_term=")
	want := []event.Param{{Key: "source", Value: "news letter"}, {Key: "name", Value: "Black Friday"}, {Key: "id", Value: "7"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := campaign(strings.Repeat("utm_x=1&", 5)); len(got) != 1 {
		t.Errorf("twins: %v", got)
	}
}

func TestAnonymizeIP(t *testing.T) {
	for ip, want := range map[string]string{
		"203.0.113.77":               "203.0.113.0",
		"::ffff:203.0.113.77":        "203.0.113.0",
		"2001:db8:1234:5678:9abc::1": "2001:db8:1234::",
		"fe80::1%eth0":               "fe80::",
		"not an ip":                  "",
		"":                           "",
	} {
		if got := anonymizeIP(ip); got != want {
			t.Errorf("anonymizeIP(%q) = %q, want %q", ip, got, want)
		}
	}
}

func TestLocale(t *testing.T) {
	for accept, want := range map[string]string{
		"en-GB,en;q=0.9": "en-GB", "de;q=0.8": "de", "*": "", "": "", strings.Repeat("x", 99): "",
	} {
		if got := locale(accept); got != want {
			t.Errorf("locale(%q) = %q, want %q", accept, got, want)
		}
	}
}

func TestTruncate(t *testing.T) {
	long := strings.Repeat("é", maxText)
	if got := truncate("x" + long); len(got) > maxText || !utf8.ValidString(got) {
		t.Errorf("%d bytes, valid %v", len(got), utf8.ValidString(got))
	}
	if got := truncate("short"); got != "short" {
		t.Errorf("got %q", got)
	}
}
