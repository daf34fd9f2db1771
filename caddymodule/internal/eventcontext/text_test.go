package eventcontext

import (
	"strings"
	"testing"
)

func TestTruncate(t *testing.T) {
	long := strings.Repeat("é", MaxText)
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", ""},
		{"short", "short", "short"},
		{"longest", long[:MaxText], long[:MaxText]},
		{"between characters", long, long[:MaxText]},
		{"inside of a character", "x" + long, "x" + long[:MaxText-2]},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Truncate(c.text); got != c.want {
				t.Errorf("%d bytes of %d, want %d", len(got), len(c.text), len(c.want))
			}
		})
	}
}

func TestLocale(t *testing.T) {
	for accept, want := range map[string]string{
		"en-GB,en;q=0.9": "en-GB", "de;q=0.8": "de", " fr , en": "fr", "*": "", "*;q=0.5": "", "": "", strings.Repeat("x", 99): "",
	} {
		if got := Locale(accept); got != want {
			t.Errorf("Locale(%q) = %q, want %q", accept, got, want)
		}
	}
}

func TestAnonymizeIP(t *testing.T) {
	for ip, want := range map[string]string{
		"203.0.113.77":               "203.0.113.0",
		"::ffff:203.0.113.77":        "203.0.113.0",
		"2001:db8:1234:5678:9abc::1": "2001:db8:1234::",
		"fe80::1%eth0":               "fe80::",
		"203.0.113.77:443":           "",
		"not an ip":                  "",
		"":                           "",
	} {
		if got := AnonymizeIP(ip); got != want {
			t.Errorf("AnonymizeIP(%q) = %q, want %q", ip, got, want)
		}
	}
}
