package preflight

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/intilery/caddy-intilery/internal/terminal"
)

// Verdict says how much a finding matters.
type Verdict string

// The verdicts.
const (
	OK      Verdict = "ok"
	Note    Verdict = "note"
	Warning Verdict = "warning"
	Problem Verdict = "problem"
)

// Finding is one thing that was seen.
type Finding struct {
	Verdict Verdict `json:"verdict"`
	Topic   string  `json:"topic"`
	Text    string  `json:"text"`
	// Fix is what to do about it, "" for nothing.
	Fix string `json:"fix,omitempty"`
}

// Section is what was found of one thing, such as a destination.
type Section struct {
	Subject  string    `json:"subject"`
	Findings []Finding `json:"findings"`
}

// Report is what was found of a configuration.
type Report struct{ sections []*Section }

// maxShown bounds each text of others in a finding, in characters.
const maxShown = 300

// Section begins a section.
func (r *Report) Section(format string, args ...any) *Section {
	s := &Section{Subject: terminal.Printable(fmt.Sprintf(format, args...)), Findings: []Finding{}}
	r.sections = append(r.sections, s)
	return s
}

// Add adds a finding. Texts and errors among args are cut to a bounded length.
func (s *Section) Add(v Verdict, topic, fix, format string, args ...any) {
	for i, arg := range args {
		switch arg := arg.(type) {
		case string:
			args[i] = terminal.Shorten(arg, maxShown)
		case error:
			args[i] = terminal.Shorten(arg.Error(), maxShown)
		}
	}
	s.Findings = append(s.Findings, Finding{
		Verdict: v, Topic: topic, Text: terminal.Printable(fmt.Sprintf(format, args...)), Fix: terminal.Printable(fix),
	})
}

// Count returns how many findings have a verdict.
func (r *Report) Count(v Verdict) (n int) {
	for _, s := range r.sections {
		for _, f := range s.Findings {
			if f.Verdict == v {
				n++
			}
		}
	}
	return n
}

// Write prints the report as text for a terminal: by section a line for each finding,
// and a line below it that says how to fix it.
func (r *Report) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range r.sections {
		fmt.Fprintf(t, "%s\n", s.Subject)
		for _, f := range s.Findings {
			fmt.Fprintf(t, "  %s\t%s\t%s\n", f.Verdict, f.Topic, f.Text)
			if f.Fix != "" {
				fmt.Fprintf(t, "  \t\tfix: %s\n", f.Fix)
			}
		}
		fmt.Fprintln(t)
	}
	fmt.Fprintf(t, "problems: %d, warnings: %d\n", r.Count(Problem), r.Count(Warning))
	return t.Flush()
}

// MarshalJSON writes the sections in their order, and the numbers of problems and
// warnings.
func (r *Report) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Problems int        `json:"problems"`
		Warnings int        `json:"warnings"`
		Sections []*Section `json:"sections"`
	}{r.Count(Problem), r.Count(Warning), r.sections})
}

// Interface guard
var _ json.Marshaler = (*Report)(nil)
