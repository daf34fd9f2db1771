package caddymodule

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/intilery/caddy-intilery/cookie"
)

// Consent makes tracking depend on the visitor's consent: without a grant no
// cookie is set and no event is sent. At least one source of consent, Cookie
// or Header, is required.
type Consent struct {
	// The cookie of a consent manager that says whether tracking is allowed.
	Cookie *ConsentCookie `json:"cookie,omitempty"`

	// Whether the app may grant consent by the response header
	// `Intilery-Consent: granted`. The grant is remembered in the keeper
	// cookie. A denial by that header always counts. Default: false.
	Header bool `json:"header,omitempty"`

	// What `Sec-GPC: 1` (Global Privacy Control) means: `honour` takes it as a
	// denial, `ignore` does not look at it. Default: `honour`.
	GPC string `json:"gpc,omitempty"`

	// What `DNT: 1` (Do Not Track) means, as for GPC. Default: `ignore`.
	DNT string `json:"dnt,omitempty"`
}

// ConsentCookie names the cookie that holds the visitor's choice.
type ConsentCookie struct {
	// The name of the cookie.
	Name string `json:"name"`

	// A regular expression (RE2) that the cookie's value matches when consent is
	// given. The value is percent-decoded, but for %26: an ampersand inside of a
	// parameter, where a link may have put it, begins no new one.
	Granted string `json:"granted"`

	granted *regexp.Regexp
}

const (
	signalHonour = "honour"
	signalIgnore = "ignore"
)

func (c *Consent) provision() error {
	if c.GPC == "" {
		c.GPC = signalHonour
	}
	if c.DNT == "" {
		c.DNT = signalIgnore
	}
	for option, value := range map[string]string{"gpc": c.GPC, "dnt": c.DNT} {
		if value != signalHonour && value != signalIgnore {
			return fmt.Errorf("consent %s: %q is not accepted; use honour or ignore", option, value)
		}
	}
	if c.Cookie == nil && !c.Header {
		return fmt.Errorf("consent: no source of consent; give cookie <name> <regexp>, header, or both")
	}
	if c.Cookie == nil {
		return nil
	}
	if !validCookieName(c.Cookie.Name) {
		return fmt.Errorf("consent cookie: name %q is not accepted; use the name of a cookie (RFC 6265 token)", c.Cookie.Name)
	}
	granted, err := regexp.Compile(c.Cookie.Granted)
	if err != nil {
		return fmt.Errorf("consent cookie %s: %q is not a regular expression in RE2 syntax: %w", c.Cookie.Name, c.Cookie.Granted, err)
	}
	if c.Cookie.Granted == "" {
		return fmt.Errorf("consent cookie %s: the regular expression is empty and would match every value; give one that matches consent only", c.Cookie.Name)
	}
	c.Cookie.granted = granted
	return nil
}

// of returns what the request says about consent. A browser's refusal beats a
// consent manager's cookie.
func (c *Consent) of(r *http.Request) cookie.Consent {
	if c == nil {
		return cookie.ConsentUnknown
	}
	if c.GPC == signalHonour && first(r.Header, "Sec-Gpc") == "1" || c.DNT == signalHonour && first(r.Header, "Dnt") == "1" {
		return cookie.ConsentDenied
	}
	if c.Cookie == nil {
		return cookie.ConsentUnknown
	}
	found := r.CookiesNamed(c.Cookie.Name)
	if len(found) == 0 {
		return cookie.ConsentUnknown
	}
	for _, k := range found {
		if !c.Cookie.granted.MatchString(decodeChoice(k.Value)) {
			return cookie.ConsentDenied
		}
	}
	return cookie.ConsentGranted
}

// decodeChoice takes the percent-encoding off a consent manager's cookie, and
// leaves %26 as it is. OneTrust keeps the landing page's URL beside the choice,
// as one of several parameters: a link to /?x&groups=C0002:1 must not consent.
func decodeChoice(value string) string {
	if decoded, err := url.PathUnescape(strings.ReplaceAll(value, "%26", "%2526")); err == nil {
		return decoded
	}
	return value
}

// word is what the app's Intilery-Consent header amounts to on this site.
func (c *Consent) word(said cookie.Consent) cookie.Consent {
	if c != nil && !c.Header && said == cookie.ConsentGranted {
		return cookie.ConsentUnknown
	}
	return said
}

// validCookieName checks the token rule of RFC 6265, 4.1.1.
func validCookieName(name string) bool {
	return (&http.Cookie{Name: name, Value: "x"}).Valid() == nil
}
