package monitoringtest

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// site answers as an app does that uses the module, rightly and wrongly.
const site = `
	intilery {
		querystring drop
		collect /e {
			key public
		}
	}
	header Content-Type text/html
	@user path /user
	header @user {
		Cache-Control private
		Intilery-User-Id 42
		Intilery-Track "Signed Up"
	}
	@bad path /bad
	header @bad {
		Cache-Control private
		Intilery-Track Bad
	}
	@rejected path /rejected
	header @rejected Intilery-Traits "no object"
	@public path /public
	header @public {
		Cache-Control "public, max-age=60"
		Intilery-User-Id 42
	}
	respond "<!doctype html><title>page</title>"
`

// notSeen are metrics that this test does not make happen, and why.
var notSeen = map[string]string{
	// It takes a node that has told others of a backlog and is then gone. TestFleetMetrics
	// of package caddymodule sees it.
	prefix + "fleet_lost_backlog": "no node is lost",
}

// What Caddy exports is documented with its type, its labels and their values; and
// what is documented is exported.
func TestExported(t *testing.T) {
	if os.Getenv(caddyEnv) == "" || os.Getenv(natsEnv) == "" {
		t.Skip(caddyEnv + " and " + natsEnv + " name no programs; .ci/monitoring does")
	}
	got := make(exported)
	t.Run("one server", func(t *testing.T) { exercise(t, got) })
	t.Run("fleet", func(t *testing.T) { exerciseFleet(t, got) })
	if t.Failed() {
		return
	}
	all := documented(t)
	for name, family := range got {
		doc, found := all[name]
		if !found {
			t.Errorf("%s is exported and not documented", name)
			continue
		}
		if kind := strings.ToLower(family.GetType().String()); kind != doc.kind {
			t.Errorf("%s is a %s, documented as a %s", name, kind, doc.kind)
		}
		want := slices.Sorted(slices.Values(doc.labels))
		for _, m := range family.GetMetric() {
			labels := []string{}
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName())
				if !knownValue(t, all, name, l.GetName(), l.GetValue()) {
					t.Errorf("%s{%s=%q}: the value is not documented", name, l.GetName(), l.GetValue())
				}
			}
			slices.Sort(labels)
			if diff := cmp.Diff(append([]string{}, want...), labels); diff != "" {
				t.Errorf("%s: labels (-documented +exported)\n%s", name, diff)
				break
			}
		}
	}
	for name := range all {
		why, allowed := notSeen[name]
		if _, found := got[name]; !found && !allowed {
			t.Errorf("%s is documented and not exported", name)
		} else if found && allowed {
			t.Errorf("%s is exported although %s", name, why)
		}
	}
}

// exercise lets one server do what it counts, and adds what it exports to got.
func exercise(t *testing.T, got exported) {
	r := newReceiver(t)
	c := newCaddy(t, r.URL, "", site)
	c.visit(got)
	for _, path := range []string{"/", "/user", "/bad", "/rejected", "/public", "/?ajs_aid=6af59e4c-7a58-4e5c-aec7-60927d3a652a"} {
		c.send(http.MethodGet, path, "")
	}
	c.send(http.MethodGet, "/", "", "User-Agent", "Googlebot/2.1 (+http://www.google.com/bot.html)")
	c.send(http.MethodGet, "/", "", "Sec-Purpose", "prefetch")
	c.send(http.MethodGet, "/", "", "Cookie", "intilery_keeper=forged")
	event := `{"writeKey":"public","type":"track","event":"Clicked","anonymousId":"6af59e4c-7a58-4e5c-aec7-60927d3a652a"}`
	c.send(http.MethodPost, "/e/t", event)
	c.send(http.MethodPost, "/e/t", strings.Replace(event, "public", "wrong", 1))
	eventually(t, "events are acknowledged and dead-lettered", func() bool {
		now := c.scrape(got)
		return now.sum("events_acknowledged_total") > 0 && now.sum("events_dead_lettered_total") == 1 && now.sum("events_pending") == 0
	})
	for name, label := range map[string][]string{
		"headers_rejected_total":  {"reason", "cacheable_response"},
		"navigations_gated_total": {"cause", "bot_word"},
		"collected_events_total":  {"outcome", "taken"},
		"collect_refused_total":   {"code", "unknown_key"},
		"links_total":             {"outcome", "dropped"},
		"keepers_refused_total":   {"server", "srv0"},
	} {
		if c.scrape(got).sum(name, label...) == 0 {
			t.Errorf("nothing was counted for %s %v", name, label)
		}
	}

	// Alerts need these before anything has happened.
	for name, label := range map[string][]string{
		"events_lost_total":            {"cause", "corrupt"},
		"events_shed_total":            {"cause", "quota"},
		"headers_ignored_total":        {"cause", "no_destination"},
		"navigations_misproxied_total": {"cause", "scheme_overwritten"},
		"withdrawals_total":            {"outcome", "failed"},
	} {
		if now := c.scrape(got); len(now.series(name, label...)) == 0 || now.sum(name, label...) != 0 {
			t.Errorf("%s %v does not begin at 0", name, label)
		}
	}

	r.status.Store(http.StatusForbidden)
	c.send(http.MethodGet, "/", "")
	eventually(t, "the destination is paused", func() bool {
		now := c.scrape(got)
		return now.sum("destination_paused", "reason", "misconfigured") == 1 && now.sum("lane_pending") > 0
	})
}

// exerciseFleet does the same with a node of a fleet.
func exerciseFleet(t *testing.T, got exported) {
	dir := t.TempDir()
	start(t, os.Getenv(natsEnv), "--addr", "127.0.0.1", "--port", "-1", "--jetstream", "--store_dir", dir, "--ports_file_dir", dir)
	var ports struct{ Nats []string }
	eventually(t, "NATS is started", func() bool {
		files, err := filepath.Glob(filepath.Join(dir, "*.ports"))
		if err != nil || len(files) == 0 {
			return false
		}
		text, err := os.ReadFile(files[0])
		return err == nil && json.Unmarshal(text, &ports) == nil && len(ports.Nats) > 0
	})
	c := newCaddy(t, newReceiver(t).URL, `
		fleet nats {
			servers `+ports.Nats[0]+`
			node a
			replicas 1
			max_size 64MiB
		}`, site)
	c.visit(got)
	eventually(t, "an event goes through the fleet", func() bool {
		now := c.scrape(got)
		return now.sum("fleet_session") == 1 && now.sum("fleet_lanes_owned") == 8 && now.sum("events_handed_over_total") > 0 &&
			now.sum("events_acknowledged_total") > 0 && now["caddy_intilery_fleet_stream_pending"] != nil
	})
}
