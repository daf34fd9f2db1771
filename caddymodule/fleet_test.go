package caddymodule

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/intilery/caddy-intilery/forwarder/fleet"
)

// writeFile writes a file into a directory of the test's own and returns its path.
func writeFile(t *testing.T, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// certificate returns the paths of a certificate and its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	s.Close()
	pair := s.TLS.Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, "cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})),
		writeFile(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// provisionFleet sets options of an app and returns what the forwarder is given.
func provisionFleet(t *testing.T, a *App, options string) *fleet.Options {
	t.Helper()
	if err := json.Unmarshal([]byte("{"+options+"}"), a); err != nil {
		t.Fatal(err)
	}
	repl := caddy.NewReplacer()
	if err := errors.Join(a.provisionQueue(repl), a.provisionFleet(repl)); err != nil {
		t.Fatal(err)
	}
	return a.options.Fleet
}

// Every option of the JSON form, with placeholders in all texts, and the defaults.
func TestFleetOptions(t *testing.T) {
	cert, key := certificate(t)
	password := writeFile(t, "password", []byte("first\n"))
	for name, value := range map[string]string{
		"FLEET_SERVER": "nats-1:4222", "FLEET_USER": "acme", "FLEET_CERT": cert, "FLEET_KEY": key, "FLEET_NAME": "IQ-test", "FLEET_NODE": "web_1.example",
	} {
		t.Setenv(name, value)
	}
	got := provisionFleet(t, &App{logger: zap.NewNop()}, `"max_age": "2h", "fleet": {"servers": ["tls://nats-0:4222", "{env.FLEET_SERVER}"], "user": "{env.FLEET_USER}",
		"password": "{file.`+password+`}", "tls": {"ca": "{env.FLEET_CERT}", "cert": "{env.FLEET_CERT}", "key": "{env.FLEET_KEY}"},
		"name": "{env.FLEET_NAME}", "node": "{env.FLEET_NODE}", "replicas": 1, "create": "check", "lease": "2s", "max_size": 67108864, "keep": "1h"}`)
	ignore := cmpopts.IgnoreFields(fleet.Options{}, "Password", "Logger", "Keys")
	want := &fleet.Options{
		Servers: []string{"tls://nats-0:4222", "nats-1:4222"}, User: "acme", TLS: &fleet.TLS{CA: cert, Cert: cert, Key: key},
		Name: "IQ-test", Node: "web_1.example", Replicas: 1, Check: true, Lease: 2 * time.Second, MaxBytes: 64 << 20,
		Keep: time.Hour, MaxAge: 2 * time.Hour,
	}
	if diff := cmp.Diff(want, got, ignore); diff != "" {
		t.Error(diff)
	}
	for _, want := range []string{"first", " second "} { // the file is read at each connect
		if err := os.WriteFile(password, []byte(want+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := got.Password(); err != nil || got != want {
			t.Errorf("password %q, %v, want %q", got, err, want)
		}
	}

	seed := writeFile(t, "seed", []byte("SU"))
	got = provisionFleet(t, &App{logger: zap.NewNop()}, `"fleet": {"servers": ["nats-0:4222"], "nkey": "`+seed+`", "node": "web", "create": "on"}`)
	want = &fleet.Options{
		Servers: []string{"nats-0:4222"}, NKey: seed, Name: "IQ", Node: "web", Replicas: 3, Lease: 5 * time.Second, MaxBytes: 8 << 30,
		Keep: 5 * time.Minute, MaxAge: 72 * time.Hour,
	}
	if diff := cmp.Diff(want, got, ignore); diff != "" {
		t.Error(diff)
	}
	if got := provisionFleet(t, &App{logger: zap.NewNop()}, `"max_age": "2h"`); got != nil {
		t.Errorf("without the option: %v", got)
	}
}

// What only provisioning can see is an error there, which holds no secret.
func TestFleetErrors(t *testing.T) {
	cert, key := certificate(t)
	empty := writeFile(t, "empty", nil)
	text := writeFile(t, "text", []byte("hunter2"))
	dir := t.TempDir()
	t.Setenv("BAD_NAME", "IQ_test")
	t.Setenv("WITH_LOGIN", "nats://acme:hunter2@nats-0:4222")
	for _, tt := range []struct{ name, options, want string }{
		{"no server", ``, "fleet servers: no value; use one or more of nats://"},
		{"server by placeholder", `"servers": ["{env.WITH_LOGIN}"]`, "fleet servers: an address holds an @"},
		{"placeholder without a value", `"servers": ["{env.NOT_SET_ANYWHERE}"]`, "fleet servers {env.NOT_SET_ANYWHERE}"},
		{"path without a value", `"credentials": "{env.NOT_SET_ANYWHERE}"`, "fleet credentials {env.NOT_SET_ANYWHERE}"},
		{"tls path without a value", `"tls": {"ca": "{env.NOT_SET_ANYWHERE}"}`, "fleet tls ca {env.NOT_SET_ANYWHERE}"},
		{"credentials missing", `"credentials": "/nonexistent/nats.creds"`, "fleet credentials: open /nonexistent/nats.creds: no such file or directory; use the path of a file that Caddy can read"},
		{"credentials empty", `"credentials": "` + empty + `"`, "fleet credentials: " + empty + " is empty; use the path of a file that Caddy can read"},
		{"nkey is a directory", `"nkey": "` + dir + `"`, "fleet nkey: read " + dir + ": is a directory"},
		{"password file missing", `"user": "acme", "password": "{file./nonexistent/p}"`, "fleet password: evaluated placeholder {file./nonexistent/p} is empty; use {file./path}"},
		{"password of a line's end", `"user": "acme", "password": "\n"`, "fleet password: the value is empty; use {file./path}"},
		{"ca missing", `"tls": {"ca": "/nonexistent/ca.pem"}`, "fleet tls ca: open /nonexistent/ca.pem"},
		{"ca of something else", `"tls": {"ca": "` + text + `"}`, "fleet tls ca: " + text + " holds no certificate; use a file of certificates in PEM"},
		{"cert missing", `"tls": {"cert": "/nonexistent/c", "key": "` + key + `"}`, "fleet tls cert: open /nonexistent/c"},
		{"key missing", `"tls": {"cert": "` + cert + `", "key": "/nonexistent/k"}`, "fleet tls key: open /nonexistent/k"},
		{"key of something else", `"tls": {"cert": "` + cert + `", "key": "` + text + `"}`, "fleet tls: " + cert + " and " + text + " cannot be used: "},
		{"create", `"create": "off"`, `fleet create: "off" is not accepted; use on or check`},
		{"replicas", `"replicas": -1`, "fleet replicas: -1 is not accepted; use 1, 3 or 5"},
		{"lease", `"lease": "-1s"`, "fleet lease: -1s is not accepted; use 2s to 1m0s"},
		{"max_size", `"max_size": -1`, "fleet max_size: -1 bytes are not accepted; use 64 MiB or more"},
		{"keep", `"keep": "1s"`, "fleet keep: 1s is not accepted; use 10s to 1h0m0s"},
		{"keep beyond max_age", `"keep": "10m"}, "max_age": "10m", "map": {`, "fleet keep: 10m0s is not accepted; use less than max_age, which is 10m0s"},
		{"default of keep beyond max_age", `"create": "on"}, "max_age": "1m", "map": {`, "fleet keep: 5m0s is not accepted; use less than max_age, which is 1m0s"},
		{"name by placeholder", `"name": "{env.BAD_NAME}"`, `fleet name: "IQ_test" is not accepted; use up to 32 letters, digits and hyphens`},
		{"nodes", `"create": "on"}, "destinations": {"d": {"client_id": "a", "auth_token": "t", "nodes": 2}`, "destination d: nodes: 2 cannot be used with fleet, where each lane has its part of rate and burst"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			options := tt.options
			if options != "" && !strings.Contains(options, `"servers"`) {
				options = `"servers": ["nats-0:4222"], "node": "web", ` + options
			}
			err := validateJSON(t, []byte(`{"apps": {"intilery": {"fleet": {`+options+`}}}}`))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v\nwant  %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Error("the error holds a password")
			}
		})
	}
}

// A Caddyfile's errors hold no password either.
func TestFleetCaddyfileHidesPasswords(t *testing.T) {
	for _, lines := range []string{
		"servers nats://acme:hunter2@nats-0:4222", "servers nats-0:4222\npassword hunter2", "servers nats-0:4222\nnkey /a\nuser acme\npassword hunter2",
	} {
		_, err := adapt("{\nintilery {\nclient_id acme\nauth_token t\nfleet nats {\n" + lines + "\n}\n}\n}\n")
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error %v", err)
		}
	}
}

// The same fleet may stand in each block, also where Caddy has copied the JSON of
// the block before.
func TestFleetInEachBlock(t *testing.T) {
	block := func(name string) *caddyfile.Dispenser {
		return caddyfile.NewTestDispenser("intilery " + name +
			" {\nclient_id acme\nauth_token {env.T}\nfleet nats {\nservers {env.S}\ntls\nnode {env.N}\n}\n}")
	}
	existing, err := parseGlobal(block("a"), nil)
	if err != nil {
		t.Fatal(err)
	}
	app := existing.(httpcaddyfile.App)
	app.Value = bytes.Clone(app.Value)
	if existing, err = parseGlobal(block("b"), app); err != nil {
		t.Fatal(err)
	}
	if got := string(existing.(httpcaddyfile.App).Value); strings.Count(got, `"fleet":{"servers":["{env.S}"],"tls":{},"node":"{env.N}"}`) != 1 {
		t.Errorf("adapts to %s", got)
	}
}

// The password is in no answer of the admin endpoint and not in the log, and one that
// is written in the configuration is warned of.
func TestFleetPassword(t *testing.T) {
	const secret = "password-of-the-broker"
	const warning = "fleet password is written in the configuration"
	placeholder := "{file." + writeFile(t, "password", []byte(secret+"\n")) + "}"
	r := newAdminRig(t, "fleet nats {\nservers nats://127.0.0.1:1\nuser acme\npassword "+placeholder+"\nnode web\n}")
	code, config := r.ask("GET", "/config/apps/intilery", "")
	if code != 200 || !strings.Contains(config, placeholder) {
		t.Errorf("%d %s does not have the placeholder", code, config)
	}
	_, status := r.ask("GET", "/intilery/status", "")
	for where, text := range map[string]string{"the configuration": config, "the status": status, "the log": r.log()} {
		if strings.Contains(text, secret) {
			t.Errorf("%s holds the password", where)
		}
	}
	for _, tt := range []struct {
		servers, password string
		warned            bool
	}{
		{`"nats-0:4222"`, placeholder, false},
		{`"nats-0:4222"`, "plain", true},
		{`"127.0.0.1:1", "nats://nats-0"`, "plain", true},
		{`"127.0.0.1:1", "nats://localhost:1", "[::1]:1"`, "plain", false},
	} {
		core, logged := observer.New(zap.WarnLevel)
		a := &App{logger: zap.New(core)}
		provisionFleet(t, a, fmt.Sprintf(`"fleet": {"servers": [%s], "user": "acme", "password": %q, "node": "web"}`, tt.servers, tt.password))
		if got := logged.FilterMessageSnippet(warning).Len() == 1; got != tt.warned {
			t.Errorf("%s, %s: warned %v, want %v", tt.servers, tt.password, got, tt.warned)
		}
		if a.Fleet.Password != tt.password {
			t.Errorf("password %s has become %s", tt.password, a.Fleet.Password)
		}
	}
}

// A Caddyfile may be adapted on another machine, whose name says nothing.
func TestFleetAdaptsElsewhere(t *testing.T) {
	for _, node := range []string{"", "{env.NODE}"} {
		f := &Fleet{Servers: []string{"nats-0:4222"}, Node: node}
		if got := f.sample().Node; got != "node" || f.Node != node {
			t.Errorf("node %q is checked as %q", node, got)
		}
	}
}
