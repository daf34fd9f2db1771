package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/intilery/caddy-intilery/cookie"
)

// Consent makes tracking depend on the visitor's consent. A refusal expires the
// cookies and erases undelivered events. Until consent is granted no cookie is
// set and no event is sent, and nothing is touched either: the consent manager's
// cookie may be one that the browser withholds from a visit by a link. At least
// one source of consent, Cookie or Header, is required, unless it is Implied.
type Consent struct {
	// Takes consent as granted until it is refused, by the browser's signal, the
	// cookie or the app (opt-out). Default: false, so that it must be granted
	// (opt-in).
	Implied bool `json:"implied,omitempty"`

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

// provision replaces placeholders and checks the options.
func (c *Consent) provision(repl *caddy.Replacer) error {
	if c == nil {
		return nil
	}
	if c.Cookie != nil {
		if err := replace(repl, "consent cookie", &c.Cookie.Name); err != nil {
			return err
		}
		if err := replaceInRegexp(repl, "consent cookie", &c.Cookie.Granted); err != nil {
			return err
		}
		if err := c.Cookie.check(); err != nil {
			return err
		}
	}
	return c.check()
}

// check checks all but the cookie.
func (c *Consent) check() error {
	for _, o := range []struct{ option, value string }{{"gpc", c.GPC}, {"dnt", c.DNT}} {
		if o.value != "" && o.value != signalHonour && o.value != signalIgnore {
			return fmt.Errorf("consent %s: %q is not accepted; use honour or ignore", o.option, o.value)
		}
	}
	if c.Cookie == nil && !c.Header && !c.Implied {
		return errors.New("consent: no source of consent; use cookie <name> <regexp>, header or both, or implied")
	}
	return nil
}

// check checks the name, and compiles the expression.
func (c *ConsentCookie) check() (err error) {
	if !validCookieName(c.Name) {
		return fmt.Errorf("consent cookie: name %q is not accepted; use the name of a cookie (RFC 6265 token)", c.Name)
	}
	if c.Granted == "" {
		return fmt.Errorf("consent cookie %s: the regular expression is empty and matches every value; use one that matches consent only", c.Name)
	}
	if c.granted, err = regexp.Compile(c.Granted); err != nil {
		return fmt.Errorf("consent cookie %s: %q is not accepted; use a regular expression in RE2 syntax: %w", c.Name, c.Granted, err)
	}
	return nil
}

// signal returns what the browser's privacy signals say, which beats a consent
// manager's cookie.
func (c *Consent) signal(h http.Header) cookie.Consent {
	if c == nil {
		return cookie.ConsentUnknown
	}
	if c.GPC != signalIgnore && first(h, "Sec-Gpc") == "1" || c.DNT == signalHonour && first(h, "Dnt") == "1" {
		return cookie.ConsentDenied
	}
	return cookie.ConsentUnknown
}

// of returns what the consent manager's cookie says.
func (c *Consent) of(cookies []string) cookie.Consent {
	consent := cookie.ConsentUnknown
	if c == nil || c.Cookie == nil {
		return consent
	}
	for value := range cookie.Values(cookies, c.Cookie.Name) {
		if !c.Cookie.grants(value) {
			return cookie.ConsentRefused
		}
		consent = cookie.ConsentGranted
	}
	return consent
}

// grants reports whether the value of a consent manager's cookie is a grant. The
// value is taken as the browser sends it: several managers write JSON with its
// quotes, which RFC 6265 does not allow.
func (c *ConsentCookie) grants(value string) bool {
	if len(value) > maxConsentCookie {
		return false
	}
	if len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	return c.granted.MatchString(decodeChoice(value))
}

// maxConsentCookie is the most that browsers store of a cookie.
const maxConsentCookie = 4096

// decodeChoice takes the percent-encoding off a consent manager's cookie, and
// leaves %26 as it is. OneTrust keeps the landing page's URL beside the choice,
// as one of several parameters: a link to /?x&groups=C0002:1 must not consent.
func decodeChoice(value string) string {
	if decoded, err := url.PathUnescape(strings.ReplaceAll(value, "%26", "%2526")); err == nil {
		return decoded
	}
	return value
}

// grantable is what the app's Intilery-Consent header amounts to on this site.
func (c *Consent) grantable(app cookie.Consent) cookie.Consent {
	if c != nil && !c.Header && !c.Implied && app == cookie.ConsentGranted {
		return cookie.ConsentUnknown
	}
	return app
}

// validCookieName checks the token rule of RFC 6265, 4.1.1.
func validCookieName(name string) bool {
	return (&http.Cookie{Name: name, Value: "x"}).Valid() == nil
}
