package caddymodule

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/intilery/caddy-intilery/forwarder"
	"github.com/intilery/caddy-intilery/forwarder/wal"
)

// salvaged is a line of salvage's output. Data stands for Event when the record
// is no JSON.
type salvaged struct {
	Lane  string          `json:"lane"`
	Seq   uint64          `json:"seq"`
	Type  string          `json:"type"`
	Event json.RawMessage `json:"event,omitempty"`
	Data  []byte          `json:"data,omitempty"`
}

func salvageCommand() *cobra.Command {
	var keyFiles []string
	cmd := &cobra.Command{
		Use:   "salvage <dir>",
		Short: "Prints what can still be read of a log as JSON lines",
		Long: `
Prints each event that can still be made out in a quarantined generation
(<data_dir>/wal/quarantine-...), or in the log of a Caddy that does not run, as
a JSON line, lane by lane in order. It changes nothing. Events that were
delivered and not yet removed are printed too: compare messageIds before you
send anything by hand. What was found is told on the standard error.

A log that a running Caddy has is refused. The exit code is 1 when nothing could
be read, or when events are sealed with a key that was not given.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			keys, err := readKeys(keyFiles)
			if err != nil {
				return err
			}
			dir := args[0]
			if inner := filepath.Join(dir, "wal"); isDir(inner) {
				dir = inner // the data directory was given
			}
			if strings.HasPrefix(filepath.Base(dir), "gen-") {
				if err := refuseInUse(filepath.Dir(dir)); err != nil {
					return err
				}
			}
			out := bufio.NewWriter(cmd.OutOrStdout())
			enc := json.NewEncoder(out)
			enc.SetEscapeHTML(false)
			report, err := wal.Salvage(dir, keys, func(lane string, seq uint64, class uint8, rec []byte) error {
				line := salvaged{Lane: lane, Seq: seq, Type: forwarder.Type(class + 1).String()}
				if json.Valid(rec) {
					line.Event = rec
				} else {
					line.Data = rec
				}
				return enc.Encode(line)
			})
			if errors.Is(err, wal.ErrLocked) {
				return inUse(dir)
			}
			if err = errors.Join(err, out.Flush()); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%d events in %d packs of %d generations; %d missing, %d damaged places\n",
				report.Records, report.Packs, report.Generations, report.Missing, report.Corrupt)
			switch {
			case report.Sealed > 0:
				return fmt.Errorf("%d packs are sealed with a key that was not given; use --encryption-key", report.Sealed)
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

func isDir(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.IsDir()
}

// errEnough ends a salvage that only asks for the lock.
var errEnough = errors.New("enough")

// refuseInUse returns an error when a running Caddy has the log in dir.
func refuseInUse(dir string) error {
	if !isDir(dir) {
		return nil
	}
	_, err := wal.Salvage(dir, nil, func(string, uint64, uint8, []byte) error { return errEnough })
	if errors.Is(err, wal.ErrLocked) {
		return inUse(dir)
	}
	return nil
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
