package caddymodule

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/intilery/caddy-intilery/sandbox"
)

func init() {
	caddy.RegisterModule(Sandbox{})
	httpcaddyfile.RegisterHandlerDirective("intilery_sandbox", parseSandbox)
	httpcaddyfile.RegisterDirectiveOrder("intilery_sandbox", httpcaddyfile.Before, "respond")
}

// Sandbox is an Intilery for development: it answers the Tracking API and
// shows on a page the events that arrive. It has no login and keeps events in
// memory, so it belongs on a developer's machine.
type Sandbox struct {
	// The client's, account's and brand's ID that it accepts. Default: any.
	ClientID  string `json:"client_id,omitempty"`
	AccountID string `json:"account_id,omitempty"`
	BrandID   string `json:"brand_id,omitempty"`

	// The token that it accepts; placeholders are replaced. Default: any.
	AuthToken string `json:"auth_token,omitempty"`

	key     sandboxKey
	handler pooledSandbox
	taken   bool // from the pool; handler outlives it for requests in flight
}

// sandboxes keeps a sandbox's events over reloads of the configuration.
var sandboxes = caddy.NewUsagePool()

type sandboxKey struct{ client, account, brand, token string }

type pooledSandbox struct{ *sandbox.Sandbox }

// Destruct ends the sandbox's streams.
func (p pooledSandbox) Destruct() error {
	p.Close()
	return nil
}

// CaddyModule returns the Caddy module information.
func (Sandbox) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.intilery_sandbox",
		New: func() caddy.Module { return new(Sandbox) },
	}
}

// Provision takes the sandbox of these options from the pool.
func (s *Sandbox) Provision(caddy.Context) error {
	token, err := caddy.NewReplacer().ReplaceOrErr(s.AuthToken, true, true)
	if err != nil {
		return fmt.Errorf("auth_token: %w; use text, or a placeholder that has a value", err)
	}
	key := sandboxKey{s.ClientID, s.AccountID, s.BrandID, strings.TrimSpace(token)}
	value, _, err := sandboxes.LoadOrNew(key, func() (caddy.Destructor, error) {
		return pooledSandbox{sandbox.New(sandbox.Options{
			ClientID: key.client, AccountID: key.account, BrandID: key.brand, Token: key.token,
		})}, nil
	})
	if err != nil {
		return err
	}
	s.key, s.handler, s.taken = key, value.(pooledSandbox), true
	return nil
}

// Cleanup gives the sandbox back to the pool.
func (s *Sandbox) Cleanup() error {
	if !s.taken {
		return nil
	}
	s.taken = false
	_, err := sandboxes.Delete(s.key)
	return err
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	s.handler.ServeHTTP(w, r)
	return nil
}

func parseSandbox(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	s := new(Sandbox)
	return s, s.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile reads the directive:
//
//	intilery_sandbox [<matcher>] {
//		client_id  <id>
//		account_id <id>
//		brand_id   <ID>
//		auth_token <token>
//	}
func (s *Sandbox) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if d.NextArg() {
		return d.Errf("intilery_sandbox: unexpected %q; use intilery_sandbox { ... }", d.Val())
	}
	for d.NextBlock(0) {
		var err error
		switch option := d.Val(); option {
		case "client_id":
			err = argument(d, &s.ClientID)
		case "account_id":
			err = argument(d, &s.AccountID)
		case "brand_id":
			err = argument(d, &s.BrandID)
		case "auth_token":
			err = argument(d, &s.AuthToken)
		default:
			return d.Errf("intilery_sandbox: unknown option %q; use client_id, account_id, brand_id or auth_token", option)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Sandbox)(nil)
	_ caddy.CleanerUpper          = (*Sandbox)(nil)
	_ caddyhttp.MiddlewareHandler = (*Sandbox)(nil)
	_ caddyfile.Unmarshaler       = (*Sandbox)(nil)
)
