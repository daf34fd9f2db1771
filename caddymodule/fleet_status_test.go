package caddymodule

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/intilery/caddy-intilery/forwarder"
	"github.com/intilery/caddy-intilery/forwarder/fleet"
)

// fleetStats is a fleet of three nodes, one of which is gone, as web-0 sees it.
func fleetStats() *fleet.Stats {
	st := &fleet.Stats{
		Name: "IQ", Node: "web-0", Session: true, Nodes: []string{"web-0", "web-1"}, Owned: 4,
		Members: []fleet.Member{{Node: "web-0"}, {Node: "web-1", Backlog: 1, At: testMinute(3)}, {Node: "web-2", Backlog: 12, At: testMinute(1)}},
		Lost:    []fleet.Member{{Node: "web-2", Backlog: 12, At: testMinute(1), Gone: testMinute(2)}},
		Owners:  make(map[string]string),
		Streams: map[string]uint64{"default/0": 4, "default/2": 6, "default/4": 30, "default/5": 0},
		Pauses:  map[string]fleet.Pause{"default": {Node: "web-1", Reason: "throttled", Until: testMinute(9)}},
		Account: fleet.Account{HandedOver: 115, TakenBack: 5},
		Backlog: map[string]uint64{"default/1": 2, "default/3": 1}, Kept: map[string]uint64{"default/1": 100},
		Oldest: testMinute(0),
	}
	st.Destinations = map[string]fleet.Account{"default": st.Account}
	for n := range 7 {
		st.Owners[fmt.Sprintf("default/%d", n)] = []string{"web-0", "web-1"}[n/4]
	}
	return st
}

func inFleet(st *fleet.Stats) forwarder.Stats {
	return forwarder.Stats{Fleet: st, Destinations: map[string]forwarder.DestinationStats{"default": {Sending: true}, "old": {}}}
}

func TestFleetStatusText(t *testing.T) {
	apart := fleetStats()
	apart.Session, apart.Reason, apart.Since, apart.Apart = false, "the broker is not reached: no route", testMinute(4), testMinute(4)
	apart.Lost, apart.Pauses, apart.Backlog = nil, nil, nil
	full := fleetStats()
	full.Reason, full.Since, full.Nodes, full.Lost, full.Pauses, full.Oldest = "events cannot be handed over: the stream is full", testMinute(4), nil, nil, nil, time.Time{}
	full.Owners["default/7"] = "web-1"
	for _, tt := range []struct {
		name string
		st   *fleet.Stats
		want string
	}{
		{"well", fleetStats(), `
fleet IQ
  this node      web-0, takes part
  to hand over   3 events, the oldest for 1m30s
  kept           100 events
  node           web-0: 4 lanes, 0 events to hand over, 10 events in streams: 4 default/0, 6 default/2
  node           web-1: 3 lanes, 1 event to hand over, 30 events in streams: 30 default/4
  lost node      web-2: 12 events to hand over, gone since 2026-07-01T12:02:00Z
  without owner  default/7
  paused         default: throttled, found by web-1, until 2026-07-01T12:09:00Z
`},
		{"apart", apart, `
fleet IQ
  this node      web-0, apart: the broker is not reached: no route, since 2026-07-01T12:04:00Z
  to hand over   0 events, the oldest for 1m30s
  kept           100 events
  node           web-0: 4 lanes, 0 events to hand over, 10 events in streams: 4 default/0, 6 default/2
  node           web-1: 3 lanes, 1 event to hand over, 30 events in streams: 30 default/4
  without owner  default/7
`},
		{"full", full, `
fleet IQ
  this node      web-0, takes part: events cannot be handed over: the stream is full, since 2026-07-01T12:04:00Z
  to hand over   3 events
  kept           100 events
  node           web-0: 4 lanes, 0 events to hand over, 10 events in streams: 4 default/0, 6 default/2
  node           web-1: 4 lanes, 1 event to hand over, 30 events in streams: 30 default/4
`},
		{"at the start", &fleet.Stats{Name: "IQ", Node: "web-0", Owners: map[string]string{}}, `
fleet IQ
  this node      web-0, not connected yet
  to hand over   0 events
  kept           0 events
  without owner  default/0, default/1, default/2, default/3, default/4, default/5, default/6, default/7
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			newFleetStatus(inFleet(tt.st), testMinute(1).Add(30*time.Second)).print(&out)
			if diff := cmp.Diff(strings.TrimPrefix(tt.want, "\n"), out.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
	if newFleetStatus(forwarder.Stats{}, time.Now()) != nil {
		t.Error("a fleet where there is none")
	}
}

func TestFleetStatusJSON(t *testing.T) {
	got, err := json.MarshalIndent(newFleetStatus(inFleet(fleetStats()), testMinute(1)), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/fleet/status.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSpace(string(want)), string(got)); diff != "" {
		t.Error(diff)
	}
}

// A node counts its own lanes only, so that the sum over all nodes is right.
func TestFleetMetrics(t *testing.T) {
	got := make(samples)
	got.add(inFleet(fleetStats()))
	for s, want := range map[sample]float64{
		{eventsHandedOver, "default"}:                   115,
		{fleetBacklog, ""}:                              3,
		{fleetKept, ""}:                                 100,
		{fleetSession, ""}:                              1,
		{fleetLanesOwned, ""}:                           4,
		{fleetNodes, ""}:                                2,
		{fleetNodesLost, ""}:                            1,
		{fleetLostBacklog, "web-2"}:                     12,
		{fleetStream, "default" + labelSeparator + "0"}: 4,
		{fleetStream, "default" + labelSeparator + "2"}: 6,
		{eventsPending, "default"}:                      0,
	} {
		if n, found := got[s]; !found || n != want {
			t.Errorf("%v %q: %v (%v), want %v", s.metric.desc, s.labels, n, found, want)
		}
	}
	if got[sample{fleetLag, ""}] <= 0 {
		t.Error("no lag")
	}
	for s := range got {
		if s.metric == fleetStream && strings.HasSuffix(s.labels, "4") {
			t.Error("another node's lane is counted")
		}
	}
	got = make(samples)
	got.add(forwarder.Stats{})
	for s := range got {
		if slices.Contains(fleetMetrics, s.metric) {
			t.Errorf("%v without a fleet", s.metric.desc)
		}
	}
}

// Every Caddy event is documented.
func TestDocumentedNames(t *testing.T) {
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{eventPaused, eventRecovered, eventLost, eventNodeLost, eventApart, eventRejoined} {
		if !strings.Contains(string(text), "\n| `"+name+"` |") {
			t.Errorf("event %s is not documented", name)
		}
	}
}

func TestReportedFleet(t *testing.T) {
	lost := func(nodes ...string) *fleet.Stats {
		st := &fleet.Stats{Node: "a", Session: true}
		for _, node := range nodes {
			st.Lost = append(st.Lost, fleet.Member{Node: node, Backlog: 7, Gone: testMinute(2)})
		}
		return st
	}
	apart := func(minute int, nodes ...string) *fleet.Stats {
		st := lost(nodes...)
		st.Session, st.Apart, st.Reason = false, testMinute(minute), "no broker"
		return st
	}
	waiting := &fleet.Stats{Node: "a"}
	const (
		cut   = "intilery_fleet_apart node=a reason=no broker since=2026-07-01T12:01:00Z"
		back  = "intilery_fleet_rejoined node=a reason=no broker since=2026-07-01T12:01:00Z"
		bGone = "intilery_fleet_node_lost backlog=7 node=b since=2026-07-01T12:02:00Z"
		cGone = "intilery_fleet_node_lost backlog=7 node=c since=2026-07-01T12:02:00Z"
	)
	for _, tt := range []struct {
		name  string
		looks []*fleet.Stats
		want  []string
	}{
		{"well", []*fleet.Stats{waiting, lost(), lost()}, nil},
		{"apart once and back once", []*fleet.Stats{lost(), apart(1), apart(1), waiting, lost(), lost()}, []string{cut, back}},
		{"nodes are lost once each", []*fleet.Stats{lost("b"), lost("b", "c"), lost("c")}, []string{bGone, cGone}},
		{"lost, back and lost again", []*fleet.Stats{lost("b"), lost(), lost("b")}, []string{bGone, bGone}},
		{"who is apart sees nobody go", []*fleet.Stats{apart(1, "b"), lost("b")}, []string{cut, back, bGone}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := new(reported)
			var got []string
			for _, st := range tt.looks {
				for _, n := range r.changes(forwarder.Stats{Fleet: st}, testMinute(5), subjects{fleet: true}) {
					text := n.event
					for _, key := range slices.Sorted(maps.Keys(n.data)) {
						text += fmt.Sprintf(" %s=%v", key, n.data[key])
					}
					got = append(got, text)
				}
				if more := r.changes(forwarder.Stats{Fleet: st}, testMinute(5), subjects{}); len(more) > 0 {
					t.Errorf("nobody has asked for %v", more)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

const fleetFile = `{
	intilery {
		client_id acme
		auth_token {file./nowhere/token}
		max_age 24h
		fleet nats {
			servers {env.NOT_SET_ANYWHERE}
			user acme
			password {file./nowhere/password}
			node web-0.example
			max_size 1GiB
		}
	}
}
`

// The plan is read off a file as it will be on the nodes, and asks nobody.
func TestFleetPlan(t *testing.T) {
	want, err := os.ReadFile("testdata/fleet/plan.txt")
	if err != nil {
		t.Fatal(err)
	}
	file := writeFile(t, "Caddyfile", []byte(fleetFile))
	got, _, err := run(t, "fleet", "plan", "--config", file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
	config, err := adapt(fleetFile)
	if err != nil {
		t.Fatal(err)
	}
	got, _, err = run(t, "fleet", "plan", "--config", writeFile(t, "caddy.json", config), "--node", "other")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.ReplaceAll(string(want), "web-0=2Eexample", "other"), got); diff != "" {
		t.Errorf("with --node: %s", diff)
	}
	for _, tt := range []struct{ name, text, want string }{
		{"no fleet", "{\n intilery {\n client_id acme\n auth_token x\n }\n}\n", "the configuration has no fleet; add fleet nats"},
		{"no app", "localhost:1\n", "the configuration has no fleet; add fleet nats"},
		{"a name for some nodes only", strings.Replace(fleetFile, "web-0.example", "{env.NOT_SET_ANYWHERE}", 1), "or give the node's name with --node"},
		{"a wrong option", strings.Replace(fleetFile, "1GiB", "1KiB", 1), "fleet max_size"},
	} {
		if _, _, err := run(t, "fleet", "plan", "--config", writeFile(t, "Caddyfile", []byte(tt.text))); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, _, err := run(t, "fleet", "plan", "--config", filepath.Join(t.TempDir(), "Caddyfile")); err == nil {
		t.Error("a file that is not there is accepted")
	}
}
