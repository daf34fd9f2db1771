package caddymodule

import (
	"bytes"
	"fmt"
	goast "go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/intilery/caddy-intilery/caddymodule/internal/reserved"
	"github.com/intilery/caddy-intilery/cookie"
)

func TestDocumentedHeaders(t *testing.T) {
	exist := append(reserved.Names(), reserved.AnonymousID)
	sameNames(t, "header", named(t, `\bIntilery-[A-Z][A-Za-z-]*[a-z]\b`), exist)
}

func TestDocumentedMetrics(t *testing.T) {
	full := regexp.MustCompile(`fqName: "caddy_intilery_(\w+)"`)
	descs := make(chan *prometheus.Desc, 1000)
	queueCollector{}.Describe(descs)
	for _, c := range siteCollectors() {
		c.Describe(descs)
	}
	close(descs)
	var exist []string
	for desc := range descs {
		exist = append(exist, full.FindStringSubmatch(desc.String())[1])
	}
	found := make(map[string]string)
	for name, path := range named(t, `\bcaddy_intilery_([a-z0-9_]*[a-z0-9])\b`) {
		found[strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count"), "_sum")] = path
	}
	// Tables and running text leave the prefix out.
	for _, p := range pages(t) {
		for _, span := range p.spans {
			if name, _, _ := strings.Cut(span, "{"); slices.Contains(exist, name) && found[name] == "" {
				found[name] = p.path
			}
		}
	}
	sameNames(t, "metric", found, exist)
}

// TestDocumentedPlaceholders: a name that the code compares with is a placeholder if
// it has a value.
func TestDocumentedPlaceholders(t *testing.T) {
	x := &exchange{h: new(Handler)}
	var exist []string
	for name := range literals(t, "placeholders.go") {
		if host, found := strings.CutSuffix(name, "."); found {
			if _, ok := x.placeholder("intilery." + host + ".example.com"); ok {
				exist = append(exist, host)
			}
		} else if _, ok := x.placeholder("intilery." + name); ok {
			exist = append(exist, name)
		}
	}
	found := make(map[string]string)
	for name, path := range named(t, `\{(?:http\.)?intilery\.([a-z_]+)`) {
		found[name] = path
	}
	sameNames(t, "placeholder", found, exist)
}

// TestDocumentedEvents: the names that begin like those of Caddy events, log fields,
// cookies and directives are in the code, each Caddy event is in a table, and each log
// field somewhere.
func TestDocumentedEvents(t *testing.T) {
	inCode := literals(t)
	for name, path := range named(t, `^(intilery_[a-z_]+)$`) {
		if !inCode[name] && !inCode[strings.TrimSuffix(name, "_deferred")] && !ofUsers(path) {
			t.Errorf("%s names %s, which is not in the code", path, name)
		}
	}
	rows := make(map[string]string)
	for _, p := range pages(t) {
		for _, table := range p.tables {
			for _, row := range table.rows {
				for _, span := range row {
					rows[span] = p.path
				}
			}
		}
	}
	for _, name := range constants(t, "caddyevents.go") {
		if strings.HasPrefix(name, "intilery_") && rows[name] == "" {
			t.Errorf("%s is in no table of the documentation", name)
		}
	}
	fields := named(t, `\b(intilery[_.][a-z_]+)\b`)
	for name := range literals(t, "telemetry.go") {
		if strings.HasPrefix(name, "intilery") && fields[name] == "" {
			t.Errorf("the field %s is documented nowhere", name)
		}
	}
}

// TestDocumentedReasons: each reason, cause and condition that an operator meets is
// explained somewhere.
func TestDocumentedReasons(t *testing.T) {
	spans := make(map[string]bool)
	for _, p := range pages(t) {
		for _, span := range p.spans {
			spans[span] = true
		}
	}
	var exist []string
	for _, reason := range cookie.Reasons() {
		exist = append(exist, reason.String())
	}
	reasons := literals(t, "internal/reserved/reason.go")
	delete(reasons, "errors") // the import
	exist = append(exist, slices.Collect(maps.Keys(reasons))...)
	for _, file := range []string{"../forwarder/stats.go", "../forwarder/queue/stats.go", "../forwarder/breaker.go"} {
		exist = append(exist, slices.Collect(maps.Values(constants(t, file)))...)
	}
	if len(exist) < 40 {
		t.Errorf("only %d reasons are found", len(exist))
	}
	for _, name := range exist {
		if name != "" && !spans[name] {
			t.Errorf("%q is explained nowhere", name)
		}
	}
}

func TestDocumentedAdminPaths(t *testing.T) {
	var exist []string
	for path := range adminRoutes {
		exist = append(exist, adminPath+path)
	}
	sameNames(t, "admin path", named(t, `(?:GET|POST|DELETE|2019)\s*(/intilery/[a-z/-]+)`), exist)
}

// TestDocumentedCommands: each command line is one that the program takes, and each
// command and flag is documented.
func TestDocumentedCommands(t *testing.T) {
	root := &cobra.Command{Use: "intilery"}
	caddycmd.Commands()["intilery"].CobraFunc(root)
	shown := make(map[string]bool)
	for line, path := range named(t, `(?m)(?:^|\s|/)caddy intilery ([a-z][^\n#|]*)`) {
		words := strings.Fields(strings.ReplaceAll(line, `\`, " "))
		cmd, rest, err := root.Find(words)
		if err != nil || cmd == root || cmd.HasSubCommands() && !strings.Contains(line, "...") && len(rest) > 0 {
			t.Errorf("%s: there is no command in %q: %v", path, "caddy intilery "+line, err)
			continue
		}
		shown[cmd.CommandPath()] = true
		for _, word := range rest {
			name, _, _ := strings.Cut(strings.TrimLeft(word, "[("), "=")
			name = strings.TrimRight(name, ",.;:)]")
			if long, ok := strings.CutPrefix(name, "--"); ok && cmd.Flags().Lookup(long) == nil {
				t.Errorf("%s: %s has no flag --%s", path, cmd.CommandPath(), long)
			}
		}
	}
	flags := named(t, `(?:^|[\s\[(])--([a-z][a-z-]+)`)
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
		if cmd.Runnable() && !shown[cmd.CommandPath()] {
			t.Errorf("the command %s is documented nowhere", cmd.CommandPath())
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if flags[f.Name] == "" {
				t.Errorf("%s --%s is documented nowhere", cmd.CommandPath(), f.Name)
			}
		})
	}
	visit(root)
}

// TestDocumentedScript: xcaddy.sh has the commands that are documented, and no others.
func TestDocumentedScript(t *testing.T) {
	script := string(readFile(t, repository+"/xcaddy.sh"))
	_, cases, _ := strings.Cut(script, "\ncase $command in\n")
	var exist []string
	for _, m := range regexp.MustCompile(`(?m)^([a-z]+)\)$`).FindAllStringSubmatch(cases, -1) {
		exist = append(exist, m[1])
	}
	sameNames(t, "command of xcaddy.sh", named(t, `(?:\./|/)xcaddy\.sh ([a-z]+)`), exist)
}

// TestDocumentedFiles: files of the repository and of the data directory that the
// documentation names are there, and users' files are named.
func TestDocumentedFiles(t *testing.T) {
	inCode := literals(t)
	files := regexp.MustCompile(`(?:^|\s)(?:\./)?((?:\.ci|bench|caddymodule|collect|cookie|deploy|docs|doctor|e2e|fleettest|forwarder|internal|sandbox)/[\w./-]*|Caddyfile\.\w+|xcaddy\.sh|go\.(?:mod|sum))(?:\s|$)`)
	kept := regexp.MustCompile(`^(\w+(?:\.1)?\.jsonl?)$`)
	found := make(map[string]bool)
	for _, p := range pages(t) {
		for _, code := range p.code() {
			for line := range strings.Lines(code) {
				line = strings.TrimSpace(line)
				for _, m := range files.FindAllStringSubmatch(line, -1) {
					found[strings.TrimSuffix(m[1], "/")] = true
					users := ofUsers(p.path) && strings.HasPrefix(m[1], "Caddyfile.")
					if !users && !exists(m[1]) && !exists(filepath.Join(filepath.Dir(p.path), m[1])) {
						t.Errorf("%s names %s, which does not exist", p.path, m[1])
					}
				}
				if m := kept.FindStringSubmatch(line); m != nil && !ofUsers(p.path) && !inCode[m[1]] && !inCode[strings.TrimSuffix(m[1], ".jsonl")] && !exists(m[1]) {
					t.Errorf("%s names %s, which the code does not", p.path, m[1])
				}
			}
		}
		for _, link := range p.links {
			link, _, _ = strings.Cut(link, "#")
			found[filepath.ToSlash(filepath.Join(filepath.Dir(p.path), link))] = true
		}
	}
	var users []string
	for _, pattern := range []string{"Caddyfile.*", "deploy/*", "deploy/*/*.yaml", ".ci/*"} {
		matches, err := filepath.Glob(filepath.Join(repository, pattern))
		if err != nil || len(matches) == 0 {
			t.Errorf("nothing matches %s: %v", pattern, err)
		}
		users = append(users, matches...)
	}
	for _, path := range users {
		name, err := filepath.Rel(repository, path)
		if err != nil {
			t.Fatal(err)
		}
		name = filepath.ToSlash(name)
		under := func(file string) bool { return strings.HasPrefix(file, name+"/") }
		if !found[name] && !found[filepath.Base(name)] && !slices.ContainsFunc(slices.Collect(maps.Keys(found)), under) {
			t.Errorf("%s is named nowhere", name)
		}
	}
}

// TestDocumentedVariables: environment variables that the documentation names are
// read somewhere.
func TestDocumentedVariables(t *testing.T) {
	var sources bytes.Buffer
	err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == "node_modules" || len(name) > 2 && name[0] == '.' && name != ".ci" {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) == ".md" || !d.Type().IsRegular() {
			return nil
		}
		if info, err := d.Info(); err != nil || info.Size() > 1<<20 {
			return err // a binary
		}
		source, err := os.ReadFile(path)
		sources.Write(source)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, path := range named(t, `\b((?:INTILERY|E2E|CADDY)_[A-Z_]+)\b`) {
		if !bytes.Contains(sources.Bytes(), []byte(name)) && !ofUsers(path) {
			t.Errorf("%s names the variable %s, which nothing reads", path, name)
		}
	}
}

// ofUsers tells whether a page has files, functions and variables of users' own apps.
func ofUsers(path string) bool {
	return strings.HasPrefix(path, "docs/frameworks/")
}

func exists(path string) bool {
	_, err := os.Stat(filepath.Join(repository, path))
	return err == nil
}

// literals are the string literals of the given files, or of all Go files that are
// not tests.
func literals(t *testing.T, files ...string) map[string]bool {
	t.Helper()
	found := make(map[string]bool)
	inspect(t, files, func(n goast.Node) {
		if lit, ok := n.(*goast.BasicLit); ok && lit.Kind == token.STRING {
			if value, err := strconv.Unquote(lit.Value); err == nil {
				found[value] = true
			}
		}
	})
	return found
}

// constants are the string constants of a file by name.
func constants(t *testing.T, file string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	inspect(t, []string{file}, func(n goast.Node) {
		decl, ok := n.(*goast.GenDecl)
		if !ok || decl.Tok != token.CONST {
			return
		}
		for _, spec := range decl.Specs {
			spec := spec.(*goast.ValueSpec)
			for i, value := range spec.Values {
				if lit, ok := value.(*goast.BasicLit); ok && lit.Kind == token.STRING {
					found[spec.Names[i].Name], _ = strconv.Unquote(lit.Value)
				}
			}
		}
	})
	if len(found) == 0 {
		t.Fatalf("%s has no constants", file)
	}
	return found
}

func inspect(t *testing.T, files []string, visit func(goast.Node)) {
	t.Helper()
	if len(files) == 0 {
		err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") && !strings.Contains(path, "node_modules") {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(fmt.Errorf("reading %s: %w", file, err))
		}
		goast.Inspect(tree, func(n goast.Node) bool {
			visit(n)
			return true
		})
	}
}
