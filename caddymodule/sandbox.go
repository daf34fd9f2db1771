package caddymodule

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
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

	// The token that it accepts. Default: any. In this option and the next two
	// placeholders are replaced.
	AuthToken string `json:"auth_token,omitempty"`

	// The URL of the site whose events are to arrive. The page links to it
	// while it has no events. Default: none.
	Site string `json:"site,omitempty"`

	// Host names or IP addresses, without a port, that it answers to besides
	// localhost, *.localhost and loopback addresses. To all others it answers
	// 403, so that a foreign site cannot read it in a developer's browser by
	// pointing its own name at 127.0.0.1. Default: none.
	Hosts []string `json:"hosts,omitempty"`

	key     sandboxKey
	handler pooledSandbox
	taken   bool // from the pool; handler outlives it for requests in flight
}

// sandboxes keeps a sandbox's events over reloads of the configuration.
var sandboxes = caddy.NewUsagePool()

type sandboxKey struct{ client, account, brand, token, site, hosts string }

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
	replacer := caddy.NewReplacer()
	replace := func(option, text string) (string, error) {
		value, err := replacer.ReplaceOrErr(text, true, true)
		if err != nil {
			return "", fmt.Errorf("%s: %w; use text, or a placeholder that has a value", option, err)
		}
		return strings.TrimSpace(value), nil
	}
	token, err := replace("auth_token", s.AuthToken)
	if err != nil {
		return err
	}
	site, err := replace("site", s.Site)
	if err != nil {
		return err
	}
	if err := checkSandboxSite(site); err != nil {
		return err
	}
	hosts := make([]string, len(s.Hosts))
	for i := range hosts {
		if hosts[i], err = replace("hosts", s.Hosts[i]); err != nil {
			return err
		}
		if err := checkSandboxHost(hosts[i]); err != nil {
			return err
		}
	}
	key := sandboxKey{s.ClientID, s.AccountID, s.BrandID, token, site, strings.Join(hosts, " ")}
	value, _, err := sandboxes.LoadOrNew(key, func() (caddy.Destructor, error) {
		return pooledSandbox{sandbox.New(sandbox.Options{
			ClientID: key.client, AccountID: key.account, BrandID: key.brand, Token: key.token,
			Site: site, Hosts: hosts,
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
//		site       <url>
//		hosts      <host>...
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
		case "site":
			if err = argument(d, &s.Site); err == nil && checkSandboxSite(s.Site) != nil && !hasPlaceholder(s.Site) {
				err = d.WrapErr(checkSandboxSite(s.Site))
			}
		case "hosts":
			err = arguments(d, &s.Hosts, "host names", checkSandboxHost)
		default:
			return d.Errf("intilery_sandbox: unknown option %q; use client_id, account_id, brand_id, auth_token, site or hosts", option)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func checkSandboxSite(site string) error {
	u, err := url.Parse(site)
	if site != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil) {
		return fmt.Errorf("site %q is not the URL of a site; use one such as http://localhost:8080", site)
	}
	return nil
}

func checkSandboxHost(host string) error {
	if _, err := netip.ParseAddr(host); err != nil && (host == "" || strings.ContainsAny(host, ":/*[] ")) {
		return fmt.Errorf("hosts: %q is not a host; use a name or an IP address, without a scheme and a port", host)
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
