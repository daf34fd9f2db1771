package redact

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// What the fuzz targets look for is written anew, by other means than the rules.
var (
	emailLike  = regexp.MustCompile(`[A-Za-z0-9._+-]@[A-Za-z0-9-]+\.[A-Za-z]`)
	secretLike = regexp.MustCompile(`(?:^|[?&;#=/,])([^?&;#=/,]*(?:[Tt]oken|[Cc]ode|[Nn]once|[Kk]ey|[Pp]assword|[Ss]ecret|[Ee]mail))=`)
)

// checkClean reports secrets and e-mail addresses in a text and in what it is
// when it has been decoded once or twice.
func checkClean(t *testing.T, text string) {
	t.Helper()
	for level := range 3 {
		if found := emailLike.FindString(text); found != "" {
			t.Errorf("decoded %d times, an e-mail address remains: %q in %q", level, found, text)
		}
		for _, m := range secretLike.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(strings.ToLower(m[1]), "utm") {
				t.Errorf("decoded %d times, a secret remains: %q in %q", level, m[1], text)
			}
		}
		decoded, err := url.PathUnescape(text)
		if err != nil {
			return
		}
		text = decoded
	}
}

func checkStable(t *testing.T, redact func(string) string, once string) {
	t.Helper()
	if twice := redact(once); twice != once {
		t.Errorf("redacted once %q, twice %q", once, twice)
	}
}

var fieldQueries = []string{
	"", "a=1&token=%zz&&=", "a=1?token=5", "email=ada@example.com", "q=ada%2540example.com&x", "reset_code=1;oobCode=2",
	"activation_key=k&_wpnonce=n", "next=%2Freset%3Ftoken%3D5", "utm_source=a&utm_content=ada%40example.com", "a=1#code=2",
	"user%5Bpassword%5D[]=p", "%&4=1", "a@b.c=d@e.f",
}

func FuzzQuery(f *testing.F) {
	for _, query := range fieldQueries {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := newRules(t, []string{"order_ref"}, nil)
		once := r.Query(query)
		checkClean(t, once)
		checkStable(t, r.Query, once)
		if len(once) > len(query) {
			t.Errorf("%d bytes became %d", len(query), len(once))
		}
		if utf8.ValidString(query) && !utf8.ValidString(once) {
			t.Errorf("not UTF-8 any more: %q", once)
		}
	})
}

func FuzzURL(f *testing.F) {
	for _, query := range fieldQueries {
		f.Add("https://user:pw@shop.example.com/a?" + query)
	}
	for _, raw := range []string{
		"https://a@b:c@example.com", `https:///\user@example.com\a@b.c`, "//user@example.com/", "https://ada%40example.com:443/",
		"not a url\x00?token=1", "https://example.com/u/ada@example.com;jsessionid=5?a=1#b", "mailto:ada@example.com", "??", "/#",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		r := newRules(t, nil, nil)
		once := r.URL(raw)
		checkClean(t, once)
		checkStable(t, r.URL, once)
		if strings.Contains(once, "#") {
			t.Errorf("a fragment remains: %q", once)
		}
		if u, err := url.Parse(once); err == nil && u.User != nil {
			t.Errorf("user information remains: %q", once)
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, path := range []string{
		"", "/", "/users/ada@example.com/orders", "/users/ada%2540example.com", "/shop;jsessionid=5/a;b=1", "/login&token=5",
		"/reset/token=5", "/a%3Ftoken%3D5", "/secret/a%2Fb%zz/c", "/gr%C3%B6%C3%9Fe/42", "/%\xff;=", "ada@example.com",
	} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		for _, r := range []*Rules{newRules(t, nil, nil), newRules(t, nil, []string{"/secret/([^/]+)", "ö."})} {
			once := r.Path(path)
			checkClean(t, once)
			checkStable(t, r.Path, once)
			if len(r.paths) == 0 && strings.Count(once, "/") != strings.Count(path, "/") && len(path) <= maxBytes {
				t.Errorf("the segments of %q changed: %q", path, once)
			}
		}
	})
}
