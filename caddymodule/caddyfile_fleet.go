package caddymodule

import (
	"errors"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/intilery/caddy-intilery/forwarder/fleet"
)

// unmarshalFleet reads the option fleet, which all destinations share, and refuses it
// beside nodes.
func (b *blocks) unmarshalFleet(d *caddyfile.Dispenser, dest *Destination) error {
	at := *d
	f := new(Fleet)
	if err := f.unmarshalCaddyfile(d); err != nil {
		return err
	}
	if b.Fleet != nil {
		if !reflect.DeepEqual(b.Fleet, f) {
			return at.Err("fleet: differs from an earlier block; all destinations share one")
		}
		return nil // nodes is refused where it stands
	}
	b.Fleet = f
	if err := dest.checkNoNodes(); err != nil {
		return at.WrapErr(err)
	}
	for name, earlier := range b.Destinations {
		if err := earlier.checkNoNodes(); err != nil {
			return at.Errf("destination %s: %w", name, err)
		}
	}
	return nil
}

// unmarshalCaddyfile reads what comes after the word fleet. A wrong value is reported
// at its option's line.
//
//	fleet nats {
//		servers     <url>...
//		credentials <path>
//		nkey        <path>
//		user        <name>
//		password    <password>
//		tls {
//			ca   <path>
//			cert <path>
//			key  <path>
//		}
//		name     <name>
//		node     <name>
//		replicas 1|3|5
//		create   on|check
//		lease    <duration>
//		max_size <bytes>
//		keep     <duration>
//	}
func (f *Fleet) unmarshalCaddyfile(d *caddyfile.Dispenser) error {
	at := *d
	if args := d.RemainingArgs(); !slices.Equal(args, []string{"nats"}) {
		return d.Errf("fleet: %q is not accepted; use fleet nats { ... }", strings.Join(args, " "))
	}
	lines, err := optionLines(d, f.unmarshalOption)
	if err != nil {
		return err
	}
	_, err = f.sample().WithDefaults()
	var wrong *fleet.OptionError
	if errors.As(err, &wrong) {
		if line, ok := lines[wrong.Option]; ok {
			at = line
		}
	}
	return wrap(&at, err)
}

func (f *Fleet) unmarshalOption(d *caddyfile.Dispenser) error {
	switch option := d.Val(); option {
	case "servers":
		f.Servers = d.RemainingArgs()
		return nil
	case "credentials":
		return argument(d, &f.Credentials)
	case "nkey":
		return argument(d, &f.NKey)
	case "user":
		return argument(d, &f.User)
	case "password":
		return argument(d, &f.Password)
	case "tls":
		f.TLS = new(FleetTLS)
		return f.TLS.unmarshalCaddyfile(d)
	case "name":
		return argument(d, &f.Name)
	case "node":
		return argument(d, &f.Node)
	case "replicas":
		return f.unmarshalReplicas(d)
	case "create":
		return oneOf(d, &f.Create, createOn, createCheck)
	case "lease":
		return duration(d, &f.Lease)
	case "max_size":
		return f.unmarshalMaxSize(d)
	case "keep":
		return duration(d, &f.Keep)
	default:
		return d.Errf("fleet: unknown option %q; use servers, credentials, nkey, user, password, tls, name, node, replicas, "+
			"create, lease, max_size or keep", option)
	}
}

// unmarshalReplicas reads a number. 0 is none: it would be the default.
func (f *Fleet) unmarshalReplicas(d *caddyfile.Dispenser) error {
	var text string
	if err := argument(d, &text); err != nil {
		return err
	}
	n, err := strconv.Atoi(text)
	if err != nil || n == 0 {
		return d.WrapErr(notAccepted("fleet replicas", text, "1, 3 or 5"))
	}
	f.Replicas = n
	return nil
}

// unmarshalMaxSize reads a number of bytes, and names it as it is written.
func (f *Fleet) unmarshalMaxSize(d *caddyfile.Dispenser) error {
	var text string
	if err := argument(d, &text); err != nil {
		return err
	}
	n, err := humanize.ParseBytes(text)
	if err != nil || n < fleet.MinMaxBytes || n > math.MaxInt64 {
		return d.WrapErr(notAccepted("fleet max_size", text, humanize.IBytes(fleet.MinMaxBytes)+" or more"))
	}
	f.MaxSize = int64(n)
	return nil
}

// unmarshalCaddyfile reads the block after the word tls, which may be left out.
func (t *FleetTLS) unmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if d.CountRemainingArgs() > 0 {
		return d.Errf("fleet tls: unexpected %q; use tls { ... }", d.RemainingArgs()[0])
	}
	given := make(options)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := given.once(d); err != nil {
			return err
		}
		value, ok := map[string]*string{"ca": &t.CA, "cert": &t.Cert, "key": &t.Key}[d.Val()]
		if !ok {
			return d.Errf("fleet tls: unknown option %q; use ca, cert or key", d.Val())
		}
		if err := argument(d, value); err != nil {
			return err
		}
	}
	return nil
}
