package fleet

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/internal/seal"
)

func TestServers(t *testing.T) {
	for _, server := range []string{"nats://nats-0", "nats://nats-0:4222", "tls://nats.example.com.:4222", "ws://10.0.0.1:8080/", "wss://[::1]", "nats_0:1", "[::1]:4222"} {
		if err := checkServers([]string{server}); err != nil {
			t.Errorf("%s: %v", server, err)
		}
	}
	for _, server := range []string{"", "nats-0", "http://nats-0:4222", "NATS://nats-0:4222", "nats://", "nats://:4222", ":4222", "nats-0:", "nats-0:0",
		"nats-0:65536", "nats://nats-0:99999", "nats://a,b", "nats://a b", "nats://a/b", "nats://a?x=1", "nats://a?", "nats://a#", "nats://a%zz", "a:b:c", "a:1,b:2"} {
		var wrong *OptionError
		if err := checkServers([]string{server}); !errors.As(err, &wrong) || wrong.Option != "servers" {
			t.Errorf("%q: %v", server, err)
		}
	}
	for _, server := range []string{"nats://acme:hunter2@a", "nats://hunter2@a", "acme:hunter2@a:4222", "nats://a/?x=hunter2@"} {
		if err := checkServers([]string{server}); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", server, err)
		}
	}
	if err := checkServers([]string{"ws://a", "wss://b"}); err != nil {
		t.Error(err)
	}
	if err := checkServers([]string{"ws://a", "tls://b"}); err == nil {
		t.Error("WebSocket beside TLS is accepted")
	}
	if err := checkServers([]string{"ws-1:4222", "tls://b"}); err != nil {
		t.Errorf("a host whose name begins with ws: %v", err)
	}
}

// The host's name is the default of the node's, and subject to the same rules.
func TestOptionNames(t *testing.T) {
	host := func(name string, err error) func() (string, error) {
		return func() (string, error) { return name, err }
	}
	for _, name := range []string{"web", "web-1.eu_west.example", strings.Repeat("a", 253)} {
		var o Options
		if err := o.completeNames(host(name, nil)); err != nil || o.Node != name || o.Name != "IQ" {
			t.Errorf("%q: %+v, %v", name, o, err)
		}
	}
	for _, name := range []string{"", ".web", "web.", "a..b", "a b", "*", ">", "a.*", "wéb", "web\n", strings.Repeat("a", 254)} {
		o := Options{Node: name}
		err := o.completeNames(host(name, nil))
		if err == nil || strings.Contains(err.Error(), "the host's name") != (name == "") {
			t.Errorf("%q: %v", name, err)
		}
		o = Options{}
		if err := o.completeNames(host(name, nil)); err == nil || !strings.Contains(err.Error(), "the host's name") {
			t.Errorf("host %q: %v", name, err)
		}
	}
	for _, name := range []string{"a.b", "a_b", "a b", ">", strings.Repeat("a", 33)} {
		o := Options{Name: name, Node: "web"}
		if err := o.completeNames(nil); err == nil {
			t.Errorf("name %q is accepted", name)
		}
	}
	var o Options
	if err := o.completeNames(host("", errors.ErrUnsupported)); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("without a host's name: %v", err)
	}
}

func TestDefaults(t *testing.T) {
	got, err := Options{Servers: []string{"localhost:4222"}, Node: "web"}.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if got.Logger == nil || got.Name != "IQ" || got.Replicas != 3 || got.Lease != 5*time.Second || got.MaxBytes != 8<<30 || got.Keep != 5*time.Minute || got.Check {
		t.Errorf("defaults %+v", got)
	}
	again, err := got.WithDefaults()
	if err != nil || got.Changed(&again) {
		t.Errorf("a second time: %+v, %v", again, err)
	}
}

// A change that needs a restart is seen in each option that a user sets.
func TestChanged(t *testing.T) {
	password := func() (string, error) { return "", nil }
	base := Options{Servers: []string{"a:1"}, TLS: &TLS{CA: "/ca"}, Password: password}
	same := Options{Servers: slices.Clone(base.Servers), TLS: &TLS{CA: "/ca"}, Password: func() (string, error) { return "x", nil },
		MaxAge: time.Hour, Keys: new(seal.Keyring), Logger: slog.Default()}
	if base.Changed(&same) || base.Changed(&base) || (*Options)(nil).Changed(nil) {
		t.Error("nothing has changed")
	}
	if !base.Changed(nil) || !(*Options)(nil).Changed(&base) {
		t.Error("a fleet that came or went is not seen")
	}
	for name, change := range map[string]func(*Options){
		"servers":     func(o *Options) { o.Servers = []string{"a:1", "b:1"} },
		"credentials": func(o *Options) { o.Credentials = "/c" },
		"nkey":        func(o *Options) { o.NKey = "/n" },
		"user":        func(o *Options) { o.User = "u" },
		"password":    func(o *Options) { o.Password = nil },
		"tls":         func(o *Options) { o.TLS = nil },
		"ca":          func(o *Options) { o.TLS = &TLS{CA: "/other"} },
		"name":        func(o *Options) { o.Name = "n" },
		"node":        func(o *Options) { o.Node = "n" },
		"replicas":    func(o *Options) { o.Replicas = 1 },
		"create":      func(o *Options) { o.Check = true },
		"lease":       func(o *Options) { o.Lease = time.Minute },
		"max_size":    func(o *Options) { o.MaxBytes = 1 },
		"keep":        func(o *Options) { o.Keep = time.Minute },
	} {
		o := same
		if change(&o); !base.Changed(&o) || !o.Changed(&base) {
			t.Errorf("%s: the change is not seen", name)
		}
	}
}
