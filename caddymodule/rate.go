package caddymodule

import (
	"fmt"
	"math"
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Bounds of a destination's rate, burst and nodes.
const (
	maxRate  = 10_000
	maxBurst = 10_000
	maxNodes = 1_000
)

// checkRate checks rate, burst and nodes, of which 0 is the default.
func (d *Destination) checkRate() error {
	switch {
	case d.Rate < 0 || d.Rate > maxRate || math.IsNaN(d.Rate):
		return fmt.Errorf("rate: %v is not accepted; use requests per second above 0, up to %d", d.Rate, maxRate)
	case d.Burst < 0 || d.Burst > maxBurst:
		return fmt.Errorf("burst: %d is not accepted; use 1 to %d", d.Burst, maxBurst)
	case d.Nodes < 0 || d.Nodes > maxNodes:
		return fmt.Errorf("nodes: %d is not accepted; use 1 to %d", d.Nodes, maxNodes)
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
		if err != nil || !(n > 0) {
			return dis.Errf("rate: %q is not accepted; use requests per second above 0, such as 80", text)
		}
		d.Rate = n
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return dis.Errf("%s: %q is not accepted; use a whole number from 1", option, text)
	}
	if option == "burst" {
		d.Burst = n
	} else {
		d.Nodes = n
	}
	return nil
}
