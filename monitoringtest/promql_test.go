package monitoringtest

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// grafanaInterval stands for a time in a dashboard's expressions.
var grafanaInterval = regexp.MustCompile(`\$__(rate_interval|interval|range)\b`)

// checkExpr fails the test unless each series that the expression names is documented,
// with the labels and values that are used. It returns the labels of its result, nil if
// it cannot be parsed. Names is added what it names.
func checkExpr(t *testing.T, all map[string]series, text string, names map[string]bool) map[string]bool {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(grafanaInterval.ReplaceAllString(text, "5m"))
	if err != nil {
		t.Errorf("%s: %v", text, err)
		return nil
	}
	c := exprCheck{t: t, all: all, text: text, names: names}
	return c.labels(expr)
}

type exprCheck struct {
	t     *testing.T
	all   map[string]series
	text  string
	names map[string]bool
}

// labels checks an expression and returns the labels of its result.
func (c *exprCheck) labels(expr parser.Expr) map[string]bool {
	switch e := expr.(type) {
	case *parser.VectorSelector:
		return c.selector(e)
	case *parser.MatrixSelector:
		return c.labels(e.VectorSelector)
	case *parser.SubqueryExpr:
		return c.labels(e.Expr)
	case *parser.ParenExpr:
		return c.labels(e.Expr)
	case *parser.UnaryExpr:
		return c.labels(e.Expr)
	case *parser.StepInvariantExpr:
		return c.labels(e.Expr)
	case *parser.AggregateExpr:
		return c.aggregate(e)
	case *parser.BinaryExpr:
		return c.binary(e)
	case *parser.Call:
		return c.call(e)
	case *parser.NumberLiteral, *parser.StringLiteral:
		return map[string]bool{}
	}
	c.t.Errorf("%s: this check does not know the expression %s", c.text, expr)
	return map[string]bool{}
}

func (c *exprCheck) selector(e *parser.VectorSelector) map[string]bool {
	if e.Name == "ALERTS" { // Prometheus' own
		return map[string]bool{"alertname": true, "instance": true, "severity": true}
	}
	metric, names, found := sampleOf(c.all, e.Name)
	if !found {
		c.t.Errorf("%s: there is no series %s", c.text, e.Name)
		return map[string]bool{}
	}
	c.names[metric] = true
	has := map[string]bool{"job": true, "instance": true}
	for _, name := range names {
		has[name] = true
	}
	for _, m := range e.LabelMatchers {
		if m.Name == model.MetricNameLabel {
			continue
		}
		if !has[m.Name] {
			c.t.Errorf("%s: %s has no label %s", c.text, e.Name, m.Name)
			continue
		}
		values := []string{m.Value}
		if m.Type == labels.MatchRegexp || m.Type == labels.MatchNotRegexp {
			values = strings.Split(m.Value, "|")
		}
		for _, value := range values {
			if !knownValue(c.t, c.all, metric, m.Name, value) {
				c.t.Errorf("%s: the label %s of %s has no value %q", c.text, m.Name, e.Name, value)
			}
		}
	}
	return has
}

func (c *exprCheck) aggregate(e *parser.AggregateExpr) map[string]bool {
	has := c.labels(e.Expr)
	result := make(map[string]bool)
	if e.Without {
		for name := range has {
			if !slices.Contains(e.Grouping, name) {
				result[name] = true
			}
		}
	}
	for _, name := range e.Grouping {
		if !has[name] {
			c.t.Errorf("%s: there is no label %s to aggregate by", c.text, name)
		}
		if !e.Without {
			result[name] = true
		}
	}
	return result
}

func (c *exprCheck) binary(e *parser.BinaryExpr) map[string]bool {
	left, right := c.labels(e.LHS), c.labels(e.RHS)
	if e.VectorMatching != nil {
		for _, name := range e.VectorMatching.MatchingLabels {
			if !left[name] || !right[name] {
				c.t.Errorf("%s: the label %s is not on both sides", c.text, name)
			}
		}
	}
	if e.LHS.Type() != parser.ValueTypeVector {
		return right
	}
	// Without anything in between, a constant such as vector(0) has no labels: either
	// side gives what both have.
	if e.Op == parser.LOR {
		both := make(map[string]bool)
		for name := range left {
			if right[name] {
				both[name] = true
			}
		}
		return both
	}
	return left
}

func (c *exprCheck) call(e *parser.Call) map[string]bool {
	var has map[string]bool
	for _, arg := range e.Args {
		of := c.labels(arg)
		if t := arg.Type(); has == nil || t == parser.ValueTypeVector || t == parser.ValueTypeMatrix {
			has = of
		}
	}
	switch e.Func.Name {
	case "histogram_quantile":
		if !has["le"] {
			c.t.Errorf("%s: histogram_quantile without le", c.text)
		}
		delete(has, "le")
	case "absent", "absent_over_time", "vector":
		return map[string]bool{}
	}
	return has
}
