package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("intilery", parseSite)
	// Before redir: outside every handler that answers, encodes, rewrites or
	// caches, so that all answers pass the hook and no cache stores our cookies.
	httpcaddyfile.RegisterDirectiveOrder("intilery", httpcaddyfile.Before, "redir")
}

func parseSite(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Handler)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile reads the site directive:
//
//	intilery [<matcher>] {
//		destination <name>
//		match {
//			<matchers...>
//		}
//		page      on|off
//		client_ip full|anonymized|off
//		redact    <parameter>...
//		bots      off
//		bots {
//			add     <part>...
//			remove  <part>...
//			headers check|ignore
//		}
//		new_visitors immediately|returning
//		cacheable    skip|private
//		logout_paths <path>...
//		querystring  allow|drop|signed
//		cookie {
//			...
//		}
//		consent {
//			cookie <name> <regexp>
//			header
//			gpc    honour|ignore
//			dnt    honour|ignore
//		}
//	}
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if d.NextArg() {
		return d.Errf("intilery: unexpected %q; use intilery { ... }", d.Val())
	}
	seen := make(map[string]bool)
	for d.NextBlock(0) {
		option := d.Val()
		if seen[option] && option != "match" {
			return d.Errf("intilery: %s is given twice", option)
		}
		seen[option] = true
		switch option {
		case "destination":
			if err := argument(d, &h.Destination); err != nil {
				return err
			}
		case "match":
			if d.CountRemainingArgs() > 0 {
				return d.Errf("match: unexpected %q; use match { <matchers> }", d.RemainingArgs()[0])
			}
			set, err := caddyhttp.ParseCaddyfileNestedMatcherSet(d)
			if err != nil {
				return err
			}
			h.MatcherSetsRaw = append(h.MatcherSetsRaw, set)
		case "page":
			if err := oneOf(d, &h.Page, pageOn, pageOff); err != nil {
				return err
			}
		case "client_ip":
			if err := oneOf(d, &h.ClientIP, clientIPFull, clientIPAnonymized, clientIPOff); err != nil {
				return err
			}
		case "redact":
			if h.Redact = d.RemainingArgs(); len(h.Redact) == 0 {
				return d.Errf("redact: no value; use names of query parameters")
			}
		case "bots":
			h.Bots = new(Bots)
			if err := h.Bots.unmarshalCaddyfile(d); err != nil {
				return err
			}
		case "new_visitors":
			if err := oneOf(d, &h.NewVisitors, newImmediately, newReturning); err != nil {
				return err
			}
		case "cacheable":
			if err := oneOf(d, &h.Cacheable, cacheableSkip, cacheablePrivate); err != nil {
				return err
			}
		case "logout_paths":
			if h.LogoutPaths = d.RemainingArgs(); len(h.LogoutPaths) == 0 {
				return d.Errf("logout_paths: no value; use paths such as /logout")
			}
		case "querystring":
			if err := oneOf(d, &h.Querystring, queryAllow, queryDrop, querySigned); err != nil {
				return err
			}
		case "cookie":
			h.Cookie = new(Cookie)
			if err := h.Cookie.unmarshalBlock(d); err != nil {
				return err
			}
		case "consent":
			h.Consent = new(Consent)
			if err := h.Consent.unmarshalBlock(d); err != nil {
				return err
			}
		default:
			return d.Errf("intilery: unknown option %q; use destination, match, page, client_ip, redact, bots, "+
				"new_visitors, cacheable, logout_paths, querystring, cookie or consent", option)
		}
	}
	return nil
}

// unmarshalBlock reads the block after the word consent.
func (c *Consent) unmarshalBlock(d *caddyfile.Dispenser) error {
	if d.CountRemainingArgs() > 0 {
		return d.Errf("consent: unexpected %q; use consent { ... }", d.RemainingArgs()[0])
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		switch option := d.Val(); option {
		case "cookie":
			args := d.RemainingArgs()
			if len(args) != 2 {
				return d.Errf("consent cookie: %d values; use cookie <name> <regexp>", len(args))
			}
			if c.Cookie != nil {
				return d.Errf("consent cookie: given twice; combine the expressions into one")
			}
			c.Cookie = &ConsentCookie{Name: args[0], Granted: args[1]}
		case "header":
			if d.CountRemainingArgs() > 0 {
				return d.Errf("consent header: unexpected %q; it takes no value", d.RemainingArgs()[0])
			}
			c.Header = true
		case "gpc":
			if err := oneOf(d, &c.GPC, signalHonour, signalIgnore); err != nil {
				return err
			}
		case "dnt":
			if err := oneOf(d, &c.DNT, signalHonour, signalIgnore); err != nil {
				return err
			}
		default:
			return d.Errf("consent: unknown option %q; use cookie, header, gpc or dnt", option)
		}
	}
	return nil
}

// oneOf reads an option whose value is one of a few words.
func oneOf(d *caddyfile.Dispenser, value *string, words ...string) error {
	option := d.Val()
	if err := argument(d, value); err != nil {
		return err
	}
	for _, word := range words {
		if *value == word {
			return nil
		}
	}
	return d.Errf("%s: %q is not accepted; use %s", option, *value, list(words))
}

// list joins words as in "a, b or c".
func list(words []string) string {
	text := words[0]
	for i, word := range words[1:] {
		if i == len(words)-2 {
			text += " or " + word
		} else {
			text += ", " + word
		}
	}
	return text
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Handler)(nil)
