package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/intilery/caddy-intilery/forwarder"
	"github.com/intilery/caddy-intilery/forwarder/fleet"
	"github.com/intilery/caddy-intilery/internal/loopback"
)

// Values of Fleet.Create.
const (
	createOn    = "on"
	createCheck = "check"
)

// Fleet makes this server a node of a fleet: nodes hand their events to NATS
// JetStream, and each lane of a destination is sent by one of them at a time, so
// that a visitor's events keep their order and the rate its bounds, however many nodes there
// are and whichever of them the visitor meets. All nodes of a fleet have the same
// destinations and options. A change takes effect when Caddy is restarted.
type Fleet struct {
	// The NATS servers: URLs that begin with nats://, tls://, ws:// or wss://, or
	// host:port. One is enough to find the others of a cluster. WebSocket URLs
	// do not go with others. Placeholders are replaced. Required.
	Servers []string `json:"servers,omitempty"`

	// The path of a NATS credentials file (a user's JWT and seed). At most one of
	// credentials, nkey and user is given. Placeholders are replaced. Default: none.
	Credentials string `json:"credentials,omitempty"`

	// The path of a file with the seed of an nkey. Placeholders are replaced.
	// Default: none.
	NKey string `json:"nkey,omitempty"`

	// The name of a NATS user, who has a password. Placeholders are replaced.
	// Default: none.
	User string `json:"user,omitempty"`

	// The user's password. Use {file./path}, so that it stays out of the
	// configuration; the file is read again at each connect. Default: none.
	Password string `json:"password,omitempty"`

	// How TLS is used. Default: with the system's authorities where a server's URL
	// begins with tls:// or wss://, or the server asks for it.
	TLS *FleetTLS `json:"tls,omitempty"`

	// The prefix of all streams, subjects and of the bucket of keys, up to 32 letters,
	// digits and hyphens. Nodes that use the same are one fleet. Placeholders are
	// replaced. Default: `IQ`.
	Name string `json:"name,omitempty"`

	// The name of this node, which no other node of the fleet has and which stays with
	// the data directory: letters, digits, hyphens, underscores and dots.
	// Placeholders are replaced. Default: the host's name.
	Node string `json:"node,omitempty"`

	// How many NATS servers keep each event: 1, 3 or 5. With 1, events are lost with
	// that server's disk. Default: 3.
	Replicas int `json:"replicas,omitempty"`

	// Who makes the streams and the bucket. `on`: this node does, and changes them
	// to fit its options. `check`: an administrator has; the node changes none and
	// refuses those that are missing or do not fit. Default: `on`.
	Create string `json:"create,omitempty"`

	// How long the lanes of a node that is not heard of stay with it before others
	// take them over, 2s to 1m. Default: 5s.
	Lease caddy.Duration `json:"lease,omitempty"`

	// How many bytes of events the streams of each destination may hold, at least
	// 64 MiB. Each of 8 lanes has its part. When a lane is full, its events wait on
	// the nodes. Default: 8 GiB.
	MaxSize int64 `json:"max_size,omitempty"`

	// How long a node keeps events after it has handed them over, to send them again if
	// NATS has lost them: 10s to 1h, less than `max_age`. It should be longer than the
	// sync_interval of the NATS servers. Default: 5m.
	Keep caddy.Duration `json:"keep,omitempty"`
}

// FleetTLS says how the node and the NATS servers show each other who they are.
type FleetTLS struct {
	// The path of the certificates, in PEM, of the authorities that sign the servers'.
	// Placeholders are replaced. Default: the system's authorities.
	CA string `json:"ca,omitempty"`

	// The path of the node's own certificate, in PEM. Placeholders are replaced.
	// Default: none.
	Cert string `json:"cert,omitempty"`

	// The path of the certificate's key, in PEM. Placeholders are replaced. Default: none.
	Key string `json:"key,omitempty"`
}

// texts are the options that are one text each, but for the password.
func (f *Fleet) texts() []textOption {
	texts := []textOption{
		{name: "credentials", value: &f.Credentials},
		{name: "nkey", value: &f.NKey},
		{name: "user", value: &f.User},
		{name: "name", value: &f.Name},
		{name: "node", value: &f.Node},
	}
	if f.TLS != nil {
		texts = append(texts, f.TLS.texts()...)
	}
	return texts
}

func (t *FleetTLS) texts() []textOption {
	return []textOption{
		{name: "tls ca", value: &t.CA},
		{name: "tls cert", value: &t.Cert},
		{name: "tls key", value: &t.Key},
	}
}

// provisionFleet replaces placeholders and checks the options of the fleet, and the
// files that they name. It asks no server. It goes by the queue's options.
func (a *App) provisionFleet(repl *caddy.Replacer) error {
	f := a.Fleet
	if f == nil {
		return nil
	}
	for name, d := range a.Destinations {
		if err := d.checkNoNodes(); err != nil {
			return fmt.Errorf("destination %s: %w", name, err)
		}
	}
	for i := range f.Servers {
		if err := replace(repl, "fleet servers", &f.Servers[i]); err != nil {
			return err
		}
	}
	for _, o := range f.texts() {
		if err := replace(repl, "fleet "+o.name, o.value); err != nil {
			return err
		}
	}
	if f.Create != "" && f.Create != createOn && f.Create != createCheck {
		return notAccepted("fleet create", f.Create, either([]string{createOn, createCheck}))
	}
	o := f.options()
	o.MaxAge = cmp.Or(a.options.MaxAge, forwarder.DefaultMaxAge)
	o, err := o.WithDefaults()
	if err != nil {
		return err
	}
	if err := o.CheckFiles(); err != nil {
		return err
	}
	if f.Password != "" && !hasPlaceholder(f.Password) && !f.loopback() {
		a.logger.Warn("fleet password is written in the configuration, where the admin endpoint's /config/ shows it; use {file./path/to/password}",
			zap.String("user", f.User))
	}
	a.options.Fleet = &o
	return nil
}

// options translates the options.
func (f *Fleet) options() fleet.Options {
	o := fleet.Options{
		Servers:     f.Servers,
		Credentials: f.Credentials,
		NKey:        f.NKey,
		User:        f.User,
		Name:        f.Name,
		Node:        f.Node,
		Replicas:    f.Replicas,
		Check:       f.Create == createCheck,
		Lease:       time.Duration(f.Lease),
		MaxBytes:    f.MaxSize,
		Keep:        time.Duration(f.Keep),
	}
	if f.TLS != nil {
		o.TLS = &fleet.TLS{CA: f.TLS.CA, Cert: f.TLS.Cert, Key: f.TLS.Key}
	}
	if written := f.Password; written != "" {
		o.Password = func() (string, error) { return resolvePassword(written) }
	}
	return o
}

// resolvePassword returns a password as it is now. No error holds it.
func resolvePassword(written string) (string, error) {
	password, err := caddy.NewReplacer().ReplaceOrErr(written, true, true)
	if err != nil {
		return "", fmt.Errorf("%w; use {file./path} of a readable file with the password, or {env.NAME} of a variable that is set", err)
	}
	if password = strings.TrimRight(password, "\r\n"); password == "" {
		return "", errors.New("the value is empty; use {file./path} of a file with the password")
	}
	return password, nil
}

// sample is what of the options can be checked before placeholders have values,
// and on another machine than the node's: it names neither.
func (f *Fleet) sample() fleet.Options {
	c := *f
	c.Servers = slices.DeleteFunc(slices.Clone(f.Servers), hasPlaceholder)
	if len(c.Servers) == 0 && len(f.Servers) > 0 {
		c.Servers = []string{"localhost:4222"}
	}
	if hasPlaceholder(c.Name) {
		c.Name = ""
	}
	if c.Node == "" || hasPlaceholder(c.Node) {
		c.Node = "node"
	}
	return c.options()
}

// checkNoNodes returns an error if a destination's rate is divided by hand.
func (d *Destination) checkNoNodes() error {
	if d.Nodes == 0 {
		return nil
	}
	return fmt.Errorf("nodes: %d cannot be used with fleet, where each lane has its part of rate and burst, whichever server sends it; remove nodes", d.Nodes)
}

// loopback reports whether all servers are on this machine, as a test's are.
func (f *Fleet) loopback() bool {
	return !slices.ContainsFunc(f.Servers, func(server string) bool {
		if u, err := url.Parse(server); err == nil && strings.Contains(server, "://") {
			return !loopback.Host(u.Hostname())
		}
		host, _, err := net.SplitHostPort(server)
		return err != nil || !loopback.Host(host)
	})
}
