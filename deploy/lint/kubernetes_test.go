package lint

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// kinds that the manifests may have, by apiVersion and kind.
var kinds = map[string]func() any{
	"v1 ConfigMap":                  func() any { return new(corev1.ConfigMap) },
	"v1 Service":                    func() any { return new(corev1.Service) },
	"v1 PersistentVolumeClaim":      func() any { return new(corev1.PersistentVolumeClaim) },
	"apps/v1 Deployment":            func() any { return new(appsv1.Deployment) },
	"apps/v1 StatefulSet":           func() any { return new(appsv1.StatefulSet) },
	"policy/v1 PodDisruptionBudget": func() any { return new(policyv1.PodDisruptionBudget) },
}

// strict reads a manifest as `kubectl apply` does with strict validation: an unknown or
// repeated field is an error, as is a value of another type.
func strict(doc []byte) error {
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(doc, &kind); err != nil {
		return err
	}
	typed := kinds[kind.APIVersion+" "+kind.Kind]
	if typed == nil {
		return errors.New("there is no type for " + kind.APIVersion + " " + kind.Kind)
	}
	return yaml.UnmarshalStrict(doc, typed())
}

// TestKubernetes: every manifest has the fields of its type and no others.
func TestKubernetes(t *testing.T) {
	files, err := filepath.Glob("../kubernetes/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "-values.yaml") { // of a chart: the chart has the schema
			var values map[string]any
			if err := yaml.UnmarshalStrict(text, &values); err != nil {
				t.Errorf("%s: %v", file, err)
			}
			continue
		}
		docs := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
		for {
			doc, err := docs.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if err := strict(doc); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	wrong := "apiVersion: v1\nkind: Service\nmetadata: {name: caddy}\nspec: {selectors: {a: b}}\n"
	if strict([]byte(wrong)) == nil {
		t.Error("a misspelt field is not found")
	}
}
