package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/intilery/caddy-intilery/doctor"
	"github.com/intilery/caddy-intilery/preflight"
)

// Exit codes of the check.
const (
	exitProblems  = 1
	exitUnchecked = 2
)

// checkCommand is `caddy intilery check`.
func checkCommand() *cobra.Command {
	var c check
	var user string
	cmd := &cobra.Command{
		Use:   "check [--config <file>] [--adapter <name>]",
		Short: "Checks what a configuration needs, without starting it",
		Long: `
Reads a configuration as 'caddy run' does, the Caddyfile in this directory unless
--config says otherwise, and looks at what the module needs: for each destination
the endpoint's name, connection and certificate, whether Intilery accepts the token
for the account and brand, and this machine's clock; the data directory; the fleet's
brokers; and what 'doctor' says about each site that is up. It says how to fix what
is wrong. A Caddy that runs is not disturbed, and no file is made or changed.

Intilery is sent two empty batches for each destination, one of them with a wrong
token on purpose: they hold no event, so none is stored or billed. --no-call leaves
them out. The visits to sites are real: each site counts the doctor's visitors and
pages. --no-sites leaves them out.

The exit code is 0 if there is no problem, though there may be warnings; 1 if there
is one; and 2 if nothing was checked, because the command line is wrong or the
configuration cannot be read.`,
		Args: func(cmd *cobra.Command, args []string) error { return unchecked(cmd, cobra.NoArgs(cmd, args)) },
	}
	cmd.SetFlagErrorFunc(unchecked)
	cmd.Flags().StringP("config", "c", "", "Configuration file")
	cmd.Flags().StringP("adapter", "a", "", "Name of config adapter to apply")
	cmd.Flags().StringVar(&user, "user", "", "The user that Caddy runs as (default: the one who runs this command)")
	cmd.Flags().BoolVar(&c.NoCall, "no-call", false, "Do not call Intilery")
	cmd.Flags().StringArrayVar(&c.sites, "site", nil, "Visit this page instead of the configuration's sites; may be repeated")
	cmd.Flags().BoolVar(&c.noSites, "no-sites", false, "Visit no site")
	cmd.Flags().DurationVar(&c.Timeout, "timeout", preflight.DefaultTimeout, "How long each step may take, such as a call")
	addJSONFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return caddycmd.WrapCommandFuncForCobra(func(fl caddycmd.Flags) (int, error) {
			return c.execute(cmd, fl, user)
		})(cmd, args)
	}
	return cmd
}

// unchecked gives an error of the command line the exit code that it has here.
func unchecked(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return exitUnchecked, err })(cmd, nil)
}

// execute runs the check and prints the report.
func (c *check) execute(cmd *cobra.Command, fl caddycmd.Flags, user string) (exitCode int, err error) {
	if err := c.checkFlags(user); err != nil {
		return exitUnchecked, err
	}
	config, _, _, err := caddycmd.LoadConfig(fl.String("config"), fl.String("adapter"))
	if err != nil {
		return exitUnchecked, err
	}
	if len(config) == 0 {
		return exitUnchecked, errors.New("there is no Caddyfile in this directory; name a configuration with --config")
	}
	if err := c.run(cmd.Context(), config); err != nil {
		return exitUnchecked, err
	}
	out := cmd.OutOrStdout()
	if fl.Bool("json") {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		err = enc.Encode(&c.report)
	} else {
		err = c.report.Write(out)
	}
	if err != nil {
		return exitProblems, err
	}
	if n := c.report.Count(preflight.Problem); n > 0 {
		return exitProblems, fmt.Errorf("problems found: %d", n)
	}
	return caddy.ExitCodeSuccess, nil
}

func (c *check) checkFlags(user string) (err error) {
	if c.Timeout <= 0 {
		return notAccepted("--timeout", c.Timeout, "more than 0, such as "+preflight.DefaultTimeout.String())
	}
	if c.noSites && len(c.sites) > 0 {
		return errors.New("--site and --no-sites exclude each other")
	}
	for _, page := range c.sites {
		if _, err := doctor.SiteURL(page); err != nil {
			return fmt.Errorf("--site: %w", err)
		}
	}
	if user != "" {
		if c.user, err = preflight.LookupUser(user); err != nil {
			return fmt.Errorf("--user: %w", err)
		}
	}
	return nil
}
