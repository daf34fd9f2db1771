package caddymodule

import (
	"errors"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/intilery/caddy-intilery/cookie"
)

// Cookie holds the options of the identity cookies: the readable one, which
// Intilery's JavaScript tag shares, and the keeper, which script cannot touch.
type Cookie struct {
	// The name of the readable cookie. Default: `ajs_anonymous_id`, the tag's.
	Name string `json:"name,omitempty"`

	// The name of the keeper cookie. Default: `intilery_keeper`.
	KeeperName string `json:"keeper_name,omitempty"`

	// The name of the cookie in which the tag keeps its userId. It is watched
	// for a change of users only: it never names one. Default: `ajs_user_id`.
	UserName string `json:"user_name,omitempty"`

	// Turns the readable cookie off, for sites without any tag. Default: false.
	KeeperOnly bool `json:"keeper_only,omitempty"`

	// How the readable cookie is written: `quoted`, which both generations of
	// the tag read, or `raw`, for sites whose own code reads it. Both are
	// read. Default: `quoted`.
	Dialect string `json:"dialect,omitempty"`

	// A regular expression (RE2) for anonymousIds to accept beside UUIDs.
	// Default: none.
	Pattern string `json:"pattern,omitempty"`

	// The domain of both cookies. Default: the host's registrable domain by
	// the Public Suffix List, as the tag does it; the host alone where there
	// is none.
	Domain string `json:"domain,omitempty"`

	// How long the cookies live after each renewal, from 1h to 400d.
	// Default: 365d.
	MaxAge caddy.Duration `json:"max_age,omitempty"`

	// The age at which a document renews the cookies, from 1s to half of
	// restore_after. Default: 24h, or a quarter of restore_after if that is less.
	RenewAfter caddy.Duration `json:"renew_after,omitempty"`

	// How long a visitor must have been away for a missing readable cookie to
	// be restored from the keeper; sooner, it is taken as a reset. From 1h
	// to max_age. Default: 168h, after which WebKit removes what a script wrote,
	// or max_age if that is less.
	RestoreAfter caddy.Duration `json:"restore_after,omitempty"`

	// The SameSite attribute: `lax` or `none`. Default: `lax`.
	SameSite string `json:"same_site,omitempty"`
}

// config translates the options.
func (c *Cookie) config() cookie.Config {
	if c == nil {
		return cookie.Config{}
	}
	return cookie.Config{
		Name:         c.Name,
		KeeperName:   c.KeeperName,
		UserName:     c.UserName,
		KeeperOnly:   c.KeeperOnly,
		Dialect:      cookie.Dialect(c.Dialect),
		Pattern:      c.Pattern,
		Domain:       c.Domain,
		MaxAge:       time.Duration(c.MaxAge),
		RenewAfter:   time.Duration(c.RenewAfter),
		RestoreAfter: time.Duration(c.RestoreAfter),
		SameSite:     cookie.SameSite(strings.ToLower(c.SameSite)),
	}
}

// provision replaces placeholders and checks the options.
func (c *Cookie) provision(repl *caddy.Replacer) (cookie.Config, error) {
	if c != nil {
		for option, value := range map[string]*string{
			"name": &c.Name, "keeper_name": &c.KeeperName, "user_name": &c.UserName,
			"dialect": &c.Dialect, "domain": &c.Domain, "same_site": &c.SameSite,
		} {
			if err := replace(repl, "cookie "+option, value); err != nil {
				return cookie.Config{}, err
			}
		}
		if err := replaceInRegexp(repl, "cookie pattern", &c.Pattern); err != nil {
			return cookie.Config{}, err
		}
	}
	cfg := c.config()
	return cfg, cfg.Validate()
}

// unmarshalCaddyfile reads the block after the word cookie. A wrong value is
// reported at its option's line.
func (c *Cookie) unmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if d.CountRemainingArgs() > 0 {
		return d.Errf("cookie: unexpected %q; use cookie { ... }", d.RemainingArgs()[0])
	}
	lines, err := optionLines(d, c.unmarshalOption)
	if err != nil {
		return err
	}
	if globalPlaceholders.MatchString(c.Pattern) {
		return nil
	}
	for _, text := range []string{c.Name, c.KeeperName, c.UserName, c.Dialect, c.Domain, c.SameSite} {
		if hasPlaceholder(text) {
			return nil
		}
	}
	err = c.config().Validate()
	var wrong *cookie.OptionError
	if errors.As(err, &wrong) {
		if at, ok := lines[wrong.Option]; ok {
			return at.WrapErr(err)
		}
	}
	return wrap(d, err)
}

func (c *Cookie) unmarshalOption(d *caddyfile.Dispenser) error {
	switch option := d.Val(); option {
	case "name":
		return argument(d, &c.Name)
	case "keeper_name":
		return argument(d, &c.KeeperName)
	case "user_name":
		return argument(d, &c.UserName)
	case "keeper_only":
		return noValue(d, &c.KeeperOnly)
	case "dialect":
		return argument(d, &c.Dialect)
	case "pattern":
		return argument(d, &c.Pattern)
	case "domain":
		return argument(d, &c.Domain)
	case "max_age":
		return duration(d, &c.MaxAge)
	case "renew_after":
		return duration(d, &c.RenewAfter)
	case "restore_after":
		return duration(d, &c.RestoreAfter)
	case "same_site":
		return argument(d, &c.SameSite)
	default:
		return d.Errf("cookie: unknown option %q; use name, keeper_name, user_name, keeper_only, dialect, pattern, domain, "+
			"max_age, renew_after, restore_after or same_site", option)
	}
}
