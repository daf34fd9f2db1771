package doctor

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/intilery/caddy-intilery/internal/terminal"
)

// verdict says how much a finding matters.
type verdict string

const (
	fine    verdict = "ok"
	note    verdict = "note"
	problem verdict = "problem"
)

// finding is one thing that was seen.
type finding struct {
	verdict verdict
	topic   string
	text    string
	fix     string // what to do about it, "" for nothing
}

// Report is what was found at a site.
type Report struct {
	site      string
	findings  []finding
	lifetimes []lifetime
}

// maxShown bounds each value of a site or a name server in a report, in
// characters.
const maxShown = 120

// add adds a finding, unless it is there already. Texts among args are cut to
// maxShown.
func (r *Report) add(v verdict, topic, fix, format string, args ...any) {
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = terminal.Shorten(text, maxShown)
		}
	}
	f := finding{v, topic, fmt.Sprintf(format, args...), fix}
	if !slices.Contains(r.findings, f) {
		r.findings = append(r.findings, f)
	}
}

// has reports a finding on a topic, of the given verdicts if there are any.
func (r *Report) has(topic string, of ...verdict) bool {
	return slices.ContainsFunc(r.findings, func(f finding) bool {
		return f.topic == topic && (len(of) == 0 || slices.Contains(of, f.verdict))
	})
}

// Finding is one thing that was seen, as text that is safe to print.
type Finding struct {
	Verdict string // "ok", "note" or "problem"
	Topic   string
	Text    string
	Fix     string // what to do about it, "" for nothing
}

// Findings returns what was found, without the lifetimes.
func (r *Report) Findings() []Finding {
	out := make([]Finding, len(r.findings))
	for i, f := range r.findings {
		out[i] = Finding{string(f.verdict), terminal.Printable(f.topic), terminal.Printable(f.text), terminal.Printable(f.fix)}
	}
	return out
}

// Problems returns how many findings lose identities or events, or mix them up.
func (r *Report) Problems() (n int) {
	for _, f := range r.findings {
		if f.verdict == problem {
			n++
		}
	}
	return n
}

// Write prints the report as text for a terminal: a line for each finding, a
// line below it that says how to fix it, and a table of lifetimes by browser.
func (r *Report) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s\n\n", terminal.Printable(terminal.Shorten(r.site, maxAddress)))
	for _, f := range r.findings {
		fmt.Fprintf(t, "%s\t%s\t%s\n", f.verdict, terminal.Printable(f.topic), terminal.Printable(f.text))
		if f.fix != "" {
			fmt.Fprintf(t, "\t\tfix: %s\n", terminal.Printable(f.fix))
		}
	}
	fmt.Fprintf(t, "\nbrowser\tkeeper\treadable cookie\n")
	for _, l := range r.lifetimes {
		fmt.Fprintf(t, "%s\t%s\t%s\n", l.browser, l.keeper, l.readable)
	}
	return t.Flush()
}

// maxAddress bounds an address that is printed, in characters.
const maxAddress = 1000

// printableError is an error whose text is safe to print: net/http quotes
// what a server sent.
type printableError struct{ err error }

func (e printableError) Error() string {
	return terminal.Printable(terminal.Shorten(e.err.Error(), maxAddress))
}
func (e printableError) Unwrap() error { return e.err }
