package caddymodule

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/intilery/caddy-intilery/internal/navigation"
)

// Bots says which clients are no visitors: their documents get no anonymousId
// and count as no page.
type Bots struct {
	// Takes every client for a visitor. Default: false.
	Off bool `json:"off,omitempty"`

	// Parts of a User-Agent that mark a crawler or a monitor, beside those in
	// the built-in list. Compared without case. Default: none.
	Add []string `json:"add,omitempty"`

	// Parts to take off the built-in list. Default: none.
	Remove []string `json:"remove,omitempty"`

	// What happens to a client whose request headers a browser of its
	// User-Agent cannot have sent: `check` takes it for a bot, `ignore` does
	// not look. Set `ignore` where a proxy removes Sec-Fetch-* headers.
	// Default: `check`.
	Headers string `json:"headers,omitempty"`
}

// Values of Bots.Headers.
const (
	botHeadersCheck  = "check"
	botHeadersIgnore = "ignore"
)

// provision checks the options and makes the rules.
func (b *Bots) provision(repl *caddy.Replacer) (*navigation.Bots, error) {
	if b == nil {
		return navigation.NewBots(false, nil, nil, false)
	}
	if b.Headers == "" {
		b.Headers = botHeadersCheck
	}
	if b.Headers != botHeadersCheck && b.Headers != botHeadersIgnore {
		return nil, fmt.Errorf("bots headers: %q is not accepted; use check or ignore", b.Headers)
	}
	for _, parts := range [][]string{b.Add, b.Remove} {
		for i := range parts {
			if err := replace(repl, "bots", &parts[i]); err != nil {
				return nil, err
			}
		}
	}
	return navigation.NewBots(b.Off, b.Add, b.Remove, b.Headers == botHeadersIgnore)
}

// unmarshalCaddyfile reads the rest of the line after the word bots, or its
// block.
func (b *Bots) unmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if args := d.RemainingArgs(); len(args) > 0 {
		if len(args) > 1 || args[0] != "off" {
			return d.Errf("bots: unexpected %q; use bots off or bots { ... }", args[len(args)-1])
		}
		b.Off = true
		return nil
	}
	given := make(options)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := given.once(d, "add", "remove"); err != nil {
			return err
		}
		switch option := d.Val(); option {
		case "add", "remove":
			args := d.RemainingArgs()
			if len(args) == 0 {
				return d.Errf("bots %s: no value; use parts of a User-Agent", option)
			}
			var err error
			if option == "add" {
				b.Add = append(b.Add, args...)
				_, err = navigation.NewBots(false, args, nil, false)
			} else {
				b.Remove = append(b.Remove, args...)
				_, err = navigation.NewBots(false, nil, args, false)
			}
			if err != nil && !hasPlaceholder(strings.Join(args, "")) {
				return d.WrapErr(err)
			}
		case "headers":
			if err := oneOf(d, &b.Headers, botHeadersCheck, botHeadersIgnore); err != nil {
				return err
			}
		default:
			return d.Errf("bots: unknown option %q; use add, remove or headers", option)
		}
	}
	if len(given) == 0 {
		return d.Errf("bots: no value; use bots off or bots { ... }")
	}
	return nil
}
