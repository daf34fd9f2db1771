package caddymodule

import (
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
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
		if err := c.unmarshalCaddyfile(d); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if err := c.provision(caddy.NewReplacer()); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		found[c.Cookie.Name] = c
	}
	return found
}

// encoded is a value as encodeURIComponent writes it.
func encoded(value string) string {
	return strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
}

// Values as the consent managers write them. Those that write JSON do so with its
// quotes or percent-encoded, depending on their version.
func TestConsentRecipes(t *testing.T) {
	const (
		onetrust = "isGpcEnabled=0&datestamp=Mon+Nov+23+2026+10%3A15%3A30+GMT%2B0000+(Coordinated+Universal+Time)&version=202409.1.0" +
			"&browserGpcFlag=0&isIABGlobal=false&hosts=&consentId=5f0f0bd5-3c7b-4b87-9b4f-3c1e6a2d9a10&interactionCount=1"
		chosen  = "&landingPath=NotLandingPage"
		cookieb = "{stamp:%27Zt2UuBq0%2Fm3s8w==%27%2Cnecessary:true%2Cpreferences:false%2C"
		tail    = "%2Cmethod:%27explicit%27%2Cver:1%2Cutc:1795428930000%2Cregion:%27gb%27}"

		civic     = `{"necessaryCookies":["PHPSESSID","wordpress_*"],"optionalCookies":`
		civicTail = `,"statement":{"shown":true,"updated":"01/11/2026"},"consentDate":1795428930000,"consentExpiry":90,` +
			`"interactedWith":true,"user":"0B3C6C1E-6F0B-4B2E-9C61-1E0F5D2A7C11"}`

		script = `{"googleconsentmap":{"ad_storage":"targeting","analytics_storage":"performance","functionality_storage":"functionality"},`
		key    = `,"key":"7d0c5f0e-1d6b-4c55-8f8e-0a4a5a3c9f21"}`

		cookieyes = "consentid:VGhpcyBpcyBhbiBleGFtcGxl,"

		ccData = `,"revision":0,"data":null,"rfc_cookie":false,"consent_date":"2026-11-23T10:15:30.000Z",` +
			`"consent_uuid":"1f0c7a52-0b1d-4d59-9a07-5b9d8f6c2e33","last_consent_update":"2026-11-23T10:15:30.000Z"}`
		ccData3 = `,"revision":0,"data":null,"consentTimestamp":"2026-11-23T10:15:30.000Z","consentId":"1f0c7a52-0b1d-4d59-9a07-5b9d8f6c2e33",` +
			`"services":{"necessary":[],"analytics":["intilery"]},"lastConsentTimestamp":"2026-11-23T10:15:30.000Z","expirationTime":1811153730000}`
	)
	all := recipes(t)
	type value struct {
		cookie, value string
		want          bool
	}
	values := []value{
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

		{"cookieyes-consent", cookieyes + "consent:yes,action:yes,necessary:yes,functional:yes,analytics:yes,performance:yes,advertisement:yes", true},
		{"cookieyes-consent", encoded(cookieyes + "consent:no,action:yes,necessary:yes,functional:no,analytics:yes,advertisement:no,other:no"), true},
		{"cookieyes-consent", cookieyes + "consent:no,action:yes,necessary:yes,analytics:no,advertisement:no,other:no", false},
		{"cookieyes-consent", encoded(cookieyes + "consent:yes,action:yes,necessary:yes,analytics:no,advertisement:yes"), false},
		{"cookieyes-consent", cookieyes + "consent:yes,action:yes,necessary:yes,webanalytics:yes,analytics:no", false},
		{"cookieyes-consent", cookieyes + "consent:,action:,necessary:,functional:,analytics:,performance:,advertisement:,other:", false},
	}
	for _, json := range []value{
		{"CookieControl", civic + `{"analytics":"accepted"}` + civicTail, true},
		{"CookieControl", civic + `{"marketing":"revoked","analytics":"accepted","social":"revoked"}` + civicTail, true},
		{"CookieControl", civic + `{"analytics":"revoked"}` + civicTail, false},
		{"CookieControl", civic + `{"marketing":"accepted","analytics":"revoked"}` + civicTail, false},
		{"CookieControl", civic + `{"marketing":"accepted"}` + civicTail, false},
		{"CookieControl", civic + `{}` + civicTail, false},
		{"CookieControl", `{"necessaryCookies":[],"optionalCookies":{},"statement":{},"interactedWith":false}`, false},
		{"CookieControl", `{"necessaryCookies":[],"optionalCookies":{"analytics":"revoked"},"statement":{"analytics":"accepted"}}`, false},

		{"CookieScriptConsent", `{"action":"accept","categories":"[\"performance\"]"}`, true},
		{"CookieScriptConsent", script + `"bannershown":1,"action":"accept","consenttime":1795428930,"categories":"[\"targeting\",\"performance\",\"functionality\"]"` + key, true},
		{"CookieScriptConsent", script + `"firstpage":"https://shop.example.com/","bannershown":1,"action":"accept","categories":"[\"functionality\",\"performance\"]"` + key, true},
		{"CookieScriptConsent", script + `"bannershown":1,"action":"accept","consenttime":1795428930,"categories":"[\"targeting\"]"` + key, false},
		{"CookieScriptConsent", `{"bannershown":1,"action":"reject","consenttime":1795428930,"categories":"[]"` + key, false},
		{"CookieScriptConsent", script + `"bannershown":1}`, false},
		{"CookieScriptConsent", script + `"firstpage":"https://shop.example.com/?%22categories%22:%22[%5C%22performance%5C%22]%22}","action":"reject","categories":"[]"` + key, false},
		{"CookieScriptConsent", script + `"firstpage":"https://shop.example.com/?%22categories%22:%22[%5C%22performance%5C%22","action":"reject","categories":"[]"` + key, false},

		{"klaro", `{"intilery":true,"youtube":false}`, true},
		{"klaro", `{"youtube":false,"intilery":true}`, true},
		{"klaro", `{"intilery":false,"youtube":true}`, false},
		{"klaro", `{"youtube":true}`, false},
		{"klaro", `{"not-intilery":true,"intilery":false}`, false},

		{"cc_cookie", `{"categories":["necessary","analytics"],"level":["necessary","analytics"]` + ccData, true},
		{"cc_cookie", `{"categories":["analytics","necessary"]` + ccData3, true},
		{"cc_cookie", `{"level":["necessary","analytics","targeting"],"revision":0,"data":null,"rfc_cookie":false}`, true},
		{"cc_cookie", `{"level": ["necessary", "analytics"]}`, true},
		{"cc_cookie", `{"categories":["necessary"],"level":["necessary"]` + ccData, false},
		{"cc_cookie", `{"categories":["necessary"]` + ccData3, false},
		{"cc_cookie", `{"categories":["necessary"],"revision":0,"data":{"shown":["analytics"]}}`, false},
		{"cc_cookie", `{"level":["necessary","web-analytics"],"revision":0}`, false},
		{"cc_cookie", `{"level":[],"revision":0}`, false},
	} {
		values = append(values, json, value{json.cookie, encoded(json.value), json.want})
	}
	granted, refused := map[string]bool{}, map[string]bool{}
	for _, tt := range values {
		c := all[tt.cookie]
		if c == nil {
			t.Fatalf("no recipe for %s", tt.cookie)
		}
		want := cookie.ConsentRefused
		if tt.want {
			want = cookie.ConsentGranted
			granted[tt.cookie] = true
		} else {
			refused[tt.cookie] = true
		}
		if got := c.of([]string{"theme=dark; " + tt.cookie + "=" + tt.value + "; lang=en"}); got != want {
			t.Errorf("%s=%s: got %v, want %v", tt.cookie, tt.value, got, want)
		}
	}
	for name := range all {
		if !granted[name] || !refused[name] {
			t.Errorf("%s: a recipe of docs/consent.md without a grant and a refusal among the tests", name)
		}
	}
	if len(all) != 8 {
		t.Errorf("%d recipes in docs/consent.md, 8 are tested", len(all))
	}
}

// FuzzConsentCookie: no value is a grant that does not hold the words of one,
// and none disturbs the request.
func FuzzConsentCookie(f *testing.F) {
	for _, seed := range []string{"yes", "%79es", "no", "%", "%zz", "%26yes", "\x00\xff", `"yes"`, "yes;x"} {
		f.Add(seed)
	}
	c := &Consent{Cookie: &ConsentCookie{Name: "choice", Granted: "(^|&)ok=yes(&|$)"}}
	if err := c.provision(caddy.NewReplacer()); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value string) {
		raw := regexp.MustCompile("[&;]").MatchString(value)
		if got := c.of([]string{"choice=url=" + value + "&ok=no"}); got == cookie.ConsentGranted && !raw {
			t.Errorf("%q is a grant", value)
		}
	})
}
