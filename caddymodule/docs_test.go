package caddymodule

import (
	"bytes"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/yuin/goldmark"
	mdast "github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	tableast "github.com/yuin/goldmark/extension/ast"
	mdtext "github.com/yuin/goldmark/text"
)

// repository is its root, seen from this package.
const repository = ".."

// page is one Markdown file of the documentation, in its parts.
type page struct {
	path    string      // from the root
	spans   []string    // `code` in running text
	blocks  []codeBlock // fenced code
	links   []string    // destinations of links and images
	anchors map[string]bool
	tables  []table
}

// table is what the first column has: its heading, and the code spans of each cell.
type table struct {
	heading string
	rows    [][]string
}

type codeBlock struct {
	page, language, text string
}

// documentation returns all pages but the changelog, which tells of what was, and what
// a run of the browsers leaves.
var documentation = sync.OnceValues(func() ([]*page, error) {
	var pages []*page
	err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && (name == "node_modules" || name == "testdata" || len(name) > 2 && name[0] == '.') {
			return fs.SkipDir
		}
		if filepath.Ext(name) != ".md" || name == "CHANGELOG.md" || name == "results.md" {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		path, err = filepath.Rel(repository, path)
		pages = append(pages, newPage(filepath.ToSlash(path), source))
		return err
	})
	return pages, err
})

func pages(t *testing.T) []*page {
	t.Helper()
	all, err := documentation()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("only %d pages are found", len(all))
	}
	return all
}

func newPage(path string, source []byte) *page {
	p := &page{path: path, anchors: make(map[string]bool)}
	tree := goldmark.New(goldmark.WithExtensions(extension.Table)).Parser().Parse(mdtext.NewReader(source))
	_ = mdast.Walk(tree, func(n mdast.Node, entering bool) (mdast.WalkStatus, error) {
		if !entering {
			return mdast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *mdast.CodeSpan:
			p.spans = append(p.spans, plainText(n, source))
		case *mdast.FencedCodeBlock:
			p.blocks = append(p.blocks, codeBlock{path, string(n.Language(source)), string(n.Lines().Value(source))})
		case *mdast.Link:
			p.links = append(p.links, string(n.Destination))
		case *mdast.Image:
			p.links = append(p.links, string(n.Destination))
		case *mdast.Heading:
			p.addAnchor(plainText(n, source))
		case *tableast.TableHeader:
			p.tables = append(p.tables, table{heading: plainText(n.FirstChild(), source)})
		case *tableast.TableRow:
			var row []string
			for c := n.FirstChild().FirstChild(); c != nil; c = c.NextSibling() {
				if span, ok := c.(*mdast.CodeSpan); ok {
					row = append(row, plainText(span, source))
				}
			}
			last := &p.tables[len(p.tables)-1]
			last.rows = append(last.rows, row)
		}
		return mdast.WalkContinue, nil
	})
	return p
}

// plainText is what a reader sees of an inline node.
func plainText(n mdast.Node, source []byte) string {
	var out bytes.Buffer
	_ = mdast.Walk(n, func(n mdast.Node, entering bool) (mdast.WalkStatus, error) {
		if t, ok := n.(*mdast.Text); ok && entering {
			out.Write(t.Segment.Value(source))
			if t.SoftLineBreak() {
				out.WriteByte(' ')
			}
		}
		return mdast.WalkContinue, nil
	})
	return out.String()
}

var notInAnchors = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)

// addAnchor adds a heading's fragment as GitHub makes it: lower case, without
// punctuation, with hyphens for spaces, and numbered when it stands again.
func (p *page) addAnchor(heading string) {
	name := strings.ReplaceAll(notInAnchors.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
	anchor := name
	for i := 1; p.anchors[anchor]; i++ {
		anchor = name + "-" + string(rune('0'+i))
	}
	p.anchors[anchor] = true
}

// code is all code of the page, spans and blocks.
func (p *page) code() []string {
	all := slices.Clone(p.spans)
	for _, b := range p.blocks {
		all = append(all, b.text)
	}
	return all
}

// named is where each match of a pattern in the documentation's code stands first.
func named(t *testing.T, pattern string) map[string]string {
	t.Helper()
	find := regexp.MustCompile(pattern)
	found := make(map[string]string)
	for _, p := range pages(t) {
		for _, code := range p.code() {
			for _, m := range find.FindAllStringSubmatch(code, -1) {
				if name := m[len(m)-1]; found[name] == "" {
					found[name] = p.path
				}
			}
		}
	}
	if len(found) == 0 {
		t.Fatalf("nothing in the documentation matches %s", pattern)
	}
	return found
}

// sameNames compares what the documentation names with what exists.
func sameNames(t *testing.T, kind string, named map[string]string, exist []string) {
	t.Helper()
	if len(exist) == 0 {
		t.Errorf("no %s exists", kind)
	}
	for name, path := range named {
		if !slices.Contains(exist, name) {
			t.Errorf("%s names the %s %q, which does not exist; there are %q", path, kind, name, exist)
		}
	}
	for _, name := range exist {
		if named[name] == "" {
			t.Errorf("the %s %q is documented nowhere", kind, name)
		}
	}
}

// TestDocumentedLinks: what pages link to is there: files, headings and pictures.
func TestDocumentedLinks(t *testing.T) {
	byPath := make(map[string]*page)
	for _, p := range pages(t) {
		byPath[p.path] = p
	}
	linked := map[string]bool{"README.md": true}
	for _, p := range pages(t) {
		for _, link := range p.links {
			u, err := url.Parse(link)
			if err != nil || u.Scheme != "" {
				continue // another site's
			}
			target := p.path
			if u.Path != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(p.path), u.Path))
			}
			linked[target] = true
			if info, err := os.Stat(filepath.Join(repository, target)); err != nil {
				t.Errorf("%s links to %s, which does not exist", p.path, link)
			} else if to := byPath[target]; u.Fragment != "" && (info.IsDir() || to == nil || !to.anchors[u.Fragment]) {
				t.Errorf("%s links to %s: there is no such heading", p.path, link)
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(byPath)) {
		if !linked[path] {
			t.Errorf("no page links to %s", path)
		}
	}
}
