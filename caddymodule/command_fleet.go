package caddymodule

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/intilery/caddy-intilery/forwarder"
	"github.com/intilery/caddy-intilery/forwarder/fleet"
)

func fleetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fleet <command>",
		Short: "Helps to set up a fleet",
	}
	cmd.AddCommand(planCommand())
	return cmd
}

func planCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plan --config <file> [--adapter <name>] [--node <name>]",
		Short: "Prints the streams and permissions that a fleet needs",
		Long: `
Prints each stream of the fleet with its settings, as JSON for
'nats stream add --config', and then the subjects that the user of a node must be
allowed to publish and subscribe to. It is for an administrator who makes the
streams, with the option 'fleet { create check }'. It asks no server.

A node's name is a part of some subjects. It is the configuration's, or this host's,
unless --node says otherwise.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			fl := caddycmd.Flags{FlagSet: cmd.Flags()}
			config, _, _, err := caddycmd.LoadConfig(fl.String("config"), fl.String("adapter"))
			if err != nil {
				return err
			}
			layout, err := planOf(config, fl.String("node"))
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), layout)
			return err
		},
	}
	cmd.Flags().StringP("config", "c", "", "Configuration file")
	cmd.Flags().StringP("adapter", "a", "", "Name of config adapter to apply")
	cmd.Flags().String("node", "", "The name of the node whose permissions are printed")
	return cmd
}

// planOf returns what the fleet of a configuration needs. Of placeholders it replaces
// those that names are made of; the others may have values on the nodes only.
func planOf(config []byte, node string) (fleet.Layout, error) {
	var c struct {
		Apps struct{ Intilery *App } `json:"apps"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return fleet.Layout{}, fmt.Errorf("the configuration: %w", err)
	}
	app := c.Apps.Intilery
	if app == nil || app.Fleet == nil {
		return fleet.Layout{}, errors.New("the configuration has no fleet; add fleet nats { ... } to the global option intilery")
	}
	if node != "" {
		app.Fleet.Node = node
	}
	repl := caddy.NewReplacer()
	if err := replace(repl, "fleet name", &app.Fleet.Name); err != nil {
		return fleet.Layout{}, err
	}
	if err := replace(repl, "fleet node", &app.Fleet.Node); err != nil {
		return fleet.Layout{}, fmt.Errorf("%w; or give the node's name with --node", err)
	}
	o := app.Fleet.sample()
	o.Node = app.Fleet.Node
	o.MaxAge = cmp.Or(time.Duration(app.MaxAge), forwarder.DefaultMaxAge)
	return fleet.Plan(o, slices.Sorted(maps.Keys(app.Destinations)))
}
