package caddymodule

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/intilery/caddy-intilery/forwarder"
)

// defaultDestination is the name of a destination that is given none.
const defaultDestination = "default"

// defaultEndpoint is Intilery's Tracking API.
const defaultEndpoint = "https://tracking.intilery.com"

// Destination is one Intilery account and brand that events are sent to.
type Destination struct {
	// The client's ID at Intilery, in lower case. Required.
	ClientID string `json:"client_id,omitempty"`

	// The account's ID, in lower case. Default: the client's ID.
	AccountID string `json:"account_id,omitempty"`

	// The brand's ID, in upper case. Default: the account's ID in upper case.
	BrandID string `json:"brand_id,omitempty"`

	// The secret that authorises calls of the Tracking API. Required. Use
	// {file./path}, so that it stays out of the configuration; the file is
	// read again when Intilery refuses the token.
	AuthToken string `json:"auth_token,omitempty"`

	// The base URL of the Tracking API. Default: `https://tracking.intilery.com`.
	Endpoint string `json:"endpoint,omitempty"`

	// How many requests per second may go out. Intilery allows 100 for all
	// servers of a customer together; one request holds up to 950 kB of
	// events. Default: 80.
	Rate float64 `json:"rate,omitempty"`

	// How many requests may follow each other at once. Intilery allows 500.
	// Default: 50.
	Burst int `json:"burst,omitempty"`

	// How many servers share the rate and the burst: each takes its part.
	// Default: 1.
	Nodes int `json:"nodes,omitempty"`

	token func() (string, error)
}

var (
	destinationName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)
	lowerID         = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	upperID         = regexp.MustCompile(`^[A-Z0-9][A-Z0-9._-]{0,63}$`)
)

// provision fills defaults and checks every option. Names in errors are those
// of the Caddyfile, and no error holds the token.
func (d *Destination) provision(name string, repl *caddy.Replacer, logger *zap.Logger) error {
	if !destinationName.MatchString(name) {
		return fmt.Errorf("destination name: %q is not accepted; use up to 32 of a-z, 0-9, _ and -", name)
	}
	replace := func(option string, value *string) error {
		out, err := repl.ReplaceOrErr(*value, true, true)
		if err != nil {
			return fmt.Errorf("destination %s: %s %s: %w; use text, or a placeholder that has a value", name, option, *value, err)
		}
		*value = out
		return nil
	}
	for _, o := range []struct {
		option string
		value  *string
	}{{"client_id", &d.ClientID}, {"account_id", &d.AccountID}, {"brand_id", &d.BrandID}, {"endpoint", &d.Endpoint}} {
		if err := replace(o.option, o.value); err != nil {
			return err
		}
	}
	if d.ClientID == "" {
		return fmt.Errorf("destination %s: client_id is missing; use the client's ID at Intilery", name)
	}
	if d.AccountID == "" {
		d.AccountID = d.ClientID
	}
	if d.BrandID == "" {
		d.BrandID = strings.ToUpper(d.AccountID)
	}
	if d.Endpoint == "" {
		d.Endpoint = defaultEndpoint
	}
	for _, o := range []struct {
		option, value, accepted string
		valid                   *regexp.Regexp
	}{
		{"client_id", d.ClientID, "up to 64 of a-z, 0-9, ., _ and -", lowerID},
		{"account_id", d.AccountID, "up to 64 of a-z, 0-9, ., _ and -", lowerID},
		{"brand_id", d.BrandID, "up to 64 of A-Z, 0-9, ., _ and -", upperID},
	} {
		if !o.valid.MatchString(o.value) {
			return fmt.Errorf("destination %s: %s: %q is not accepted; use %s", name, o.option, o.value, o.accepted)
		}
	}
	if err := d.checkEndpoint(name); err != nil {
		return err
	}
	if err := d.checkRate(); err != nil {
		return fmt.Errorf("destination %s: %w", name, err)
	}
	return d.provisionToken(name, logger)
}

func (d *Destination) checkEndpoint(name string) error {
	u, err := url.Parse(d.Endpoint)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("destination %s: endpoint: %q is not accepted; use a URL such as %s, without user, query or fragment",
			name, d.Endpoint, defaultEndpoint)
	}
	d.Endpoint = strings.TrimRight(d.Endpoint, "/")
	return nil
}

// provisionToken resolves the token once, so that a wrong path is found at
// provisioning, and keeps how it is written to read it again later.
func (d *Destination) provisionToken(name string, logger *zap.Logger) error {
	if d.AuthToken == "" {
		return fmt.Errorf("destination %s: auth_token is missing; use {file./path/to/token}", name)
	}
	written := d.AuthToken
	d.token = func() (string, error) {
		token, err := caddy.NewReplacer().ReplaceOrErr(written, true, true)
		if err != nil {
			return "", fmt.Errorf("auth_token: %w; use {file./path} of a readable file with the token, or {env.NAME} of a variable that is set", err)
		}
		if token = strings.TrimSpace(token); !validToken(token) {
			return "", fmt.Errorf("auth_token: the value is empty or holds characters that no HTTP header can carry; use the token as Intilery shows it")
		}
		return token, nil
	}
	if _, err := d.token(); err != nil {
		return fmt.Errorf("destination %s: %w", name, err)
	}
	if !strings.Contains(written, "{") && !d.loopback() {
		logger.Warn("auth_token is written in the configuration, where the admin endpoint's /config/ shows it; use {file./path/to/token}",
			zap.String("destination", name))
	}
	return nil
}

// loopback reports whether the endpoint is on this machine, as a sandbox is.
func (d *Destination) loopback() bool {
	u, err := url.Parse(d.Endpoint)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
}

// validToken accepts visible ASCII, as a header field can carry (RFC 9110, 5.5).
func validToken(token string) bool {
	for i := range len(token) {
		if c := token[i]; c <= ' ' || c > '~' {
			return false
		}
	}
	return token != ""
}

func (d *Destination) settings(name string) forwarder.Destination {
	return forwarder.Destination{
		Name:      name,
		Endpoint:  d.Endpoint,
		ClientID:  d.ClientID,
		AccountID: d.AccountID,
		BrandID:   d.BrandID,
		Token:     d.token,
		Rate:      d.Rate,
		Burst:     d.Burst,
		Nodes:     d.Nodes,
	}
}

// names lists the destinations for an error text.
func (a *App) names() string {
	return strings.Join(slices.Sorted(maps.Keys(a.Destinations)), ", ")
}

// modulePath is how this module is listed in a binary's build information.
const modulePath = "github.com/intilery/caddy-intilery"

// version is this module's version as it was built into the binary, for
// context.library of each event; "devel" when it was built from a checkout.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	for _, dep := range info.Deps {
		if dep.Path == modulePath && dep.Replace == nil && dep.Version != "" {
			return dep.Version
		}
	}
	return "devel"
}
