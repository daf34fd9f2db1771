package caddymodule

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"go.yaml.in/yaml/v3"
)

// adaptFile turns a Caddyfile into JSON, from its own directory, so that it may import.
func adaptFile(t *testing.T, name string, text []byte) map[string]any {
	t.Helper()
	raw, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt(text, map[string]any{"filename": name})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for _, w := range warnings {
		t.Errorf("%s: %s", name, w)
	}
	var config map[string]any
	if err := json.Unmarshal(raw, &config); err != nil {
		t.Fatal(err)
	}
	return config
}

// at follows keys and indices into what was decoded.
func at(t *testing.T, v any, path ...any) any {
	t.Helper()
	for i, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				t.Fatalf("nothing at %v", path[:i+1])
			}
			v = l[p]
		}
		if v == nil {
			t.Fatalf("nothing at %v", path[:i+1])
		}
	}
	return v
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestExamplesAdapt: the demos' Caddyfiles are valid, and so are those of the page
// about fleets.
func TestExamplesAdapt(t *testing.T) {
	for _, name := range []string{"Caddyfile.example", "Caddyfile.fleet", "Caddyfile.sandbox", "deploy/docker/Caddyfile", "deploy/docker/demo/sandbox.Caddyfile"} {
		path := filepath.Join("..", name)
		adaptFile(t, path, readFile(t, path))
	}
	blocks := regexp.MustCompile("(?s)```caddyfile\n(.*?)```").FindAllSubmatch(readFile(t, "../docs/fleet.md"), -1)
	if len(blocks) == 0 {
		t.Error("docs/fleet.md has no Caddyfile")
	}
	for _, b := range blocks {
		adaptFile(t, "docs/fleet.md", b[1])
	}
}

// manifests returns the documents of the files for Kubernetes by kind and name.
func manifests(t *testing.T, files ...string) map[string]any {
	t.Helper()
	all := make(map[string]any)
	for _, name := range files {
		d := yaml.NewDecoder(bytes.NewReader(readFile(t, filepath.Join("../deploy/kubernetes", name))))
		for {
			var doc map[string]any
			err := d.Decode(&doc)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			key := at(t, doc, "kind").(string) + " " + at(t, doc, "metadata", "name").(string)
			if all[key] != nil {
				t.Errorf("%s is there twice", key)
			}
			all[key] = doc
		}
	}
	return all
}

// TestKubernetes: the files for Kubernetes can be read, their Caddyfile is valid, and
// what one of them names is in the other.
func TestKubernetes(t *testing.T) {
	for _, k := range []struct {
		common, pods, name string
		handOver           time.Duration // forwarder.Close: a fleet's hand-over
	}{
		{"fleet.yaml", "statefulset.yaml", "StatefulSet caddy", 10 * time.Second},
		{"fleet.yaml", "deployment.yaml", "Deployment caddy", 10 * time.Second},
		{"single.yaml", "single.yaml", "StatefulSet caddy", 0},
	} {
		t.Run(k.pods, func(t *testing.T) {
			common := manifests(t, k.common)
			caddyfile := at(t, common, "ConfigMap caddy", "data", "Caddyfile").(string)
			config := adaptFile(t, "Caddyfile", []byte(caddyfile))
			grace := time.Duration(at(t, config, "apps", "http", "grace_period").(float64))
			labels := at(t, common, "Service caddy", "spec", "selector", "app.kubernetes.io/name")

			spec := at(t, manifests(t, k.pods), k.name, "spec")
			if got := at(t, spec, "template", "metadata", "labels", "app.kubernetes.io/name"); got != labels {
				t.Errorf("pods are labelled %v, the service selects %v", got, labels)
			}
			pod := at(t, spec, "template", "spec")
			c := at(t, pod, "containers", 0)
			// forwarder.Close: deliveries under way, then the hand-over.
			needs := time.Duration(at(t, c, "lifecycle", "preStop", "sleep", "seconds").(int))*time.Second + grace + 2*time.Second + k.handOver
			if has := time.Duration(at(t, pod, "terminationGracePeriodSeconds").(int)) * time.Second; has < needs+5*time.Second {
				t.Errorf("a pod has %v to end, and may need %v", has, needs)
			}
			mounts := make(map[string]string)
			for _, m := range at(t, c, "volumeMounts").([]any) {
				mounts[at(t, m, "name").(string)] = at(t, m, "mountPath").(string)
			}
			under := func(path any, mount string) {
				t.Helper()
				if !strings.HasPrefix(path.(string), mounts[mount]+"/") {
					t.Errorf("%v is not on the volume %s, at %q", path, mount, mounts[mount])
				}
			}
			under(at(t, config, "apps", "intilery", "data_dir"), "data")
			under(at(t, config, "storage", "root"), "data")
			for _, secret := range regexp.MustCompile(`\{file\.([^}]+)\}`).FindAllStringSubmatch(caddyfile, -1) {
				under(secret[1], "secrets")
			}
		})
	}
}

// TestKubernetesFleet: nodes and NATS know each other.
func TestKubernetesFleet(t *testing.T) {
	var values map[string]any
	if err := yaml.Unmarshal(readFile(t, "../deploy/kubernetes/nats-values.yaml"), &values); err != nil {
		t.Fatal(err)
	}
	at(t, values, "config", "jetstream", "merge", "sync_interval")
	user := at(t, values, "config", "merge", "accounts", "INTILERY", "users", 0, "user")

	common := manifests(t, "fleet.yaml")
	config := adaptFile(t, "Caddyfile", []byte(at(t, common, "ConfigMap caddy", "data", "Caddyfile").(string)))
	fleet := at(t, config, "apps", "intilery", "fleet")
	if got := at(t, fleet, "user"); got != user {
		t.Errorf("the nodes are user %v, and NATS knows %v", got, user)
	}
	if got := at(t, fleet, "node"); got != "{env.POD_NAME}" {
		t.Errorf("node is %v", got)
	}
	for file, name := range map[string]string{"statefulset.yaml": "StatefulSet caddy", "deployment.yaml": "Deployment caddy"} {
		c := at(t, manifests(t, file), name, "spec", "template", "spec", "containers", 0)
		if got := at(t, c, "env", 0, "name"); got != "POD_NAME" {
			t.Errorf("%s: the pod's name is in %v", file, got)
		}
	}
	labels := at(t, common, "Service caddy", "spec", "selector", "app.kubernetes.io/name")
	if got := at(t, common, "PodDisruptionBudget caddy", "spec", "selector", "matchLabels", "app.kubernetes.io/name"); got != labels {
		t.Errorf("the disruption budget is for %v, the service for %v", got, labels)
	}
}
