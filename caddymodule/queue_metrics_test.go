package caddymodule

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/intilery/caddy-intilery/forwarder"
	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/sandbox"
)

// metrics returns the samples at /metrics by name and labels.
func (r *adminRig) metrics() map[string]float64 {
	r.t.Helper()
	resp, err := r.client.Get("http://" + r.addr + "/metrics")
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		r.t.Fatalf("%d %s, %v", resp.StatusCode, text, err)
	}
	samples := make(map[string]float64)
	for line := range strings.Lines(string(text)) {
		name, value, found := strings.Cut(strings.TrimSpace(line), " ")
		if !found || !strings.HasPrefix(name, "caddy_intilery_") {
			continue
		}
		n, err := strconv.ParseFloat(value[strings.LastIndexByte(value, ' ')+1:], 64)
		if err != nil {
			r.t.Errorf("%s: %v", line, err)
		}
		samples[strings.TrimPrefix(name, "caddy_intilery_")] = n
	}
	return samples
}

// The metrics that the documentation names are there, and no reload sets one back.
func TestMetrics(t *testing.T) {
	r := newAdminRig(t, "")
	r.deadLetters(1)
	r.get("/one")
	r.calls(1)
	// It is answered before it is acknowledged.
	eventually(t, func() bool { return r.metrics()[`events_pending{destination="default"}`] == 0 }, func() string { return r.log() })
	check := func(when string) {
		t.Helper()
		m := r.metrics()
		for name, want := range map[string]float64{
			`events_captured_total{destination="default",type="track"}`:      2,
			`events_committed_total`:                                         2,
			`events_acknowledged_total{destination="default",type="track"}`:  1,
			`events_dead_lettered_total{destination="default",type="track"}`: 1,
			`events_erased_total{type="track"}`:                              0,
			`events_pending{destination="default"}`:                          0,
			`drain_seconds{destination="default"}`:                           0,
			`rate_limit{destination="default"}`:                              80,
			`requests_total{code="400",destination="default"}`:               1,
			`requests_total{code="200",destination="default"}`:               1,
			`request_duration_seconds_count{destination="default"}`:          2,
			`request_duration_seconds_bucket{destination="default",le="30"}`: 2,
			`log_condition{condition="ok"}`:                                  1,
			`log_quarantined_segments`:                                       0,
			`dead_letters`:                                                   1,
			`dead_letters_dropped_total`:                                     0,
			`oldest_pending_seconds`:                                         0,
		} {
			if got, found := m[name]; !found || got != want {
				t.Errorf("%s: %s is %v (%v), want %v", when, name, got, found, want)
			}
		}
		for _, name := range []string{"log_bytes", "disk_free_bytes", "dead_letter_bytes", `request_duration_seconds_sum{destination="default"}`} {
			if m[name] <= 0 {
				t.Errorf("%s: %s is %v", when, name, m[name])
			}
		}
	}
	check("at first")
	r.reload(r.lines)
	check("after a reload")

	r.sandbox.SetFault(sandbox.Fault403)
	r.get("/two")
	eventually(t, func() bool {
		return r.metrics()[`destination_paused{destination="default",reason="misconfigured"}`] == 1
	}, func() string { return r.log() })
	lanes := 0.0
	for name, n := range r.metrics() {
		if strings.HasPrefix(name, "lane_pending{") {
			lanes += n
		}
	}
	if lanes != 1 {
		t.Errorf("%v events pending over all lanes", lanes)
	}
}

// A reload that changes an option of the open log says so and goes on.
func TestReloadTellsOfChangedLogOptions(t *testing.T) {
	r := newAdminRig(t, "")
	r.reload(r.lines + "\nmax_age 24h\nsync os")
	r.get("/one")
	r.calls(1)
	for _, option := range []string{"max_age", "sync"} {
		eventually(t, func() bool { return strings.Contains(r.log(), `"option":"`+option+`"`) }, func() string { return r.log() })
	}
}

// Losses are in the metrics by cause, wherever they are counted.
func TestLossMetrics(t *testing.T) {
	got := make(samples)
	got.add(forwarder.Stats{
		Unknown:      3,
		Destinations: map[string]forwarder.DestinationStats{"a": {Lost: map[queue.LossCause]uint64{forwarder.LostTooLarge: 1}}},
		Log:          queue.Stats{Lost: map[queue.LossCause]uint64{queue.LostExpired: 2}},
	})
	for cause, want := range map[string]float64{"unknown_destination": 3, "too_large": 1, "expired": 2} {
		if n := got[sample{eventsLost, cause}]; n != want {
			t.Errorf("%s: %v, want %v", cause, n, want)
		}
	}
}
