package caddymodule

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/caddytest"
	"github.com/google/go-cmp/cmp"
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

// Each block adds to those before, and nothing of them stays behind in memory.
func TestManyDestinations(t *testing.T) {
	var global strings.Builder
	want := struct {
		DataDir      string            `json:"data_dir"`
		Map          map[string]string `json:"map"`
		Destinations map[string]map[string]any
	}{DataDir: "/shops", Map: make(map[string]string), Destinations: make(map[string]map[string]any)}
	for i := range 300 {
		name := fmt.Sprintf("shop%d", i)
		fmt.Fprintf(&global, "intilery %s {\nclient_id acme\nauth_token \"a<\\\"%d\"\nrate %d\n", name, i, i+1)
		want.Destinations[name] = map[string]any{"client_id": "acme", "auth_token": fmt.Sprintf("a<\"%d", i), "rate": float64(i + 1)}
		if i%2 == 0 {
			fmt.Fprintf(&global, "map {\n%s.example %s\n}\n", name, name)
			want.Map[name+".example"] = name
		}
		if i == 200 {
			global.WriteString("data_dir /shops\n")
		}
		global.WriteString("}\n")
	}
	config, err := adapt("{\n" + global.String() + "}\n")
	if err != nil {
		t.Fatal(err)
	}
	got := want
	got.DataDir, got.Map, got.Destinations = "", nil, nil
	if err := json.Unmarshal(config, &struct {
		Apps struct{ Intilery any } `json:"apps"`
	}{struct{ Intilery any }{&got}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := adapt("{\n" + global.String() + "intilery shop7 {\n}\n}\n"); err == nil || !strings.Contains(err.Error(), `"shop7" is given twice`) {
		t.Errorf("error %v", err)
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
	t.Setenv("UPPER", "Acme")
	for _, tt := range []struct{ name, caddyfile, want string }{
		{"no destination at all", ":80 {\n intilery\n}", "no destination is configured; add to the global options"},
		{"no client", global("auth_token x"), "client_id is missing; use the client's ID at Intilery, at Caddyfile:2"},
		{"client in upper case", global("client_id Acme\n auth_token x"), `client_id: "Acme" is not accepted; use up to 64 of a-z, 0-9, ., _ and -, at Caddyfile:3`},
		{"brand in lower case", global(good + "\n brand_id acme"), `brand_id: "acme" is not accepted; use up to 64 of A-Z, 0-9, ., _ and -, at Caddyfile:5`},
		{"no token", global("client_id acme"), "auth_token is missing; use {file./path/to/token}, at Caddyfile:2"},
		{"token file missing", global("client_id acme\n auth_token {file./nonexistent/token}"), "auth_token: evaluated placeholder {file./nonexistent/token} is empty; use {file./path}"},
		{"token with a space", global("client_id acme\n auth_token \"secret-value two\""), "auth_token: the value is empty or holds characters that no HTTP header can carry; use the token as Intilery shows it, at Caddyfile:4"},
		{"endpoint", global(good + "\n endpoint tracking.example.com"), `endpoint: "tracking.example.com" is not accepted; use a URL such as https://tracking.intilery.com, without user, query or fragment, at Caddyfile:5`},
		{"endpoint with a query", global(good + "\n endpoint https://a.example/?x=1"), `endpoint: "https://a.example/?x=1" is not accepted`},
		{"keeper key", global(good + "\n keeper_keys c2hvcnQ="), "keeper_keys: key 1 is not 32 bytes as base64; make one with: openssl rand -base64 32, at Caddyfile:5"},
		{"data_dir placeholder", global(good + "\n data_dir {env.NOT_SET_ANYWHERE}/x"), "data_dir {env.NOT_SET_ANYWHERE}/x"},
		{"sync interval", global(good + "\n sync interval 1h"), `sync interval: "1h" is not accepted; use 5ms to 1m0s, at Caddyfile:5`},
		{"max_size", global(good + "\n max_size 1MiB"), `max_size: "1MiB" is not accepted; use 256 MiB or more, at Caddyfile:5`},
		{"max_age", global(good + "\n max_age 1s"), `max_age: "1s" is not accepted; use 1m0s or more, such as 72h or 3d, at Caddyfile:5`},
		{"dead_letters_size", global(good + "\n dead_letters_size 1KiB"), `dead_letters_size: "1KiB" is not accepted; use 1.0 MiB or more, at Caddyfile:5`},
		{"encryption key", global(good + "\n encryption_key secret-value"), "encryption_key: key 1 is not 32 bytes as base64; make one with: openssl rand -base64 32, at Caddyfile:5"},
		{"encryption key file", global(good + "\n encryption_key {file./nonexistent/key}"), "encryption_key: key 1: evaluated placeholder {file./nonexistent/key} is empty; use 32 bytes as base64"},
		{"rate", global(good + "\n rate 1e9"), `rate: "1e9" is not accepted; use requests per second above 0, up to 10000, at Caddyfile:5`},
		{"burst", global(good + "\n burst 1000000"), `burst: "1000000" is not accepted; use a whole number from 1 to 10000, at Caddyfile:5`},
		{"nodes", global(good + "\n nodes 1000000"), `nodes: "1000000" is not accepted; use a whole number from 1 to 1000, at Caddyfile:5`},
		{"empty value", "{\n intilery {\n client_id \"\"\n }\n}\n:80 {\n intilery\n}", "client_id: the value is empty; use text, or a placeholder that has a value, at Caddyfile:3"},
		{"destination name", "{\n intilery UK {\n" + good + "\n }\n}\n:80 {\n intilery\n}", `destination name: "UK" is not accepted; use up to 32 of a-z, 0-9, _ and -, of which the first is a letter or a digit, at Caddyfile:2`},
		{"second keeper key", global(good + "\n keeper_keys {env.HOME} c2VjcmV0LXZhbHVl"), "keeper_keys: key 2 is not 32 bytes as base64; make one with: openssl rand -base64 32, at Caddyfile:5"},
		{"client placeholder", global("client_id {env.NOT_SET_ANYWHERE}\n auth_token x"), "destination default: client_id {env.NOT_SET_ANYWHERE}"},
		{"client by placeholder", global("client_id {env.UPPER}\n auth_token x"), `destination default: client_id: "Acme" is not accepted; use up to 64 of a-z`},
		{"endpoint by placeholder", global(good + "\n endpoint ftp://{env.UPPER}"), `destination default: endpoint: "ftp://Acme" is not accepted; use a URL such as https://`},
		{"map to a destination that is not there", global(good + "\n map {\n a.example uk\n }"), `map: destination "uk" of "a.example" is not configured; use one of default`},
		{"map to a name that cannot be", global(good + "\n map {\n a.example UK\n }"), `map: destination name: "UK" is not accepted; use up to 32 of a-z, 0-9, _ and -, of which the first is a letter or a digit, at Caddyfile:6`},
		{"map placeholder", global(good + "\n map {\n {env.NOT_SET_ANYWHERE} default\n }"), "map {env.NOT_SET_ANYWHERE}"},
		{"unknown destination", site("destination uk"), `destination: "uk" is not configured; use one of default`},
		{"cookie name", site("cookie {\n name \"a b\"\n }"), `cookie name: "a b" is not accepted; use 1 to 64 letters, digits and characters of !#$%&'*+-.^_` + "`" + `|~, at Caddyfile:10`},
		{"cookie age", site("cookie {\n max_age 500d\n }"), `cookie max_age: "12000h0m0s" is not accepted; use whole seconds from 1h to 9600h (400 days), at Caddyfile:10`},
		{"cookie domain", site("cookie {\n domain co.uk\n }"), `cookie domain: "co.uk" is not accepted; use a domain name below a public suffix, such as example.com, at Caddyfile:10`},
		{"consent without a source", site("consent {\n gpc ignore\n }"), "consent: no source of consent; use cookie <name> <regexp>, header or both, or implied, at Caddyfile:9"},
		{"consent regexp", site("consent {\n cookie a (\n }"), `consent cookie a: "(" is not accepted; use a regular expression in RE2 syntax`},
		{"consent regexp empty", site("consent {\n cookie a \"\"\n }"), "consent cookie a: the regular expression is empty"},
		{"bot mark", site("bots {\n add ab\n }"), `bots add: "ab" is not accepted; use a part of a User-Agent`},
		{"bot to remove", site("bots {\n remove acme\n }"), `bots remove: "acme" is not in the list; use a name of the list such as`},
		{"logout path", site("logout_paths logout"), `logout_paths: "logout" is not accepted; use paths that begin with / or *`},
		{"cookie user name", site("cookie {\n user_name intilery_keeper\n }"), `cookie user_name: "intilery_keeper" is not accepted`},
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
	destination := func(options string) string {
		return `"destinations": {"d": {"client_id": "a", "auth_token": "t", ` + options + `}, "e": {"client_id": "a", "auth_token": "t"}}`
	}
	for app, want := range map[string]string{
		`"sync": "never"`:                            `sync: "never" is not accepted; use group, interval <duration> or os`,
		`"sync_interval": "1s"`:                      "sync_interval: 1s has no effect with sync \"\"; use it with interval",
		`"max_size": -1`:                             "max_size: -1 is not accepted; use 256 MiB or more",
		`"max_age": "-1h"`:                           "max_age: -1h0m0s is not accepted; use 1m0s or more",
		`"sync": "interval", "sync_interval": "-1s"`: "sync interval: -1s is not accepted; use 5ms to 1m0s",
		`"dead_letters_size": -1`:                    "dead_letters_size: -1 is not accepted; use 1.0 MiB or more",
		`"destinations": {"d": {"auth_token": "t"}}`: "destination d: client_id is missing",
		`"destinations": {"d": {"client_id": "a"}}`:  "destination d: auth_token is missing",
		`"destinations": {"D": {"client_id": "a"}}`:  `destination name: "D" is not accepted`,
		destination(`"rate": -1`):                    "destination d: rate: -1 is not accepted; use requests per second above 0, up to 10000",
		destination(`"burst": 1000000`):              "destination d: burst: 1000000 is not accepted; use a whole number from 1 to 10000",
		destination(`"nodes": -1`):                   "destination d: nodes: -1 is not accepted; use a whole number from 1 to 1000",
		destination(`"brand_id": "a"`):               `destination d: brand_id: "a" is not accepted; use up to 64 of A-Z`,
		destination(`"account_id": "A"`):             `destination d: account_id: "A" is not accepted; use up to 64 of a-z`,
		destination(`"rate": 1`) + `, "map": {"Shop.example": "d", "shop.example": "d"}`: `map: "shop.example" is given twice`,
	} {
		if err := validateJSON(t, []byte(`{"apps": {"intilery": {`+app+`}}}`)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v\nwant  %q", err, want)
		}
	}
}

// A block goes on from the JSON of those before it, also where that was copied.
func TestGlobalBlocksGoOn(t *testing.T) {
	block := func(name, more string) *caddyfile.Dispenser {
		return caddyfile.NewTestDispenser("intilery " + name + " {\nclient_id acme\nauth_token {env.T}\n" + more + "\n}")
	}
	var want string
	for _, copied := range []bool{false, true} {
		existing, err := parseGlobal(block("a", "map {\nshop a\n}"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if app := existing.(httpcaddyfile.App); copied {
			app.Value = slices.Clone(app.Value)
			existing = app
		}
		both, err := parseGlobal(block("b", ""), existing)
		if err != nil {
			t.Fatal(err)
		}
		got := string(both.(httpcaddyfile.App).Value)
		if want == "" {
			want = got
		}
		if got != want || !strings.Contains(got, `"b":`) || !strings.Contains(got, `"shop":"a"`) {
			t.Errorf("copied %v: %s, want %s", copied, got, want)
		}
	}
}

// Placeholders of a regular expression are replaced, and its own braces stay.
func TestReplaceInRegexp(t *testing.T) {
	t.Setenv("CHOICE", "yes")
	for _, tt := range []struct{ expression, want string }{
		{`^v\{1\}$`, `^v\{1\}$`},
		{`[0-9]{8}\{stamp:[^}]*statistics:true`, `[0-9]{8}\{stamp:[^}]*statistics:true`},
		{`^{env.CHOICE}{2}$`, `^yes{2}$`},
	} {
		got := tt.expression
		if err := replaceInRegexp(caddy.NewReplacer(), "x", &got); err != nil || got != tt.want {
			t.Errorf("%s: got %s, %v, want %s", tt.expression, got, err, tt.want)
		}
	}
	missing := "{env.NOT_SET_ANYWHERE}"
	if err := replaceInRegexp(caddy.NewReplacer(), "x", &missing); err == nil {
		t.Error("a placeholder without a value is accepted")
	}
}

// Placeholders in the site's options have their values when it serves.
func TestSiteOptionsWithPlaceholders(t *testing.T) {
	t.Setenv("COOKIE_NAME", "visitor")
	t.Setenv("CHOICE", "yes")
	r := newRig(t)
	r.serve("intilery {\ncookie {\nname {env.COOKIE_NAME}\n}\nconsent {\ncookie agreed ^{env.CHOICE}$\n}\n}\nreverse_proxy " +
		newServer(t, http.HandlerFunc(echoing)))
	if r.get("/", header("Cookie", "agreed=yes")); r.cookies()["visitor"] == "" {
		t.Errorf("cookies %v", r.cookies())
	}
}

func TestParseOriginRefuses(t *testing.T) {
	for _, origin := range []string{"", "ftp://shop.example.com", "https://shop.example.com:99999", "https://*.example.com",
		"https://shop.example.com?", "https://shop.example.com#", "https://shop.example.com/path", "https://user@shop.example.com"} {
		if got, err := parseOrigin(optionFrom, origin); err == nil {
			t.Errorf("%q is %q", origin, got)
		}
	}
}
