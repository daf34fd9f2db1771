package caddymodule

import (
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// rateLimits are the bounds of a destination's rate, burst and nodes: above 0, and
// up to max.
var rateLimits = map[string]struct {
	max      float64
	accepted string
}{
	"rate":  {10_000, "requests per second above 0, up to 10000"},
	"burst": {10_000, "a whole number from 1 to 10000"},
	"nodes": {1_000, "a whole number from 1 to 1000"},
}

// checkRate checks one of them, and names it as it is written.
func checkRate(option string, n float64, written any) error {
	limits := rateLimits[option]
	if n > 0 && n <= limits.max {
		return nil
	}
	return notAccepted(option, written, limits.accepted)
}

// checkRates checks rate, burst and nodes, of which 0 is the default.
func (d *Destination) checkRates() error {
	for _, o := range []struct {
		option  string
		n       float64
		written any
	}{{"rate", d.Rate, d.Rate}, {"burst", float64(d.Burst), d.Burst}, {"nodes", float64(d.Nodes), d.Nodes}} {
		if o.n == 0 {
			continue
		}
		if err := checkRate(o.option, o.n, o.written); err != nil {
			return err
		}
	}
	return nil
}

// unmarshalRate reads rate, burst or nodes.
func (d *Destination) unmarshalRate(dis *caddyfile.Dispenser) error {
	option := dis.Val()
	var text string
	if err := argument(dis, &text); err != nil {
		return err
	}
	if option == "rate" {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			n = 0
		}
		d.Rate = n
		return wrap(dis, checkRate(option, n, text))
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		n = 0
	}
	if option == "burst" {
		d.Burst = n
	} else {
		d.Nodes = n
	}
	return wrap(dis, checkRate(option, float64(n), text))
}
