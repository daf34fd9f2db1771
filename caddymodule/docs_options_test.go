package caddymodule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// optionBlocks are the blocks of the Caddyfile that have options: a Caddyfile with
// room for a line in the block, and the type that its JSON is read into.
var optionBlocks = map[string]struct {
	caddyfile string
	json      any
}{
	"global":    {"{\nintilery {\nclient_id a\nauth_token b\n%s\n}\n}\n", Destination{}},
	"fleet":     {"{\nintilery {\nclient_id a\nauth_token b\nfleet nats {\n%s\n}\n}\n}\n", Fleet{}},
	"fleet tls": {"{\nintilery {\nclient_id a\nauth_token b\nfleet nats {\ntls {\n%s\n}\n}\n}\n}\n", FleetTLS{}},
	"site":      {"localhost:1 {\nintilery {\n%s\n}\n}\n", Handler{}},
	"cookie":    {"localhost:1 {\nintilery {\ncookie {\n%s\n}\n}\n}\n", Cookie{}},
	"consent":   {"localhost:1 {\nintilery {\nconsent {\n%s\n}\n}\n}\n", Consent{}},
	"bots":      {"localhost:1 {\nintilery {\nbots {\n%s\n}\n}\n}\n", Bots{}},
	"collect":   {"localhost:1 {\nintilery {\ncollect /x {\n%s\n}\n}\n}\n", Collect{}},
	"sandbox":   {"localhost:1 {\nintilery_sandbox {\n%s\n}\n}\n", Sandbox{}},
}

// blockPages are the pages that are about one block and leave its name out.
var blockPages = map[string]string{
	"docs/collect.md": "collect", "docs/consent.md": "consent", "docs/fleet.md": "fleet",
}

// acceptedOptions finds the options of each block by trying all words of the code.
func acceptedOptions(t *testing.T) map[string][]string {
	t.Helper()
	word := regexp.MustCompile(`^[a-z][a-z0-9_]+$`)
	options := make(map[string][]string)
	for name := range literals(t) {
		if !word.MatchString(name) || name == "import" { // which is Caddy's own
			continue
		}
		for block, b := range optionBlocks {
			_, err := adapt(fmt.Sprintf(b.caddyfile, name))
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("unknown option %q", name)) {
				options[block] = append(options[block], name)
			}
		}
	}
	for block := range optionBlocks {
		slices.Sort(options[block])
		if len(options[block]) < 3 || len(options[block]) > 40 {
			t.Fatalf("%s: options %q", block, options[block])
		}
	}
	return options
}

// TestDocumentedOptions: each option of the Caddyfile has a row in a table whose first
// column is headed "option", and each such row is of an option that exists; and an
// unknown option is answered with all that exist.
func TestDocumentedOptions(t *testing.T) {
	options := acceptedOptions(t)
	rows := make(map[string]string)
	for _, p := range pages(t) {
		for _, table := range p.tables {
			if table.heading != "option" {
				continue
			}
			for _, row := range table.rows {
				for _, span := range row {
					if block := blockPages[p.path]; block != "" && !strings.HasPrefix(span, block+" ") {
						span = block + " " + span
					}
					rows[span] = p.path
				}
			}
		}
	}
	exist := make(map[string]bool)
	for block, names := range options {
		prefix := block + " "
		if block == "global" || block == "site" || block == "sandbox" {
			prefix = ""
		}
		_, err := adapt(fmt.Sprintf(optionBlocks[block].caddyfile, "no_such_option"))
		_, told, _ := strings.Cut(fmt.Sprint(err), "; use ")
		for _, name := range names {
			exist[prefix+name] = true
			if rows[prefix+name] == "" {
				t.Errorf("%s: the option %q is in no table", block, prefix+name)
			}
			if !regexp.MustCompile(`\b` + name + `\b`).MatchString(told) {
				t.Errorf("%s: who gives an unknown option is not told of %s: %v", block, name, err)
			}
		}
	}
	for row, path := range rows {
		if !exist[row] && !isWordOf(row, exist) {
			t.Errorf("%s documents the option %q, which does not exist", path, row)
		}
	}
}

// isWordOf tells whether a row is of an option with one of its values, such as
// "consent implied" is of consent and "off" is of the directive itself.
func isWordOf(row string, exist map[string]bool) bool {
	for option := range exist {
		if strings.HasPrefix(row, option+" ") {
			return true
		}
	}
	return row == "off"
}

// TestDocumentedJSON: the name of each option in JSON is documented.
func TestDocumentedJSON(t *testing.T) {
	found := named(t, `([a-z][a-z0-9_]*)`)
	values := []any{App{}, Relay{}}
	for _, b := range optionBlocks {
		values = append(values, b.json)
	}
	for _, v := range values {
		typ := reflect.TypeOf(v)
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if name != "" && name != "-" && found[name] == "" {
				t.Errorf("%s: %s is documented nowhere", typ, name)
			}
		}
	}
}

// TestDocumentedExamples: each Caddyfile of the documentation adapts, each JSON can be
// read, and a whole configuration in JSON has no unknown option.
func TestDocumentedExamples(t *testing.T) {
	var caddyfiles, configs int
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			switch b.language {
			case "caddyfile":
				caddyfiles++
				if !strings.Contains(b.text, "<") || !strings.Contains(b.text, ">") {
					if err := adaptExample(b.text); err != nil {
						t.Errorf("%s: %v in\n%s", p.path, err, b.text)
					}
				}
			case "json":
				if err := readExample(b.text, &configs); err != nil {
					t.Errorf("%s: %v in\n%s", p.path, err, b.text)
				}
			}
		}
	}
	if caddyfiles < 20 || configs == 0 {
		t.Errorf("%d Caddyfiles and %d configurations in JSON are found", caddyfiles, configs)
	}
}

// adaptExample adapts a Caddyfile or what may stand in one: in the options of Caddy, of
// a site, or of one of our blocks.
func adaptExample(text string) error {
	_, err := adapt(text)
	if err == nil {
		return nil
	}
	around := []string{"{\n%s\n}\n", "localhost:1 {\n%s\n}\n"}
	for _, b := range optionBlocks {
		around = append(around, b.caddyfile)
	}
	for _, outer := range around {
		if _, inner := adapt(fmt.Sprintf(outer, text)); inner == nil {
			return nil
		}
	}
	return err
}

// readExample reads JSON, one value or more. configs counts the configurations of
// Caddy among them.
func readExample(text string, configs *int) error {
	text = strings.ReplaceAll(text, "...", "")
	d := json.NewDecoder(strings.NewReader(text))
	for d.More() {
		var value any
		if err := d.Decode(&value); err != nil {
			return err
		}
		config, ok := value.(map[string]any)
		if !ok || config["apps"] == nil {
			continue
		}
		*configs++
		if err := strictly(config); err != nil {
			return err
		}
	}
	return nil
}

// strictly reads our parts of a configuration and refuses what they do not know.
func strictly(v any) error {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if err := strictly(e); err != nil {
				return err
			}
		}
	case map[string]any:
		for key, e := range v {
			var err error
			if app, ok := e.(map[string]any); ok && key == "intilery" && app["destinations"] != nil {
				err = readStrictly(app, new(App))
			} else {
				err = strictly(e)
			}
			if err != nil {
				return err
			}
		}
		switch v["handler"] {
		case "intilery":
			return readStrictly(v, &struct {
				Name string `json:"handler"`
				*Handler
			}{})
		case "intilery_sandbox":
			return readStrictly(v, &struct {
				Name string `json:"handler"`
				*Sandbox
			}{})
		case "intilery_relay":
			return readStrictly(v, &struct {
				Name string `json:"handler"`
				*Relay
			}{})
		}
	}
	return nil
}

func readStrictly(v, into any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(into)
}
