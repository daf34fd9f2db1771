package monitoringtest

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const prefix = "caddy_intilery_"

// series are a metric's type and labels, as docs/monitoring.md has them.
type series struct {
	kind   string
	labels []string
	values []string // in code spans of its description, label values among them
}

var (
	metricRow = regexp.MustCompile("^\\| (`.+?`) \\| (counter|gauge|histogram) \\|(.*?)\\|(.*)\\|$")
	codeSpan  = regexp.MustCompile("`([^`]+)`")
)

// open names the page that has the values of a metric's label, where there are too many
// for its description. "" is for values of the site's own.
var open = map[string]string{
	"headers_rejected_total header":  "headers.md",
	"headers_rejected_total reason":  "headers.md",
	"collected_events_total outcome": "collect.md",
	"collect_refused_total code":     "collect.md",
	"requests_total code":            "",
}

// ownLabels are of the site: any value will do.
var ownLabels = []string{"destination", "server", "node", "lane", "le", "job", "instance"}

func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func codeSpans(text string) (spans []string) {
	for _, m := range codeSpan.FindAllStringSubmatch(text, -1) {
		spans = append(spans, m[1])
	}
	return spans
}

// documented returns the metrics of docs/monitoring.md by their whole name.
func documented(t *testing.T) map[string]series {
	t.Helper()
	all := make(map[string]series)
	for line := range strings.Lines(page(t, "monitoring.md")) {
		m := metricRow.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		for _, name := range codeSpans(m[1]) {
			if _, twice := all[prefix+name]; twice {
				t.Errorf("%s is documented twice", name)
			}
			all[prefix+name] = series{m[2], codeSpans(m[3]), codeSpans(m[4])}
		}
	}
	if len(all) < 40 {
		t.Fatalf("only %d metrics were found in the tables of docs/monitoring.md", len(all))
	}
	return all
}

// sampleOf returns the metric that a sample's name belongs to, and the labels that the
// sample has: those of a histogram's buckets have le.
func sampleOf(all map[string]series, name string) (metric string, labels []string, found bool) {
	if s, found := all[name]; found && s.kind != "histogram" {
		return name, s.labels, true
	}
	for _, part := range []string{"_bucket", "_sum", "_count"} {
		base, cut := strings.CutSuffix(name, part)
		if s, found := all[base]; cut && found && s.kind == "histogram" {
			labels = slices.Clone(s.labels)
			if part == "_bucket" {
				labels = append(labels, "le")
			}
			return base, labels, true
		}
	}
	return "", nil, false
}

// knownValue reports whether a documented metric's label can have the value.
func knownValue(t *testing.T, all map[string]series, metric, label, value string) bool {
	t.Helper()
	if slices.Contains(ownLabels, label) {
		return true
	}
	if file, found := open[strings.TrimPrefix(metric, prefix)+" "+label]; found {
		return file == "" || strings.Contains(page(t, file), "`"+value+"`") || slices.Contains(all[metric].values, value)
	}
	return slices.Contains(all[metric].values, value)
}
