package forwarder

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/intilery/caddy-intilery/forwarder/tracking"
)

const deliveryDoc = "../docs/delivery.md"

// TestDocumentedAnswers: the answers' table in the documentation is the one
// that the code goes by, row for row, and says what happens for each class.
func TestDocumentedAnswers(t *testing.T) {
	text, err := os.ReadFile(deliveryDoc)
	if err != nil {
		t.Fatal(err)
	}
	table := "| status | class | meaning |\n|---|---|---|\n"
	classes := map[tracking.Class]bool{}
	for _, r := range tracking.Rules() {
		table += fmt.Sprintf("| %s | %s | %s |\n", r.Codes(), r.Class, r.Why)
		classes[r.Class] = true
	}
	if !strings.Contains(string(text), "\n"+table+"\n") {
		t.Errorf("%s does not have this table:\n%s", deliveryDoc, table)
	}
	for c := range classes {
		if n := strings.Count(string(text), fmt.Sprintf("\n| %s | ", c)); n != 1 {
			t.Errorf("%s says %d times what happens when an answer is %s", deliveryDoc, n, c)
		}
	}
}

// TestDocumentedTests: each test that the documentation names exists.
func TestDocumentedTests(t *testing.T) {
	text, err := os.ReadFile(deliveryDoc)
	if err != nil {
		t.Fatal(err)
	}
	exists := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range declared.FindAllStringSubmatch(string(source), -1) {
			exists[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(string(text), -1)
	if len(named) < 30 {
		t.Errorf("only %d tests are named", len(named))
	}
	for _, m := range named {
		if !exists[m[1]] {
			t.Errorf("%s names %s, which does not exist", deliveryDoc, m[1])
		}
	}
}
