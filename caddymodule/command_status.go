package caddymodule

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
)

func statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Shows what waits, what was sent and what is wrong",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var answer struct{ Queues []queueStatus }
			done, err := ask(cmd, http.MethodGet, "status", nil, nil, &answer)
			if done || err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if len(answer.Queues) == 0 {
				fmt.Fprintln(out, "no queue is in use: the configuration has no intilery option")
			}
			for _, q := range answer.Queues {
				q.print(out)
			}
			return nil
		},
	}
	addAdminFlags(cmd)
	addJSONFlag(cmd)
	return cmd
}

func (q *queueStatus) print(out io.Writer) {
	fmt.Fprintf(out, "queue %s\n", q.DataDir)
	fmt.Fprintf(out, "  log            %s", q.Log.Condition)
	if q.Log.Reason != "" {
		fmt.Fprintf(out, ": %s", q.Log.Reason)
	}
	fmt.Fprintf(out, "\n  waiting        %s", plural(q.Log.Pending, "event"))
	if q.Log.Pending > 0 {
		fmt.Fprintf(out, ", the oldest for %s", seconds(q.Log.OldestAgeSeconds))
	}
	fmt.Fprintln(out)
	fmt.Fprintf(out, "  disk           %s used, %s free\n", humanize.IBytes(uint64(max(0, q.Log.DiskBytes))), humanize.IBytes(uint64(max(0, q.Log.FreeBytes))))
	if q.Log.Quarantined > 0 {
		fmt.Fprintf(out, "  quarantined    %s\n", plural(uint64(q.Log.Quarantined), "segment"))
	}
	fmt.Fprintf(out, "  dead letters   %d\n", q.DeadLetters.Kept)
	if text := sums(q.Lost); text != "" {
		fmt.Fprintf(out, "  lost           %s\n", text)
	}
	for _, kind := range slices.Sorted(maps.Keys(q.Shed)) {
		if text := sums(q.Shed[kind]); text != "" {
			fmt.Fprintf(out, "  shed           %s: %s\n", kind, text)
		}
	}
	if text := sums(q.Collected.Events); text != "" {
		fmt.Fprintf(out, "  collected      %s\n", text)
	}
	if text := sums(q.Collected.Refused); text != "" {
		fmt.Fprintf(out, "  refused        %s\n", text)
	}
	if q.Fleet != nil {
		q.Fleet.print(out)
	}
	for _, name := range slices.Sorted(maps.Keys(q.Destinations)) {
		d := q.Destinations[name]
		fmt.Fprintf(out, "destination %s\n", name)
		fmt.Fprintf(out, "  delivery       %s\n", d.delivery())
		fmt.Fprintf(out, "  waiting        %s%s\n", plural(d.Pending, "event"), d.drain())
		if text := sums(d.Lost); text != "" {
			fmt.Fprintf(out, "  lost           %s\n", text)
		}
		fmt.Fprintf(out, "  captured       %d\n  acknowledged   %d\n  dead-lettered  %d\n", d.Captured.sum(), d.Acknowledged.sum(), d.DeadLettered.sum())
	}
}

func (d *destinationStatus) delivery() string {
	switch {
	case !d.Sending:
		return "none: no configuration in force names it"
	case d.Paused != "":
		text := "paused: " + string(d.Paused)
		if d.PausedSince != nil {
			text += ", since " + d.PausedSince.Format(time.RFC3339)
		}
		if d.NextTry != nil {
			text += ", next try " + d.NextTry.Format(time.RFC3339)
		}
		return text
	}
	return fmt.Sprintf("ok, up to %.3g requests/s", d.Rate)
}

func (d *destinationStatus) drain() string {
	if d.Pending == 0 || d.DrainSeconds == nil {
		return ""
	}
	return ", sent in about " + seconds(*d.DrainSeconds)
}

func (c counts) sum() uint64 { return c.Page + c.Track + c.Identify }

func plural(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	if d >= time.Second {
		d = d.Round(time.Second)
	} else {
		d = d.Round(time.Millisecond)
	}
	return d.String()
}

// sums lists counts that are not zero.
func sums[K ~string](counts map[K]uint64) string {
	var list []string
	for _, cause := range slices.Sorted(maps.Keys(counts)) {
		if n := counts[cause]; n > 0 {
			list = append(list, fmt.Sprintf("%d %s", n, cause))
		}
	}
	return strings.Join(list, ", ")
}
