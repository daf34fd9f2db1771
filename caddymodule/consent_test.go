package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/intilery/caddy-intilery/cookie"
)

// recipes reads the lines `cookie <name> <regexp>` of docs/consent.md, as an
// owner copies them.
func recipes(t *testing.T) map[string]*Consent {
	t.Helper()
	text, err := os.ReadFile("../docs/consent.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*Consent{}
	for _, line := range regexp.MustCompile("(?m)^cookie .*$").FindAllString(string(text), -1) {
		d := caddyfile.NewTestDispenser("consent {\n" + line + "\n}")
		d.Next()
		c := new(Consent)
		if err := c.unmarshalBlock(d); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if err := c.provision(); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		found[c.Cookie.Name] = c
	}
	return found
}

// Values as the consent managers write them.
func TestConsentRecipes(t *testing.T) {
	const (
		onetrust = "isGpcEnabled=0&datestamp=Mon+Nov+23+2026+10%3A15%3A30+GMT%2B0000+(Coordinated+Universal+Time)&version=202409.1.0" +
			"&browserGpcFlag=0&isIABGlobal=false&hosts=&consentId=5f0f0bd5-3c7b-4b87-9b4f-3c1e6a2d9a10&interactionCount=1"
		chosen  = "&landingPath=NotLandingPage"
		cookieb = "{stamp:%27Zt2UuBq0%2Fm3s8w==%27%2Cnecessary:true%2Cpreferences:false%2C"
		tail    = "%2Cmethod:%27explicit%27%2Cver:1%2Cutc:1795428930000%2Cregion:%27gb%27}"
	)
	all := recipes(t)
	for _, tt := range []struct {
		name, value string
		want        bool
	}{
		{"OptanonConsent", onetrust + chosen + "&groups=C0001%3A1%2CC0002%3A1%2CC0003%3A1%2CC0004%3A1&geolocation=GB%3BENG&AwaitingReconsent=false", true},
		{"OptanonConsent", onetrust + chosen + "&groups=C0001%3A1%2CC0003%3A0%2CC0002%3A1", true},
		{"OptanonConsent", onetrust + chosen + "&groups=C0002%3A1", true},
		{"OptanonConsent", onetrust + chosen + "&groups=C0001%3A1%2CC0002%3A0%2CC0003%3A1%2CC0004%3A1&geolocation=GB%3BENG", false},
		{"OptanonConsent", onetrust + "&landingPath=https%3A%2F%2Fshop.example.com%2F&groups=C0001%3A1%2CC0002%3A0", false},
		{"OptanonConsent", onetrust + "&landingPath=https%3A%2F%2Fshop.example.com%2F%3Fx%26groups%3DC0002%3A1&groups=C0001%3A1%2CC0002%3A0", false},
		{"OptanonConsent", onetrust + chosen + "&groups=C0001%3A1%2CC00021%3A1", false},
		{"OptanonConsent", onetrust + "&AwaitingReconsent=false", false},
		{"OptanonConsent", "", false},

		{"CookieConsent", cookieb + "statistics:true%2Cmarketing:false" + tail, true},
		{"CookieConsent", cookieb + "marketing:false%2Cstatistics:true}", true},
		{"CookieConsent", cookieb + "statistics:false%2Cmarketing:true" + tail, false},
		{"CookieConsent", "-1", true},
		{"CookieConsent", "0", false},
		{"CookieConsent", "{stamp:%27-1%27%2Cnecessary:true%2Cstatistics:false%2Cmarketing:false}", false},

		{"cmplz_statistics", "allow", true},
		{"cmplz_statistics", "deny", false},
		{"cmplz_statistics", "disallow", false},

		{"klaro", "%7B%22intilery%22%3Atrue%2C%22youtube%22%3Afalse%7D", true},
		{"klaro", "%7B%22youtube%22%3Afalse%2C%22intilery%22%3Atrue%7D", true},
		{"klaro", "%7B%22intilery%22%3Afalse%2C%22youtube%22%3Atrue%7D", false},
		{"klaro", "%7B%22not-intilery%22%3Atrue%2C%22intilery%22%3Afalse%7D", false},
	} {
		c := all[tt.name]
		if c == nil {
			t.Fatalf("no recipe for %s", tt.name)
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Cookie", "theme=dark; "+tt.name+"="+tt.value+"; lang=en")
		want := cookie.ConsentDenied
		if tt.want {
			want = cookie.ConsentGranted
		}
		if got := c.of(r); got != want {
			t.Errorf("%s=%s: got %v, want %v", tt.name, tt.value, got, want)
		}
	}
	if len(all) != 4 {
		t.Errorf("%d recipes in docs/consent.md, 4 are tested", len(all))
	}
}

// FuzzConsentCookie: no value is a grant that does not hold the words of one,
// and none disturbs the request.
func FuzzConsentCookie(f *testing.F) {
	for _, seed := range []string{"yes", "%79es", "no", "%", "%zz", "%26yes", "\x00\xff", `"yes"`, "yes;x"} {
		f.Add(seed)
	}
	c := &Consent{Cookie: &ConsentCookie{Name: "choice", Granted: "(^|&)ok=yes(&|$)"}}
	if err := c.provision(); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["Cookie"] = []string{"choice=url=" + value + "&ok=no"}
		raw := regexp.MustCompile("[&;]").MatchString(value)
		if got := c.of(r); got == cookie.ConsentGranted && !raw {
			t.Errorf("%q is a grant", value)
		}
	})
}
