package caddymodule

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/intilery/caddy-intilery/forwarder"
	"github.com/intilery/caddy-intilery/forwarder/event"
)

// salvaged is a line of salvage's output. Data stands for Event when the record
// is no event.
type salvaged struct {
	Lane  string          `json:"lane"`
	Event json.RawMessage `json:"event,omitempty"`
	Data  []byte          `json:"data,omitempty"`
}

func salvageCommand() *cobra.Command {
	var keyFiles []string
	cmd := &cobra.Command{
		Use:   "salvage <dir>",
		Short: "Prints what can still be read of a queue as JSON lines",
		Long: `
Prints each event that can still be made out in a quarantined segment
(<data_dir>/wal/quarantine-...), or in the queue of a Caddy that does not run, as
a JSON line, each lane's in order. It changes nothing. Events that were
delivered and not yet removed are printed too: compare messageIds before you
send anything by hand. What was found is reported on the standard error.

A queue that a running Caddy has is refused. The exit code is 1 when nothing
could be read, or when events are encrypted with a key that was not given.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			keys, err := readKeys(keyFiles)
			if err != nil {
				return err
			}
			dir := args[0]
			out := bufio.NewWriter(cmd.OutOrStdout())
			enc := json.NewEncoder(out)
			enc.SetEscapeHTML(false)
			report, err := forwarder.Salvage(dir, keys, func(lane string, rec []byte) error {
				line := salvaged{Lane: lane}
				if event.IsStored(rec) {
					line.Event = asJSON(rec)
				} else {
					line.Data = rec
				}
				return enc.Encode(line)
			})
			if errors.Is(err, forwarder.ErrInUse) {
				return inUse(dir)
			}
			if err = errors.Join(err, out.Flush()); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s in %s of %s; %d missing, %s\n",
				plural(report.Records, "event"), plural(uint64(report.Blocks), "block"), plural(uint64(report.Segments), "segment"),
				report.Missing, plural(uint64(report.Damaged), "damaged place"))
			switch {
			case report.Encrypted > 0:
				return fmt.Errorf("encrypted with a key that was not given: %s; use --encryption-key", plural(uint64(report.Encrypted), "block"))
			case report.Records == 0:
				return fmt.Errorf("%s holds no event that can be read", dir)
			}
			return nil
		},
	}
	addKeyFlag(cmd, &keyFiles)
	return cmd
}

func addKeyFlag(cmd *cobra.Command, files *[]string) {
	cmd.Flags().StringArrayVar(files, "encryption-key", nil, "A file with a key of encryption_key; may be repeated")
}

// readKeys reads files with one key each.
func readKeys(files []string) (keys [][]byte, err error) {
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("--encryption-key: %w", err)
		}
		key, err := decodeKeys([]string{string(text)}, nil)
		if err != nil {
			return nil, fmt.Errorf("--encryption-key %s: %w", name, err)
		}
		keys = append(keys, key...)
	}
	return keys, nil
}

func inUse(dir string) error {
	return fmt.Errorf("%s is in use by a running Caddy; stop it first, or use a command that asks it", dir)
}

// printable keeps what comes from outside from steering a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
