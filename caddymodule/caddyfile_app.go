package caddymodule

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
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
//		data_dir          <path>
//		keeper_keys       <key>...
//		sync              group|interval <duration>|os
//		max_size          <bytes>
//		max_age           <duration>
//		encryption_key    <key>...
//		dead_letters_size <bytes>
//	}
//
// Those from data_dir on are of the app: they may stand in any one block.
func parseGlobal(d *caddyfile.Dispenser, existing any) (any, error) {
	app := new(App)
	if earlier, ok := existing.(httpcaddyfile.App); ok {
		if err := json.Unmarshal(earlier.Value, app); err != nil {
			return nil, fmt.Errorf("reading the earlier intilery option: %w", err)
		}
	}
	if err := app.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "intilery", Value: caddyconfig.JSON(app, nil)}, nil
}

// UnmarshalCaddyfile adds one block's destination to the app.
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the option's name
	name := defaultDestination
	if d.NextArg() {
		name = d.Val()
	}
	if d.NextArg() {
		return d.Errf("intilery: unexpected %q; use intilery [<name>] { ... }", d.Val())
	}
	if _, twice := a.Destinations[name]; twice {
		return d.Errf("intilery: destination %q is given twice; give each block its own name", name)
	}
	dest := new(Destination)
	seen := make(map[string]bool)
	for d.NextBlock(0) {
		option := d.Val()
		if seen[option] {
			return d.Errf("intilery: %s is given twice in one block", option)
		}
		seen[option] = true
		switch option {
		case "client_id":
			if err := argument(d, &dest.ClientID); err != nil {
				return err
			}
		case "account_id":
			if err := argument(d, &dest.AccountID); err != nil {
				return err
			}
		case "brand_id":
			if err := argument(d, &dest.BrandID); err != nil {
				return err
			}
		case "auth_token":
			if err := argument(d, &dest.AuthToken); err != nil {
				return err
			}
		case "endpoint":
			if err := argument(d, &dest.Endpoint); err != nil {
				return err
			}
		case "rate", "burst", "nodes":
			if err := dest.unmarshalRate(d); err != nil {
				return err
			}
		case "data_dir":
			var dir string
			if err := argument(d, &dir); err != nil {
				return err
			}
			if a.DataDir != "" && a.DataDir != dir {
				return d.Errf("data_dir: %q differs from %q in an earlier block; all destinations share one", dir, a.DataDir)
			}
			a.DataDir = dir
		case "keeper_keys":
			keys := d.RemainingArgs()
			if len(keys) == 0 {
				return d.Errf("keeper_keys: no value; use one or more keys of 32 bytes as base64, newest first")
			}
			if len(a.KeeperKeys) > 0 {
				return d.Errf("keeper_keys: given in an earlier block; all destinations share them")
			}
			a.KeeperKeys = keys
		default:
			if slices.Contains(queueOptions, option) {
				if err := a.unmarshalQueue(d); err != nil {
					return err
				}
				continue
			}
			return d.Errf("intilery: unknown option %q; use client_id, account_id, brand_id, auth_token, endpoint, rate, burst, nodes, "+
				"data_dir, keeper_keys, %s", option, strings.Join(queueOptions, ", "))
		}
	}
	if a.Destinations == nil {
		a.Destinations = make(map[string]*Destination)
	}
	a.Destinations[name] = dest
	return nil
}

// argument reads an option's single value.
func argument(d *caddyfile.Dispenser, value *string) error {
	option := d.Val()
	args := d.RemainingArgs()
	if len(args) != 1 || args[0] == "" {
		return d.Errf("%s: %d values; use exactly one", option, len(args))
	}
	*value = args[0]
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*App)(nil)
