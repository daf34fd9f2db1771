package monitoringtest

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const runbook = "https://github.com/intilery/caddy-intilery/blob/main/docs/monitoring.md#"

type rule struct {
	Alert       string
	Record      string
	Expr        string
	Labels      map[string]string
	Annotations map[string]string
}

func readYAML(t *testing.T, file string, v any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func rules(t *testing.T) (all []rule) {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string
			Rules []rule
		}
	}
	readYAML(t, "../deploy/prometheus/rules.yml", &file)
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("no rules")
	}
	return all
}

// entries are the runbook's, by alert.
func entries(t *testing.T) map[string]string {
	t.Helper()
	_, alerts, found := strings.Cut(page(t, "monitoring.md"), "\n## Alerts\n")
	if !found {
		t.Fatal("docs/monitoring.md has no section Alerts")
	}
	alerts, _, _ = strings.Cut(alerts, "\n## ")
	all := make(map[string]string)
	for _, entry := range strings.Split(alerts, "\n### ")[1:] {
		name, text, _ := strings.Cut(entry, "\n")
		all[name] = text
	}
	return all
}

var labelUse = regexp.MustCompile(`\$labels\.(\w+)`)

// Each alert names series that are there, and says what it must.
func TestAlerts(t *testing.T) {
	all := documented(t)
	runbooks := entries(t)
	seen := make(map[string]bool)
	for _, r := range rules(t) {
		t.Run(r.Alert+r.Record, func(t *testing.T) {
			result := checkExpr(t, all, r.Expr, make(map[string]bool))
			if r.Alert == "" {
				return
			}
			if seen[r.Alert] {
				t.Error("there are two of this name")
			}
			seen[r.Alert] = true
			if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
				t.Errorf("severity %q", r.Labels["severity"])
			}
			for _, name := range []string{"summary", "description"} {
				text := r.Annotations[name]
				if text == "" {
					t.Errorf("no %s", name)
				}
				for _, use := range labelUse.FindAllStringSubmatch(text, -1) {
					if !result[use[1]] {
						t.Errorf("the %s uses the label %s, which the expression does not have", name, use[1])
					}
				}
			}
			if url := r.Annotations["runbook_url"]; url != runbook+strings.ToLower(r.Alert) {
				t.Errorf("runbook_url %q", url)
			}
			for _, part := range []string{"**Means**", "**Look at**", "**Do**", "**Over**"} {
				if !strings.Contains(runbooks[r.Alert], part) {
					t.Errorf("the runbook's entry has no %s", part)
				}
			}
		})
	}
	for name := range runbooks {
		if !seen[name] {
			t.Errorf("the runbook has an entry for %s, which is no alert", name)
		}
	}
}

// Each alert is seen to fire, and not to fire, by promtool test rules.
func TestAlertsAreTested(t *testing.T) {
	var file struct {
		Tests []struct {
			AlertRuleTest []struct {
				Alertname string
				ExpAlerts []any `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	readYAML(t, "../deploy/prometheus/rules_test.yml", &file)
	fires, rests := make(map[string]bool), make(map[string]bool)
	for _, test := range file.Tests {
		for _, a := range test.AlertRuleTest {
			if len(a.ExpAlerts) > 0 {
				fires[a.Alertname] = true
			} else {
				rests[a.Alertname] = true
			}
		}
	}
	for _, r := range rules(t) {
		if r.Alert != "" && (!fires[r.Alert] || !rests[r.Alert]) {
			t.Errorf("%s: seen to fire %v, seen not to fire %v", r.Alert, fires[r.Alert], rests[r.Alert])
		}
	}
}
