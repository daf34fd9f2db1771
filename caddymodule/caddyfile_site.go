package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/intilery/caddy-intilery/caddymodule/internal/redact"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("intilery", parseSite)
	// Before header: outside every handler that answers, encodes, rewrites, caches
	// or changes headers, so that all answers pass the hook as they will be sent,
	// and no cache stores our cookies. A deferred `header` outside of the hook would
	// make a response public after we have found it private.
	httpcaddyfile.RegisterDirectiveOrder("intilery", httpcaddyfile.Before, "header")
}

func parseSite(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Handler)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile reads the site directive:
//
//	intilery [<matcher>] off
//	intilery [<matcher>] {
//		destination <name>|<placeholder>
//		match {
//			<matchers...>
//		}
//		page           on|off|auto
//		revalidate     on|off
//		client_ip      full|anonymized|off
//		forwarded_host
//		redact         <parameter>...
//		redact_path    <regexp>
//		log_ids
//		bots           off
//		bots {
//			add     <part>...
//			remove  <part>...
//			headers check|ignore
//		}
//		new_visitors immediately|returning
//		cacheable    skip|private
//		logout_paths <path>...
//		querystring  allow|drop|signed
//		querystring  signed from <origin>...
//		cookie {
//			...
//		}
//		consent {
//			implied
//			cookie <name> <regexp>
//			header
//			gpc    honour|ignore
//			dnt    honour|ignore
//		}
//		collect <path> {
//			...
//		}
//	}
//
// Only match and redact_path may be given more than once.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if d.NextArg() {
		if d.Val() != "off" || d.NextArg() {
			return d.Errf("intilery: unexpected %q; use intilery { ... } or intilery off", d.Val())
		}
		h.Off = true
		if d.NextBlock(0) {
			return d.Errf("intilery off: unexpected block; options have no effect")
		}
		return nil
	}
	given := make(options)
	for d.NextBlock(0) {
		if err := given.once(d, "match", "redact_path"); err != nil {
			return err
		}
		if err := h.unmarshalOption(d); err != nil {
			return err
		}
	}
	return nil
}

func (h *Handler) unmarshalOption(d *caddyfile.Dispenser) error {
	switch option := d.Val(); option {
	case "destination":
		return argument(d, &h.Destination)
	case "match":
		if d.CountRemainingArgs() > 0 {
			return d.Errf("match: unexpected %q; use match { <matchers> }", d.RemainingArgs()[0])
		}
		set, err := caddyhttp.ParseCaddyfileNestedMatcherSet(d)
		if err != nil {
			return err
		}
		h.MatcherSetsRaw = append(h.MatcherSetsRaw, set)
		return nil
	case "page":
		return oneOf(d, &h.Page, pageOn, pageOff, pageAuto)
	case "revalidate":
		return oneOf(d, &h.Revalidate, revalidateOn, revalidateOff)
	case "client_ip":
		return oneOf(d, &h.ClientIP, clientIPFull, clientIPAnonymized, clientIPOff)
	case "forwarded_host":
		return noValue(d, &h.ForwardedHost)
	case "log_ids":
		return noValue(d, &h.LogIDs)
	case "redact":
		return arguments(d, &h.Redact, "names of query parameters", func(name string) error {
			_, err := redact.New([]string{name}, nil)
			return err
		})
	case "redact_path":
		var expression string
		if err := argument(d, &expression); err != nil {
			return err
		}
		h.RedactPaths = append(h.RedactPaths, expression)
		if _, err := redact.New(nil, []string{expression}); err != nil && !globalPlaceholders.MatchString(expression) {
			return d.WrapErr(err)
		}
		return nil
	case "bots":
		h.Bots = new(Bots)
		return h.Bots.unmarshalCaddyfile(d)
	case "new_visitors":
		return oneOf(d, &h.NewVisitors, newImmediately, newReturning)
	case "cacheable":
		return oneOf(d, &h.Cacheable, cacheableSkip, cacheablePrivate)
	case "logout_paths":
		return arguments(d, &h.LogoutPaths, "paths such as /logout", checkLogoutPath)
	case "querystring":
		return h.unmarshalQuerystring(d)
	case "cookie":
		h.Cookie = new(Cookie)
		return h.Cookie.unmarshalCaddyfile(d)
	case "collect":
		h.Collect = new(Collect)
		return h.Collect.unmarshalCaddyfile(d)
	case "consent":
		h.Consent = new(Consent)
		return h.Consent.unmarshalCaddyfile(d)
	default:
		return d.Errf("intilery: unknown option %q; use destination, match, page, revalidate, client_ip, forwarded_host, redact, "+
			"redact_path, log_ids, bots, new_visitors, cacheable, logout_paths, querystring, cookie, consent or collect", option)
	}
}

// unmarshalQuerystring reads one word, or the word signed and origins.
func (h *Handler) unmarshalQuerystring(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	switch {
	case len(args) == 1 && (args[0] == queryAllow || args[0] == queryDrop || args[0] == querySigned):
		h.Querystring = args[0]
	case len(args) > 2 && args[0] == querySigned && args[1] == "from":
		h.Querystring = querySigned
		for _, origin := range args[2:] {
			if _, err := parseOrigin(optionFrom, origin); err != nil && !hasPlaceholder(origin) {
				return d.WrapErr(err)
			}
			h.QuerystringFrom = append(h.QuerystringFrom, origin)
		}
	case len(args) == 0:
		return d.Errf("querystring: no value; use %s, or signed from <origin>...", either([]string{queryAllow, queryDrop, querySigned}))
	default:
		return d.Errf("querystring: %q is not accepted; use %s, or signed from <origin>...", args[0], either([]string{queryAllow, queryDrop, querySigned}))
	}
	return nil
}

// unmarshalCaddyfile reads the block after the word consent.
func (c *Consent) unmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if d.CountRemainingArgs() > 0 {
		return d.Errf("consent: unexpected %q; use consent { ... }", d.RemainingArgs()[0])
	}
	given := make(options)
	start := *d
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := given.once(d); err != nil {
			return err
		}
		switch option := d.Val(); option {
		case "implied":
			if err := noValue(d, &c.Implied); err != nil {
				return err
			}
		case "cookie":
			args := d.RemainingArgs()
			if len(args) != 2 {
				return d.Errf("consent cookie: %s; use cookie <name> <regexp>", plural(uint64(len(args)), "value"))
			}
			c.Cookie = &ConsentCookie{Name: args[0], Granted: args[1]}
			if err := c.Cookie.check(); err != nil && !hasPlaceholder(args[0]) && !globalPlaceholders.MatchString(args[1]) {
				return d.WrapErr(err)
			}
		case "header":
			if err := noValue(d, &c.Header); err != nil {
				return err
			}
		case "gpc":
			if err := oneOf(d, &c.GPC, signalHonour, signalIgnore); err != nil {
				return err
			}
		case "dnt":
			if err := oneOf(d, &c.DNT, signalHonour, signalIgnore); err != nil {
				return err
			}
		default:
			return d.Errf("consent: unknown option %q; use implied, cookie, header, gpc or dnt", option)
		}
	}
	return wrap(&start, c.check())
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Handler)(nil)
