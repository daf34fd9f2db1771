package cookie

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"time"
)

const (
	day = 24 * time.Hour

	defaultName         = "ajs_anonymous_id"
	defaultKeeperName   = "intilery_keeper"
	defaultUserName     = "ajs_user_id"
	defaultMaxAge       = 365 * day
	defaultRenewAfter   = day
	defaultRestoreAfter = 168 * time.Hour

	// longestMaxAge is the cap that Chrome and Firefox put on every cookie.
	longestMaxAge = 400 * day

	maxNameLen = 64
)

// SameSite is the SameSite attribute of both cookies.
type SameSite string

const (
	// SameSiteLax sends the cookies on visits that come by a link, and not in
	// frames of other sites. It is the default.
	SameSiteLax SameSite = "lax"
	// SameSiteNone sends the cookies in frames of other sites too. It needs
	// HTTPS; on plain HTTP Lax is written instead, because browsers refuse
	// None without Secure.
	SameSiteNone SameSite = "none"
)

// Config says how a site's identity cookies look and live. The zero value is
// the default configuration.
type Config struct {
	// Name of the readable cookie, shared with the tag. Default:
	// "ajs_anonymous_id".
	Name string

	// KeeperName is the name of the keeper. Default: "intilery_keeper".
	KeeperName string

	// UserName is the name of the cookie in which the tag keeps its userId. It
	// names nobody: see "The tag's userId" in the package's
	// documentation. Default: "ajs_user_id".
	UserName string

	// KeeperOnly turns the readable cookie off, for sites without any tag: it
	// is neither read nor written, and UserName is not read either. Default:
	// false.
	KeeperOnly bool

	// Dialect in which the readable cookie is written: "quoted" or "raw". Both
	// are read. Default: "quoted", which both generations of the tag
	// understand.
	Dialect Dialect

	// Pattern is a regular expression (RE2) for IDs to accept beside UUIDs. It
	// must match the whole ID, which may be up to 64 letters, digits and
	// characters of "-._~". Default: none, so that only UUIDs are accepted.
	Pattern string

	// Domain of both cookies. Default: the registrable domain of the request's
	// host by the Public Suffix List, as the tag does it, or host-only for
	// addresses, single labels and hosts that are public suffixes. A domain
	// given here is used for the hosts at or below it; other hosts keep the
	// default.
	Domain string

	// MaxAge is the life of both cookies, counted from their last renewal: 1 h
	// to 9600 h (400 d), in whole seconds. Default: 8760 h (365 d).
	MaxAge time.Duration

	// RenewAfter is the age at which a document renews both cookies: 1 s to
	// half of RestoreAfter. With 1 s, practically every document does. Default:
	// 24 h, or a quarter of RestoreAfter if that is less.
	RenewAfter time.Duration

	// RestoreAfter tells a cookie that a browser's cap removed from one that
	// was removed on purpose. A readable cookie that is missing is restored
	// from the keeper when both were last written at least this long ago, and
	// taken as a reset otherwise: 1 h to MaxAge. Default: 168 h, WebKit's cap
	// for cookies that a script wrote, or MaxAge if that is less. 24 h suits
	// sites that live on decorated ad links.
	RestoreAfter time.Duration

	// SameSite attribute of both cookies: "lax" or "none". Default: "lax".
	SameSite SameSite
}

// WithDefaults returns c with the default in place of every zero field but
// Pattern and Domain, whose zero value is their default.
func (c Config) WithDefaults() Config {
	c.Name = cmp.Or(c.Name, defaultName)
	c.KeeperName = cmp.Or(c.KeeperName, defaultKeeperName)
	c.UserName = cmp.Or(c.UserName, defaultUserName)
	c.Dialect = cmp.Or(c.Dialect, DialectQuoted)
	c.MaxAge = cmp.Or(c.MaxAge, defaultMaxAge)
	c.RestoreAfter = cmp.Or(c.RestoreAfter, min(defaultRestoreAfter, c.MaxAge))
	c.RenewAfter = cmp.Or(c.RenewAfter, min(defaultRenewAfter, c.RestoreAfter/4))
	c.SameSite = cmp.Or(c.SameSite, SameSiteLax)
	return c
}

// Validate checks c as it is after WithDefaults. Its error is an *OptionError.
func (c Config) Validate() error {
	c = c.WithDefaults()
	if err := validName("name", c.Name); err != nil {
		return err
	}
	if err := validName("keeper_name", c.KeeperName); err != nil {
		return err
	}
	if c.Name == c.KeeperName+deferralSuffix || c.UserName == c.KeeperName+deferralSuffix {
		return refused("keeper_name", c.KeeperName, "a name for which "+c.KeeperName+deferralSuffix+" is not one of the other cookies")
	}
	if c.KeeperName == c.Name {
		return refused("keeper_name", c.KeeperName, "a name other than that of the readable cookie")
	}
	if err := validName("user_name", c.UserName); err != nil {
		return err
	}
	if c.UserName == c.Name || c.UserName == c.KeeperName {
		return refused("user_name", c.UserName, "a name other than those of the readable cookie and the keeper")
	}
	if c.Dialect != DialectQuoted && c.Dialect != DialectRaw {
		return refused("dialect", string(c.Dialect), `"quoted" or "raw"`)
	}
	if _, err := compilePattern(c.Pattern); err != nil {
		return &OptionError{"pattern", c.Pattern, "a regular expression in RE2 syntax", err}
	}
	if c.Domain != "" {
		if _, ok := configuredDomain(c.Domain); !ok {
			return refused("domain", c.Domain, "a domain name below a public suffix, such as example.com")
		}
	}
	if c.MaxAge < time.Hour || c.MaxAge > longestMaxAge || c.MaxAge%time.Second != 0 {
		return refused("max_age", c.MaxAge.String(), "whole seconds from 1h to 9600h (400 days)")
	}
	if c.RestoreAfter < time.Hour || c.RestoreAfter > c.MaxAge {
		return refused("restore_after", c.RestoreAfter.String(), "1h to max_age ("+c.MaxAge.String()+")")
	}
	if c.RenewAfter < time.Second || c.RenewAfter > c.RestoreAfter/2 {
		return refused("renew_after", c.RenewAfter.String(),
			"1s to half of restore_after ("+(c.RestoreAfter/2).String()+")")
	}
	if c.SameSite != SameSiteLax && c.SameSite != SameSiteNone {
		return refused("same_site", string(c.SameSite),
			`"lax" or "none" (with strict, a visit by a link looks like a new visitor)`)
	}
	return nil
}

// OptionError says which option of a Config is not accepted.
type OptionError struct {
	Option   string // as the Caddyfile spells it
	Value    string
	Accepted string // what to use
	Err      error  // more on the value, or nil
}

func (e *OptionError) Error() string {
	text := fmt.Sprintf("cookie %s: %q is not accepted; use %s", e.Option, e.Value, e.Accepted)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *OptionError) Unwrap() error { return e.Err }

func refused(option, value, accepted string) error {
	return &OptionError{Option: option, Value: value, Accepted: accepted}
}

// validName checks a cookie name. Browsers give names with a prefix of their
// own rules (__Host- forbids Domain), which would break the domain scope.
func validName(option, name string) error {
	if len(name) > maxNameLen || !only(name, isTokenByte) {
		return refused(option, name, "1 to 64 letters, digits and characters of !#$%&'*+-.^_`|~")
	}
	lower := strings.ToLower(name)
	for _, prefix := range []string{"__host-", "__secure-", "__http-", "__host-http-"} {
		if strings.HasPrefix(lower, prefix) {
			return refused(option, name, "a name without a prefix that has a meaning for browsers")
		}
	}
	return nil
}

func compilePattern(pattern string) (*regexp.Regexp, error) {
	if pattern == "" {
		return nil, nil
	}
	// Compiled alone first: wrapping could balance a pattern that is broken.
	if _, err := regexp.Compile(pattern); err != nil {
		return nil, err
	}
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}

// only reports that s is not empty and that all its bytes pass.
func only(s string, pass func(byte) bool) bool {
	for i := range len(s) {
		if !pass(s[i]) {
			return false
		}
	}
	return s != ""
}

// isTokenByte reports a byte that RFC 9110 allows in a token, which RFC 6265
// uses for cookie names.
func isTokenByte(c byte) bool {
	return isAlnum(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
