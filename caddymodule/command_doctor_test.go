package caddymodule

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/intilery/caddy-intilery/doctor"
)

// The doctor of a site that this module serves, from end to end. What it prints
// holds no ID and nothing that a terminal obeys.
func TestDoctorOfThisModule(t *testing.T) {
	for name, tt := range map[string]struct {
		site, want string
		code       int
	}{
		"sound":                  {"header Content-Type text/html\nrespond hello", "the visitor is known, and nothing is set again", 0},
		"an outer cache control": {"route {\nheader Cache-Control \"public, max-age=600\"\nheader Content-Type text/html\nrespond hello\n}", "problem  caching", 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.serve("intilery\n" + tt.site)
			var out bytes.Buffer
			cmd := &cobra.Command{}
			cmd.SetOut(&out)
			code, err := examine(t.Context(), cmd, &doctor.Doctor{}, r.url, "")
			if code != tt.code || (err != nil) != (tt.code != 0) {
				t.Errorf("exit code %d, %v, want %d; printed\n%s", code, err, tt.code, &out)
			}
			if !strings.Contains(out.String(), tt.want) {
				t.Errorf("no %q in\n%s", tt.want, &out)
			}
			if strings.Contains(out.String(), "%22") || strings.ContainsAny(out.String(), "\x1b\r") {
				t.Errorf("printed %q", &out)
			}
		})
	}
}
