package caddymodule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "intilery",
		Usage: "<command>",
		Short: "Looks after a site's events and identity cookies",
		Long: `
Looks after the events on their way to Intilery: what waits, what was refused
for good, and what must be forgotten; and after a site's identity cookies.

All but 'check', 'doctor', 'salvage', 'fleet plan', and 'dead-letters list' with --data-dir, talk
to the Caddy that runs, at its admin API, '` + caddy.DefaultAdminListen + `' unless --address or --config says
otherwise. Their exit code is 0 when all was done, and 1 when it was not.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.AddCommand(statusCommand(), deadLettersCommand(), eraseCommand(), salvageCommand(), doctorCommand(), checkCommand(), fleetCommand(), pageCommand())
		},
	})
}

// addAdminFlags adds the flags that Caddy's own commands have.
func addAdminFlags(cmd *cobra.Command) {
	cmd.Flags().String("address", "", "Address of the administration API listener (if --config is not used)")
	cmd.Flags().StringP("config", "c", "", "Configuration file (if --address is not used)")
	cmd.Flags().StringP("adapter", "a", "", "Name of config adapter to apply (if --config is used)")
}

func addJSONFlag(cmd *cobra.Command) {
	cmd.Flags().Bool("json", false, "Print JSON")
}

// ask calls the admin API and decodes its answer, or writes it as it is when
// --json is given; done tells which.
func ask(cmd *cobra.Command, method, path string, query url.Values, body, answer any) (done bool, err error) {
	fl := caddycmd.Flags{FlagSet: cmd.Flags()}
	address, err := caddycmd.DetermineAdminAPIAddress(fl.String("address"), nil, fl.String("config"), fl.String("adapter"))
	if err != nil {
		return false, fmt.Errorf("finding the admin API: %w", err)
	}
	uri := adminPath + path
	if len(query) > 0 {
		uri += "?" + query.Encode()
	}
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return false, err
		}
		reader = bytes.NewReader(text)
	}
	resp, err := caddycmd.AdminAPIRequest(address, method, uri, http.Header{}, reader)
	if err != nil {
		// Caddy's error is text only, and tells a refusal from silence.
		if strings.HasPrefix(err.Error(), "performing request") {
			err = fmt.Errorf("no Caddy answers at %s; start it, or give its admin address with --address: %w", address, err)
		}
		return false, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return false, fmt.Errorf("reading the answer: %w", err)
	}
	if fl.Lookup("json") != nil && fl.Bool("json") {
		_, err := cmd.OutOrStdout().Write(text)
		return true, err
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return false, fmt.Errorf("the answer at %s is not that of this module: %w", address, err)
	}
	return false, nil
}

func eraseCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "erase --user-id <id> | --anonymous-id <id>",
		Short: "Removes a visitor's undelivered events",
		Long: `
Removes the undelivered events that carry the ID: from memory, from the log on
disk and from the dead letters. What Intilery has already is not touched: erase
it there as well. A line is added to audit.jsonl in the data directory, with a
keyed digest in place of the ID.

Erase a visitor by each of its IDs: events from before a login carry the
anonymousId only.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			body := map[string]string{}
			for flag, field := range map[string]string{"user-id": "user_id", "anonymous-id": "anonymous_id"} {
				if cmd.Flags().Changed(flag) {
					body[field] = caddycmd.Flags{FlagSet: cmd.Flags()}.String(flag)
				}
			}
			if len(body) != 1 {
				return errors.New("use one of --user-id and --anonymous-id")
			}
			var n struct {
				Memory, Log int
				DeadLetters int `json:"dead_letters"`
				Quarantined int
			}
			done, err := ask(cmd, http.MethodPost, "erase", nil, body, &n)
			if done || err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "erased: %d in memory, %d in the log, %s\n", n.Memory, n.Log, plural(uint64(n.DeadLetters), "dead letter"))
			if n.Quarantined > 0 {
				fmt.Fprintf(out, "%s not looked into; they are never sent; remove their directories\n", plural(uint64(n.Quarantined), "quarantined segment"))
			}
			return nil
		},
	}
	cmd.Flags().String("user-id", "", "The user's ID")
	cmd.Flags().String("anonymous-id", "", "The visitor's anonymousId")
	addAdminFlags(cmd)
	addJSONFlag(cmd)
	return cmd
}
