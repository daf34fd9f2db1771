package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/intilery/caddy-intilery/forwarder"
)

func deadLettersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead-letters <command>",
		Short: "Lists, replays or purges the events that Intilery refused for good",
	}
	cmd.AddCommand(listCommand(), replayCommand(), purgeCommand())
	return cmd
}

func addFilterFlags(cmd *cobra.Command) {
	cmd.Flags().String("destination", "", "Only those of this destination")
	cmd.Flags().StringArray("message-id", nil, "Only the one with this messageId; may be repeated")
}

// filterQuery is the filter as the admin API takes it.
func filterQuery(cmd *cobra.Command) (url.Values, error) {
	query := url.Values{}
	destination, err := cmd.Flags().GetString("destination")
	if err != nil {
		return nil, err
	}
	if destination != "" {
		query.Set("destination", destination)
	}
	ids, err := cmd.Flags().GetStringArray("message-id")
	for _, id := range ids {
		query.Add("message_id", id)
	}
	return query, err
}

func listCommand() *cobra.Command {
	var limit int
	var withEvents bool
	var dataDir string
	var keyFiles []string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Lists the latest dead letters",
		Long: `
Lists the latest dead letters, oldest first.

With --data-dir it reads them from the directory of a Caddy that does not run,
and refuses one that a running Caddy has.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query, err := filterQuery(cmd)
			if err != nil {
				return err
			}
			var list deadLetterList
			if dataDir != "" {
				if list, err = offlineDeadLetters(dataDir, keyFiles, query, limit, withEvents); err != nil {
					return err
				}
				if asJSON, err := cmd.Flags().GetBool("json"); asJSON || err != nil {
					return errors.Join(err, json.NewEncoder(cmd.OutOrStdout()).Encode(list))
				}
			} else {
				query.Set("limit", strconv.Itoa(limit))
				query.Set("events", strconv.FormatBool(withEvents))
				if done, err := ask(cmd, http.MethodGet, "dead-letters", query, nil, &list); done || err != nil {
					return err
				}
			}
			return list.print(cmd.OutOrStdout())
		},
	}
	addFilterFlags(cmd)
	addAdminFlags(cmd)
	addJSONFlag(cmd)
	cmd.Flags().IntVar(&limit, "limit", defaultListed, "At most so many")
	cmd.Flags().BoolVar(&withEvents, "events", false, "Show the events themselves")
	cmd.Flags().StringVar(&dataDir, "data-dir", "", "Read this data directory, while no Caddy uses it")
	addKeyFlag(cmd, &keyFiles)
	return cmd
}

func offlineDeadLetters(dir string, keyFiles []string, query url.Values, limit int, withEvents bool) (list deadLetterList, err error) {
	if limit < 1 || limit > maxListed {
		return list, fmt.Errorf("--limit: %d is not accepted; use 1 to %d", limit, maxListed)
	}
	filter, err := deadLetterFilter(query)
	if err != nil {
		return list, err
	}
	keys, err := readKeys(keyFiles)
	if err != nil {
		return list, err
	}
	if _, err := os.Stat(dir); err != nil {
		return list, err
	}
	if used, _ := forwarder.InUse(dir); used { // if that is not known, they are read, or cannot be
		return list, inUse(dir)
	}
	found, err := forwarder.ReadDeadLetters(dir, keys, filter, limit)
	if err != nil {
		return list, err
	}
	list.Letters = []deadLetterEntry{}
	list.add(found, withEvents)
	return list, nil
}

func (l *deadLetterList) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(l.Letters) > 0 {
		fmt.Fprintln(w, "TIME\tDESTINATION\tSTATUS\tEVENT\tMESSAGE ID\tREASON")
	}
	for _, e := range l.Letters {
		reason := e.Reason
		if e.Message != "" {
			reason += ": " + e.Message
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\n", e.Time.UTC().Format(time.RFC3339), printable(e.Destination), e.Status, printable(e.Name), printable(e.MessageID), printable(reason))
		if e.Event != nil {
			if err := w.Flush(); err != nil {
				return err
			}
			fmt.Fprintf(w, "%s\n", printable(string(e.Event)))
		}
	}
	fmt.Fprintf(w, "%d of %s\n", len(l.Letters), plural(uint64(l.Matched), "dead letter"))
	if l.Damaged > 0 {
		fmt.Fprintf(w, "%d lines cannot be read\n", l.Damaged)
	}
	return w.Flush()
}

func replayCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replay",
		Short: "Sends dead letters again, after what waits",
		Long: `
Hands the dead letters to the log again, with their old messageIds. Each is a
dead letter until the log has it on disk, so none is lost; when Caddy is killed
in between, a second replay may send some twice.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query, err := filterQuery(cmd)
			if err != nil {
				return err
			}
			var n struct{ Replayed, Kept int }
			done, err := ask(cmd, http.MethodPost, "dead-letters/replay", query, nil, &n)
			if done || err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s will be sent again\n", plural(uint64(n.Replayed), "dead letter"))
			if n.Kept > 0 {
				return fmt.Errorf("%s kept: the destination is not configured", plural(uint64(n.Kept), "dead letter"))
			}
			return nil
		},
	}
	addFilterFlags(cmd)
	addAdminFlags(cmd)
	addJSONFlag(cmd)
	return cmd
}

func purgeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "purge --all | --destination <name> | --message-id <id>...",
		Short: "Removes dead letters for good",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query, err := filterQuery(cmd)
			if err != nil {
				return err
			}
			all, err := cmd.Flags().GetBool("all")
			if err != nil {
				return err
			}
			if all == (len(query) > 0) {
				return errors.New("use --destination or --message-id to say which dead letters go, or --all")
			}
			if all {
				query.Set("all", "true")
			}
			var n struct{ Purged int }
			done, err := ask(cmd, http.MethodDelete, "dead-letters", query, nil, &n)
			if done || err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s removed\n", plural(uint64(n.Purged), "dead letter"))
			return nil
		},
	}
	addFilterFlags(cmd)
	addAdminFlags(cmd)
	addJSONFlag(cmd)
	cmd.Flags().Bool("all", false, "All of them")
	return cmd
}
