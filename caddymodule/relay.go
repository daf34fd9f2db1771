package caddymodule

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/intilery/caddy-intilery/collect"
)

func init() {
	caddy.RegisterModule(new(Relay))
	httpcaddyfile.RegisterHandlerDirective("intilery_relay", parseRelay)
	// Behind what authenticates and encodes, before what answers.
	httpcaddyfile.RegisterDirectiveOrder("intilery_relay", httpcaddyfile.Before, "templates")
}

const (
	// relayBody is the size of a request that Intilery takes, in bytes.
	relayBody = 1_000_000
	// tokenAge is how long a token is known before it is read again; a tenth of it,
	// where it does not match.
	tokenAge = 10 * time.Second
)

// Relay takes calls of Intilery's Tracking API from servers and puts them into the
// durable queue, so that a server needs another base URL and nothing else. It
// answers `/track/{clientId}/{accountId}/{BRANDID}/v1/{action}` as the API does,
// once the call is durable, with the messageId as eventId; the path and the
// `auth-token` are those of a destination of the app `intilery`. Other requests are
// passed on.
//
// It trusts its callers as Intilery does: what they send is queued as it is. Do not
// open it to browsers.
type Relay struct {
	// The name of the destination that calls must be for. Default: any.
	Destination string `json:"destination,omitempty"`

	app    *App
	tokens map[string]*knownToken
}

// knownToken is a destination's token as it was read last.
type knownToken struct {
	mu    sync.Mutex
	value string
	read  time.Time
}

// CaddyModule returns the Caddy module information.
func (*Relay) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.intilery_relay",
		New: func() caddy.Module { return new(Relay) },
	}
}

// Provision finds the destinations.
func (re *Relay) Provision(ctx caddy.Context) error {
	app, err := ctx.App("intilery")
	if err != nil {
		return fmt.Errorf("loading the app intilery: %w", err)
	}
	re.app = app.(*App)
	if err := replace(caddy.NewReplacer(), "intilery_relay", &re.Destination); err != nil {
		return err
	}
	if len(re.app.Destinations) == 0 || re.Destination != "" {
		if re.Destination, err = re.app.resolve(re.Destination); err != nil {
			return err
		}
	}
	re.tokens = make(map[string]*knownToken)
	for name := range re.app.Destinations {
		re.tokens[name] = new(knownToken)
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (re *Relay) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	clientID, accountID, brandID, target, ok := collect.RelayTargetOf(r.URL.Path)
	if !ok {
		return next.ServeHTTP(w, r)
	}
	if err := re.serve(w, r, [3]string{clientID, accountID, brandID}, target); err != nil {
		var e *collect.Error
		if !errors.As(err, &e) {
			e = &collect.Error{Status: http.StatusServiceUnavailable, Code: "not_durable", Message: "service unavailable", RetryAfter: 5}
		}
		re.app.queue.tally.refused(curried(siteMetrics.refused, prometheus.Labels{"server": serverName(r)}), e.Code)
		collect.RelayRefuse(w, e)
	}
	return nil
}

func (re *Relay) serve(w http.ResponseWriter, r *http.Request, account [3]string, target collect.Target) error {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return &collect.Error{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Message: "method not allowed"}
	}
	name, ok := re.destination(account, r.Header.Get("Auth-Token"))
	if !ok {
		return &collect.Error{Status: http.StatusForbidden, Code: codeUnknownKey, Message: "auth-token is not authorised for this account and brand"}
	}
	now := time.Now()
	_ = http.NewResponseController(w).SetReadDeadline(now.Add(bodyTimeout)) // see collection.serve
	body, err := collect.ReadBody(r, relayBody, re.app.queue.relayed.all())
	if err != nil {
		return err
	}
	defer body.Release()
	parsed, err := collect.ParseRelay(body.Bytes, target, now, body.Grow)
	if err != nil {
		return err
	}
	d := delivery{destination: name, sender: "relay"}
	for i := range parsed.Events {
		e := &parsed.Events[i].Event
		if e.MessageID == "" {
			e.MessageID = uuid.NewString() // the answer names it
		}
		d.events = append(d.events, e)
	}
	metric := curried(siteMetrics.collected, prometheus.Labels{"server": serverName(r)})
	count := func(outcome string, n int) { re.app.queue.tally.events(metric, outcome, n) }
	err = re.app.queue.intake.take(re.app.queue.Forwarder, &d)
	count("taken", d.count(eventTaken))
	if err != nil {
		return err
	}
	count("repeat", d.count(eventRepeat))
	count("unsupported", parsed.Unsupported)
	for i, cause := range d.errs {
		parsed.Rejected = append(parsed.Rejected, rejectionOf(parsed.Events[i].Index, cause))
	}
	for _, r := range parsed.Rejected {
		count(r.Code, 1)
	}
	switch {
	case len(parsed.Rejected) > 0 && len(d.events) == len(d.errs):
		return collect.RejectionError(parsed.Rejected)
	case len(d.events) == 0: // an empty batch, or calls that Intilery does not have
		collect.RelayAccepted(w, uuid.NewString(), nil)
		return nil
	}
	slices.SortFunc(parsed.Rejected, func(a, b collect.Rejection) int { return a.Index - b.Index })
	collect.RelayAccepted(w, d.events[0].MessageID, parsed.Rejected)
	return nil
}

// destination returns the destination of an account whose token it is.
func (re *Relay) destination(account [3]string, token string) (name string, ok bool) {
	for name, d := range re.app.Destinations {
		if (re.Destination == "" || re.Destination == name) && d.account() == account && re.tokens[name].is(token, d.token) {
			return name, true
		}
	}
	return "", false
}

// is compares in constant time. The destination's file may have a new token by now,
// which ends the old one.
func (k *knownToken) is(token string, read func() (string, error)) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	matches := func() bool {
		return token != "" && subtle.ConstantTimeCompare([]byte(token), []byte(k.value)) == 1
	}
	if age := time.Since(k.read); age < tokenAge && (matches() || age < tokenAge/10) {
		return matches()
	}
	k.read = time.Now()
	if value, err := read(); err == nil {
		k.value = value
	}
	return matches()
}

func parseRelay(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	re := new(Relay)
	return re, re.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile reads the directive:
//
//	intilery_relay [<matcher>] [<destination>]
func (re *Relay) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if args := d.RemainingArgs(); len(args) > 1 {
		return d.Errf("intilery_relay: %s; use intilery_relay [<destination>]", plural(uint64(len(args)), "value"))
	} else if len(args) == 1 {
		re.Destination = args[0]
	}
	if d.NextBlock(0) {
		return d.Errf("intilery_relay: unexpected %q; it has no options", d.Val())
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Relay)(nil)
	_ caddyhttp.MiddlewareHandler = (*Relay)(nil)
	_ caddyfile.Unmarshaler       = (*Relay)(nil)
)
