package caddymodule

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/intilery/caddy-intilery/forwarder"
	"github.com/intilery/caddy-intilery/forwarder/tracking"
	"github.com/intilery/caddy-intilery/internal/loopback"
)

// defaultDestination is the name of a destination that is given none.
const defaultDestination = "default"

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

	// How many servers share the rate and the burst: each takes its part. Not
	// accepted with `fleet`, which does it by itself. Default: 1.
	Nodes int `json:"nodes,omitempty"`

	token    func() (string, error)
	writeKey string // of the tag
}

var (
	destinationName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)
	lowerID         = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	upperID         = regexp.MustCompile(`^[A-Z0-9][A-Z0-9._-]{0,63}$`)
)

// provision replaces placeholders and checks every option. Names in errors are
// those of the Caddyfile, and no error holds the token. Defaults are those of
// package tracking.
func (d *Destination) provision(name string, repl *caddy.Replacer, logger *zap.Logger) error {
	if err := checkDestinationName(name); err != nil {
		return err
	}
	if err := d.provisionOptions(repl); err != nil {
		return fmt.Errorf("destination %s: %w", name, err)
	}
	if !hasPlaceholder(d.AuthToken) && !d.loopback() {
		logger.Warn("auth_token is written in the configuration, where the admin endpoint's /config/ shows it; use {file./path/to/token}",
			zap.String("destination", name))
	}
	return nil
}

func (d *Destination) provisionOptions(repl *caddy.Replacer) error {
	if err := d.checkRequired(); err != nil {
		return err
	}
	for _, o := range d.texts() {
		if err := replace(repl, o.name, o.value); err != nil {
			return err
		}
		if err := o.check(o.name, *o.value); err != nil && (*o.value != "" || o.name == "client_id") {
			return err
		}
	}
	if err := d.checkRates(); err != nil {
		return err
	}
	account := d.account()
	d.writeKey = base64.StdEncoding.EncodeToString([]byte(strings.Join(account[:], ":")))
	return d.provisionToken()
}

// checkRequired returns an error if an option is missing that has no default.
func (d *Destination) checkRequired() error {
	switch {
	case d.ClientID == "":
		return errors.New("client_id is missing; use the client's ID at Intilery")
	case d.AuthToken == "":
		return errors.New("auth_token is missing; use {file./path/to/token}")
	}
	return nil
}

// textOption is an option whose value is text.
type textOption struct {
	name  string
	value *string
	check func(option, value string) error // of a value without placeholders
}

// texts are the options that are text, but for the token.
func (d *Destination) texts() []textOption {
	return []textOption{
		{"client_id", &d.ClientID, checkLowerID},
		{"account_id", &d.AccountID, checkLowerID},
		{"brand_id", &d.BrandID, checkUpperID},
		{"endpoint", &d.Endpoint, checkEndpoint},
	}
}

func checkDestinationName(name string) error {
	if !destinationName.MatchString(name) {
		return notAccepted("destination name", name, "up to 32 of a-z, 0-9, _ and -, of which the first is a letter or a digit")
	}
	return nil
}

func checkLowerID(option, value string) error {
	if !lowerID.MatchString(value) {
		return notAccepted(option, value, "up to 64 of a-z, 0-9, ., _ and -")
	}
	return nil
}

func checkUpperID(option, value string) error {
	if !upperID.MatchString(value) {
		return notAccepted(option, value, "up to 64 of A-Z, 0-9, ., _ and -")
	}
	return nil
}

// checkEndpoint asks the client that posts to it.
func checkEndpoint(option, value string) error {
	if _, err := tracking.New(tracking.Config{Endpoint: value, ClientID: "any"}); err != nil {
		return notAccepted(option, value, "a URL such as "+tracking.DefaultEndpoint+", without user, query or fragment")
	}
	return nil
}

// checkToken checks the token as it will be sent. The error does not hold it.
func checkToken(token string) error {
	if !validToken(strings.TrimSpace(token)) {
		return errors.New("auth_token: the value is empty or holds characters that no HTTP header can carry; use the token as Intilery shows it")
	}
	return nil
}

// notAccepted is the error of an option's wrong value.
func notAccepted(option string, value any, accepted string) error {
	if text, ok := value.(string); ok {
		value = strconv.Quote(text)
	}
	return fmt.Errorf("%s: %v is not accepted; use %s", option, value, accepted)
}

// provisionToken resolves the token once, so that a wrong path is found at
// provisioning, and keeps how it is written to read it again later.
func (d *Destination) provisionToken() error {
	written := d.AuthToken
	d.token = func() (string, error) {
		token, err := caddy.NewReplacer().ReplaceOrErr(written, true, true)
		if err != nil {
			return "", fmt.Errorf("auth_token: %w; use {file./path} of a readable file with the token, or {env.NAME} of a variable that is set", err)
		}
		return strings.TrimSpace(token), checkToken(token)
	}
	_, err := d.token()
	return err
}

// loopback reports whether the endpoint is on this machine, as a sandbox is.
func (d *Destination) loopback() bool {
	u, err := url.Parse(d.Endpoint)
	if err != nil {
		return false
	}
	return loopback.Host(u.Hostname())
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

// writeKey is the key that Intilery's tag and apps send for a destination.
func (a *App) writeKey(destination string) string {
	d := a.Destinations[destination]
	if d == nil {
		return ""
	}
	return d.writeKey
}

// account is the client's, the account's and the brand's ID.
func (d *Destination) account() [3]string {
	account := cmp.Or(d.AccountID, d.ClientID)
	return [...]string{d.ClientID, account, cmp.Or(d.BrandID, strings.ToUpper(account))}
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
