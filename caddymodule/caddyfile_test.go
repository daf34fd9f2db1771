package caddymodule

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddytest"
)

// Each golden file holds a Caddyfile, a line of hyphens, and the JSON that it
// adapts to, or a part of the error.
func TestCaddyfileAdapts(t *testing.T) {
	files, err := filepath.Glob("testdata/caddyfile/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".caddyfiletest")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, found := strings.Cut(string(text), "\n----------\n")
			want = strings.TrimSpace(want)
			if !found || want == "" {
				t.Fatalf("%s lacks its expectation", file)
			}
			if strings.HasPrefix(want, "{") {
				if !caddytest.CompareAdapt(t, file, input, "caddyfile", want) {
					t.Errorf("%s adapts to something else", file)
				}
				return
			}
			if _, err := adapt(input); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %q", err, want)
			}
		})
	}
}

// What only provisioning can see is an error there, which names the option,
// the value and what is accepted, and never the token.
func TestProvisioningErrors(t *testing.T) {
	const good = "client_id acme\n auth_token secret-value"
	site := func(body string) string {
		return "{\n intilery {\n" + good + "\n }\n}\n:80 {\n intilery {\n" + body + "\n }\n}"
	}
	global := func(body string) string { return "{\n intilery {\n" + body + "\n }\n}\n:80 {\n intilery\n}" }
	for _, tt := range []struct{ name, caddyfile, want string }{
		{"no destination at all", ":80 {\n intilery\n}", "no destination is configured; add to the global options"},
		{"no client", global("auth_token x"), "destination default: client_id is missing"},
		{"client in upper case", global("client_id Acme\n auth_token x"), `client_id: "Acme" is not accepted; use up to 64 of a-z`},
		{"brand in lower case", global(good + "\n brand_id acme"), `brand_id: "acme" is not accepted; use up to 64 of A-Z`},
		{"no token", global("client_id acme"), "auth_token is missing; use {file./path/to/token}"},
		{"token file missing", global("client_id acme\n auth_token {file./nonexistent/token}"), "auth_token: evaluated placeholder {file./nonexistent/token} is empty; use {file./path}"},
		{"token with a space", global("client_id acme\n auth_token \"secret-value two\""), "auth_token: the value is empty or holds characters"},
		{"endpoint", global(good + "\n endpoint tracking.example.com"), `endpoint: "tracking.example.com" is not accepted; use a URL such as https://`},
		{"endpoint with a query", global(good + "\n endpoint https://a.example/?x=1"), `endpoint: "https://a.example/?x=1" is not accepted`},
		{"keeper key", global(good + "\n keeper_keys c2hvcnQ="), "keeper_keys: key 1 is not 32 bytes as base64; make one with: openssl rand -base64 32"},
		{"data_dir placeholder", global(good + "\n data_dir {env.NOT_SET_ANYWHERE}/x"), "data_dir {env.NOT_SET_ANYWHERE}/x"},
		{"sync interval", global(good + "\n sync interval 1h"), "sync: interval 1h0m0s is not accepted; use 5ms to 1m0s"},
		{"max_size", global(good + "\n max_size 1MiB"), "max_size: 1048576 bytes are not accepted; use 256MiB or more"},
		{"max_age", global(good + "\n max_age 1s"), "max_age: 1s is not accepted; use 1m or more"},
		{"dead_letters_size", global(good + "\n dead_letters_size 1KiB"), "dead_letters_size: 1024 bytes are not accepted; use 1MiB or more"},
		{"encryption key", global(good + "\n encryption_key secret-value"), "encryption_key: key 1 is not 32 bytes as base64; make one with: openssl rand -base64 32"},
		{"encryption key file", global(good + "\n encryption_key {file./nonexistent/key}"), "encryption_key: key 1: evaluated placeholder {file./nonexistent/key} is empty; use 32 bytes as base64"},
		{"rate", global(good + "\n rate 1e9"), "destination default: rate: 1e+09 is not accepted; use requests per second above 0, up to 10000"},
		{"burst", global(good + "\n burst 1000000"), "destination default: burst: 1000000 is not accepted; use 1 to 10000"},
		{"nodes", global(good + "\n nodes 1000000"), "destination default: nodes: 1000000 is not accepted; use 1 to 1000"},
		{"destination name", "{\n intilery UK {\n" + good + "\n }\n}\n:80 {\n intilery\n}", `destination name: "UK" is not accepted; use up to 32 of a-z`},
		{"unknown destination", site("destination uk"), `destination: "uk" is not configured; use one of default`},
		{"cookie name", site("cookie {\n name \"a b\"\n }"), `cookie: name "a b" is not accepted`},
		{"cookie age", site("cookie {\n max_age 500d\n }"), `cookie: max_age "12000h0m0s" is not accepted: use whole seconds from 1h to 9600h (400 days)`},
		{"cookie domain", site("cookie {\n domain co.uk\n }"), `cookie: domain "co.uk" is not accepted`},
		{"consent without a source", site("consent {\n gpc ignore\n }"), "consent: no source of consent; give cookie <name> <regexp>, header, or both"},
		{"consent regexp", site("consent {\n cookie a (\n }"), `consent cookie a: "(" is not a regular expression`},
		{"consent regexp empty", site("consent {\n cookie a \"\"\n }"), "consent cookie a: the regular expression is empty"},
		{"bot mark", site("bots {\n add ab\n }"), `bots add: "ab" is not accepted; use a part of a User-Agent`},
		{"bot to remove", site("bots {\n remove acme\n }"), `bots remove: "acme" is not in the list; use one of`},
		{"logout path", site("logout_paths logout"), `logout_paths: "logout" is not accepted; use paths that begin with / or *`},
		{"cookie user name", site("cookie {\n user_name intilery_keeper\n }"), `cookie: user_name "intilery_keeper" is not accepted`},
		{"redact", site("redact a&b"), `redact: "a&b" is not accepted`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := validate(t, tt.caddyfile)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v\nwant  %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret-value") {
				t.Error("the error holds the token")
			}
		})
	}
	// A destination under a name of its own serves sites that name none.
	only := "{\n intilery uk {\n" + good + "\n }\n}\n:80 {\n intilery\n}"
	if err := validate(t, only); err != nil {
		t.Errorf("one destination by name: %v", err)
	}
}

// What no Caddyfile can say, JSON can.
func TestProvisioningErrorsJSON(t *testing.T) {
	for app, want := range map[string]string{
		`"sync": "never"`:                            `sync: "never" is not accepted; use group, interval <duration> or os`,
		`"sync_interval": "1s"`:                      "sync_interval: 1s is of no use with sync \"\"; use it with interval",
		`"max_size": -1`:                             "max_size: -1 bytes are not accepted",
		`"max_age": "-1h"`:                           "max_age: -1h0m0s is not accepted",
		`"sync": "interval", "sync_interval": "-1s"`: "sync: interval -1s is not accepted",
		`"dead_letters_size": -1`:                    "dead_letters_size: -1 bytes are not accepted",
		`"destinations": {"d": {"client_id": "a", "auth_token": "t", "rate": -1}}`:  "destination d: rate: -1 is not accepted",
		`"destinations": {"d": {"client_id": "a", "auth_token": "t", "burst": -1}}`: "destination d: burst: -1 is not accepted",
		`"destinations": {"d": {"client_id": "a", "auth_token": "t", "nodes": -1}}`: "destination d: nodes: -1 is not accepted",
	} {
		if err := validateJSON(t, []byte(`{"apps": {"intilery": {`+app+`}}}`)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v\nwant  %q", err, want)
		}
	}
}
