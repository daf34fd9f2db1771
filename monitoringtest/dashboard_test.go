package monitoringtest

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

type datasource struct{ Type, UID string }

type panel struct {
	ID          int
	Type        string
	Title       string
	Description string
	Datasource  *datasource
	GridPos     struct{ X, Y, W, H int }
	Panels      []panel
	Targets     []struct {
		RefID        string
		Expr         string
		LegendFormat string
		Datasource   datasource
	}
	FieldConfig struct{ Defaults struct{ Unit string } }
}

type variable struct {
	Name, Type, Label string
	Query             any
	Datasource        datasource
}

type dashboard struct {
	ID            *int
	UID, Title    string
	SchemaVersion int
	Panels        []panel
	Templating    struct{ List []variable }
	Annotations   struct {
		List []struct {
			Expr       string
			Datasource datasource
		}
	}
}

var (
	// The units that are used, as Grafana spells them.
	units = []string{"short", "none", "s", "bytes", "eps", "reqps", "percentunit"}

	variableUse = regexp.MustCompile(`\$\{?(\w+)\}?`)
	legendLabel = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)
	labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)
)

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	text, err := os.ReadFile("../deploy/grafana/caddy-intilery.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// checkVariables fails the test if a query uses a variable that the dashboard lacks.
func checkVariables(t *testing.T, defined []string, text string) {
	t.Helper()
	for _, use := range variableUse.FindAllStringSubmatch(text, -1) {
		if !strings.HasPrefix(use[1], "__") && !slices.Contains(defined, use[1]) {
			t.Errorf("%s: there is no variable %s", text, use[1])
		}
	}
}

// Each query names series that are there, and each metric is shown.
func TestDashboardQueries(t *testing.T) {
	d, all := readDashboard(t), documented(t)
	defined := []string{}
	names := make(map[string]bool)
	for _, v := range d.Templating.List {
		defined = append(defined, v.Name)
		if v.Type == "datasource" {
			continue
		}
		query, _ := v.Query.(map[string]any)
		text, _ := query["query"].(string)
		m := labelValues.FindStringSubmatch(text)
		if m == nil {
			t.Errorf("variable %s: query %q", v.Name, text)
			continue
		}
		checkVariables(t, defined[:len(defined)-1], text) // those before it
		if has := checkExpr(t, all, m[1], names); !has[m[2]] {
			t.Errorf("%s: there is no label %s", text, m[2])
		}
	}
	for _, a := range d.Annotations.List {
		if a.Expr != "" {
			checkExpr(t, all, a.Expr, names)
		}
	}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			checkVariables(t, defined, target.Expr)
			has := checkExpr(t, all, target.Expr, names)
			for _, use := range legendLabel.FindAllStringSubmatch(target.LegendFormat, -1) {
				if !has[use[1]] {
					t.Errorf("%s: the legend uses the label %s, which %s does not have", p.Title, use[1], target.Expr)
				}
			}
		}
	}
	for name := range all {
		if !names[name] {
			t.Errorf("%s is not on the dashboard", name)
		}
	}
}

// What Grafana needs is there, and what a person needs to read it.
func TestDashboardPanels(t *testing.T) {
	d := readDashboard(t)
	if d.ID != nil || d.UID == "" || d.Title == "" || d.SchemaVersion < 36 {
		t.Errorf("id %v, uid %q, title %q, schemaVersion %d: not to be imported", d.ID, d.UID, d.Title, d.SchemaVersion)
	}
	source := datasource{"prometheus", "${datasource}"}
	if list := d.Templating.List; len(list) == 0 || list[0].Type != "datasource" || list[0].Name != "datasource" {
		t.Error("the first variable is not the data source")
	}
	for _, v := range d.Templating.List {
		if v.Label == "" {
			t.Errorf("variable %s has no label", v.Name)
		}
		if v.Type == "query" && v.Datasource != source {
			t.Errorf("variable %s: data source %+v", v.Name, v.Datasource)
		}
	}
	ids := make(map[int]bool)
	taken := make(map[[2]int]string)
	for _, p := range d.Panels {
		if p.ID == 0 || ids[p.ID] {
			t.Errorf("%s: ID %d is zero or taken", p.Title, p.ID)
		}
		ids[p.ID] = true
		if g := p.GridPos; g.X < 0 || g.Y < 0 || g.W < 1 || g.H < 1 || g.X+g.W > 24 {
			t.Errorf("%s: outside of the grid: %+v", p.Title, g)
		}
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other, found := taken[at]; found {
					t.Fatalf("%s and %s overlap", p.Title, other)
				}
				taken[at] = p.Title
			}
		}
		if p.Title == "" {
			t.Errorf("panel %d has no title", p.ID)
		}
		if p.Type == "row" {
			if len(p.Panels) > 0 {
				t.Errorf("row %s has panels inside, which this check does not see", p.Title)
			}
			continue
		}
		if p.Description == "" {
			t.Errorf("%s has no description", p.Title)
		}
		if !slices.Contains(units, p.FieldConfig.Defaults.Unit) {
			t.Errorf("%s: unit %q", p.Title, p.FieldConfig.Defaults.Unit)
		}
		if p.Datasource == nil || *p.Datasource != source || len(p.Targets) == 0 {
			t.Errorf("%s: data source %+v, %d queries", p.Title, p.Datasource, len(p.Targets))
		}
		refs := make(map[string]bool)
		for _, target := range p.Targets {
			if target.RefID == "" || refs[target.RefID] || target.Datasource != source {
				t.Errorf("%s: query %q is not unique or has another data source", p.Title, target.RefID)
			}
			refs[target.RefID] = true
		}
	}
}
