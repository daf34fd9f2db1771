package caddymodule

import (
	"bytes"
	"regexp"
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

// The endpoint of this module passes, and its receiver gets one test event.
func TestDoctorOfTheEndpoint(t *testing.T) {
	r := newRig(t)
	r.serve("intilery {\n\tcollect /x7 {\n\t\tkey public\n\t\ttag next hello.js\n\t}\n}\nheader Content-Type text/html\nrespond \"{http.intilery.snippet}\"")
	var out bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetOut(&out)
	code, err := examine(t.Context(), cmd, &doctor.Doctor{Collect: &doctor.Endpoint{Path: "/x7", Key: "public"}}, r.url, "")
	if code != 0 || err != nil {
		t.Errorf("exit code %d, %v; printed\n%s", code, err, &out)
	}
	for _, topic := range []string{"endpoint", "endpoint CORS", "endpoint script", "endpoint settings", "test event"} {
		if !regexp.MustCompile(`(?m)^ok +` + topic + `  `).MatchString(out.String()) {
			t.Errorf("no %q in\n%s", topic, &out)
		}
	}
	if got := strings.Count(summary(r.calls(4)), "track:"+doctor.TestEvent); got != 1 {
		t.Errorf("%d test events", got)
	}
}
