package caddymodule

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("intilery", parseGlobal)
}

// parseGlobal reads the global option, which may stand once per destination:
//
//	intilery [<name>] {
//		client_id   <id>
//		account_id  <id>
//		brand_id    <ID>
//		auth_token  <token>
//		endpoint    <url>
//		rate        <requests per second>
//		burst       <requests>
//		nodes       <number>
//
//		map {
//			<value>... <destination>
//			default    <destination>
//		}
//		data_dir          <path>
//		keeper_keys       <key>...
//		sync              group|interval <duration>|os
//		max_size          <bytes>
//		max_age           <duration>
//		encryption_key    <key>...
//		dead_letters_size <bytes>
//		fleet nats {
//			...
//		}
//	}
//
// Those from map on are of the app: they may stand in any one block.
func parseGlobal(d *caddyfile.Dispenser, existing any) (any, error) {
	b, err := blocksSoFar(existing)
	if err != nil {
		return nil, err
	}
	if err := b.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return b.value()
}

// UnmarshalCaddyfile adds one block's destination to the app.
func (b *blocks) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the option's name
	name := defaultDestination
	if d.NextArg() {
		name = d.Val()
		if err := checkDestinationName(name); err != nil {
			return d.WrapErr(err)
		}
	}
	if d.NextArg() {
		return d.Errf("intilery: unexpected %q; use intilery [<name>] { ... }", d.Val())
	}
	if _, twice := b.Destinations[name]; twice {
		return d.Errf("intilery: destination %q is given twice; give each block its own name", name)
	}
	dest := new(Destination)
	given := make(options)
	block := *d
	for d.NextBlock(0) {
		if err := given.once(d); err != nil {
			return err
		}
		if err := b.unmarshalOption(d, dest); err != nil {
			return err
		}
	}
	if err := dest.checkRequired(); err != nil {
		return block.WrapErr(err)
	}
	if b.Destinations == nil {
		b.Destinations = make(map[string]*Destination)
	}
	b.Destinations[name] = dest
	return b.destinations.add(name, dest)
}

// unmarshalOption reads one option of a block. What has no placeholder is checked
// here, so that an error tells its line.
func (b *blocks) unmarshalOption(d *caddyfile.Dispenser, dest *Destination) error {
	option := d.Val()
	for _, o := range dest.texts() {
		if o.name == option {
			return text(d, o.value, func(value string) error { return o.check(option, value) })
		}
	}
	switch option {
	case "auth_token":
		return text(d, &dest.AuthToken, checkToken)
	case "nodes":
		if err := dest.unmarshalRate(d); err != nil || b.Fleet == nil {
			return err
		}
		return wrap(d, dest.checkNoNodes())
	case "rate", "burst":
		return dest.unmarshalRate(d)
	case "fleet":
		return b.unmarshalFleet(d, dest)
	case "map":
		return b.unmarshalMap(d)
	case "data_dir":
		var dir string
		if err := argument(d, &dir); err != nil {
			return err
		}
		return shared(d, option, &b.DataDir, dir)
	case "keeper_keys":
		return unmarshalKeys(d, &b.KeeperKeys)
	}
	if slices.Contains(queueOptions, option) {
		return b.unmarshalQueue(d)
	}
	return d.Errf("intilery: unknown option %q; use client_id, account_id, brand_id, auth_token, endpoint, rate, burst, nodes, "+
		"map, data_dir, keeper_keys, %s, fleet", option, strings.Join(queueOptions, ", "))
}

// text reads an option's single value, and checks it unless it has a placeholder.
func text(d *caddyfile.Dispenser, value *string, check func(string) error) error {
	if err := argument(d, value); err != nil || hasPlaceholder(*value) {
		return err
	}
	return wrap(d, check(*value))
}

// unmarshalMap reads the block after the word map.
func (b *blocks) unmarshalMap(d *caddyfile.Dispenser) error {
	if d.CountRemainingArgs() > 0 {
		return d.Errf("map: unexpected %q; use map { <value>... <destination> }", d.RemainingArgs()[0])
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		words := append([]string{d.Val()}, d.RemainingArgs()...)
		last := len(words) - 1
		if last == 0 {
			return d.Errf("map: %q has no destination; use <value>... <destination>", words[0])
		}
		if !hasPlaceholder(words[last]) {
			if err := checkDestinationName(words[last]); err != nil {
				return d.Errf("map: %w", err)
			}
		}
		for _, value := range words[:last] {
			if !hasPlaceholder(value) {
				value = strings.ToLower(value)
			}
			if _, twice := b.Map[value]; twice {
				return d.Errf("map: %q is given twice", value)
			}
			if b.Map == nil {
				b.Map = make(map[string]string)
			}
			b.Map[value] = words[last]
			if err := b.values.add(value, words[last]); err != nil {
				return err
			}
		}
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*blocks)(nil)
