package caddymodule

import (
	"strings"
	"testing"

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
		if strings.Contains(text, "lost") {
			t.Errorf("losses in\n%s", text)
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
	want(scrape(), `caddy_intilery_events_captured_total{destination="default",type="track"} 2`)
	r.serve(trackingSite + "\n\theader X-Changed yes")
	r.get("/three")
	r.calls(3)
	acknowledged("3")
	if n := commits(); n == 0 || n > 3 {
		t.Errorf("%d commits were timed for 3 events", n)
	}
	want(scrape(), `caddy_intilery_events_captured_total{destination="default",type="track"} 3`)
}
