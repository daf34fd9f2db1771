package caddymodule

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
)

// What is scraped equals what happened, before and after a reload, in a
// registry as strict as Caddy's; and no label holds anything of a visitor.
func TestMetricsSurviveReload(t *testing.T) {
	r := newRig(t)
	scrape := func() string {
		registry := prometheus.NewPedanticRegistry()
		if err := registerMetrics(registry, queueCollector{}); err != nil {
			t.Fatal(err)
		}
		if err := registerMetrics(registry, queueCollector{}); err != nil {
			t.Errorf("registered twice, as a fleet of sites does: %v", err)
		}
		text, err := testutil.CollectAndFormat(queueCollector{}, expfmt.TypeTextPlain, "caddy_intilery_events_captured_total",
			"caddy_intilery_events_acknowledged_total", "caddy_intilery_events_lost_total", "caddy_intilery_requests_total")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := registry.Gather(); err != nil {
			t.Errorf("not a valid exposition: %v", err)
		}
		return string(text)
	}
	want := func(text string, lines ...string) {
		t.Helper()
		for _, line := range lines {
			if !strings.Contains(text, line+"\n") {
				t.Errorf("%s is missing in\n%s", line, text)
			}
		}
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "caddy_intilery_events_lost_total") && !strings.HasSuffix(line, " 0\n") {
				t.Errorf("a loss: %s", line)
			}
		}
	}
	acknowledged := func(n string) {
		t.Helper()
		eventually(t, func() bool {
			return strings.Contains(scrape(), `caddy_intilery_events_acknowledged_total{destination="default",type="track"} `+n+"\n")
		}, scrape)
	}
	commits := func() uint64 {
		var n uint64
		queues.Range(func(_, q any) bool { n += q.(pooled).Stats().Log.CommitDurations.Count; return true })
		return n
	}
	r.serve(trackingSite)
	r.get("/one")
	r.get("/two")
	r.calls(2)
	acknowledged("2")
	want(scrape(), `caddy_intilery_events_captured_total{destination="default",type="track"} 2`,
		`caddy_intilery_events_lost_total{cause="corrupt"} 0`)
	r.serve(trackingSite + "\n\theader X-Changed yes")
	r.get("/three")
	r.calls(3)
	acknowledged("3")
	if n := commits(); n == 0 || n > 3 {
		t.Errorf("%d commits were timed for 3 events", n)
	}
	want(scrape(), `caddy_intilery_events_captured_total{destination="default",type="track"} 3`)
}

// docs/monitoring.md lists each metric with its labels, and no other. That the
// types and the values of labels are right, monitoringtest sees in what is scraped.
func TestMetricTables(t *testing.T) {
	text, err := os.ReadFile("../docs/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]string) // labels by name
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (?:counter|gauge|histogram) \\|(.*?)\\|").FindAllStringSubmatch(string(text), -1) {
		documented[row[1]] = strings.TrimSpace(strings.ReplaceAll(row[2], "`", ""))
	}
	exported := make(map[string]string)
	descs := make(chan *prometheus.Desc, 200)
	for _, c := range append(siteCollectors(), queueCollector{}) {
		c.Describe(descs)
	}
	close(descs)
	parts := regexp.MustCompile(`fqName: "caddy_intilery_(\w+)".*variableLabels: \{(.*?)\}`)
	for desc := range descs {
		m := parts.FindStringSubmatch(desc.String())
		if m == nil {
			t.Fatalf("%s: neither name nor labels", desc)
		}
		exported[m[1]] = strings.ReplaceAll(m[2], ",", ", ")
	}
	if diff := cmp.Diff(documented, exported); diff != "" {
		t.Errorf("metrics and their labels (-documented +exported)\n%s", diff)
	}
}
