package doctor

import (
	"bytes"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// script judges the tag that the page loads from below the endpoint.
func (c *client) script(doc answer) {
	const topic = "endpoint script"
	below := c.scriptOf(doc)
	if below == "" {
		c.report.add(note, topic, "if the site's tag is to come from there, put {http.intilery.snippet} into its pages",
			"the page loads none from below the endpoint")
		return
	}
	if word := listedWord(below); word != "" {
		c.report.add(note, topic, "give the script a name that does not hint at analytics, as in tag next <file name>", "blockers' lists have many rules with the word %s", word)
	}
	a := c.ask(topic, newBrowser(), http.MethodGet, below, c.origin, nil)
	if a == nil {
		return
	}
	switch kind, _, _ := mime.ParseMediaType(a.header.Get("Content-Type")); {
	case a.status != http.StatusOK:
		c.report.add(problem, topic, "check the file name in tag, and the status of the tag's source", "the page loads one that is answered with %d", a.status)
	case kind != "text/javascript" && kind != "application/javascript":
		c.report.add(problem, topic, fixEndpoint, "browsers do not run it: its type is %q", a.header.Get("Content-Type"))
	case !c.report.has(topic):
		c.report.add(fine, topic, "", "the page loads the tag from below the endpoint")
	}
}

// scriptOf returns the path of the first script of a page that is below the
// endpoint, from there on; "" for none.
func (c *client) scriptOf(doc answer) string {
	at := html.NewTokenizer(bytes.NewReader(doc.body))
	for {
		switch at.Next() {
		case html.ErrorToken: // the end, of what was read of it
			return ""
		case html.StartTagToken:
			if below := c.belowOf(at.Token(), doc.url); below != "" {
				return below
			}
		}
	}
}

func (c *client) belowOf(element html.Token, page *url.URL) string {
	if element.Data != "script" {
		return ""
	}
	for _, attribute := range element.Attr {
		if attribute.Key != "src" {
			continue
		}
		src, err := page.Parse(strings.TrimSpace(attribute.Val))
		if err != nil || src.Host != c.base.Host {
			continue
		}
		if below, ok := strings.CutPrefix(src.EscapedPath(), c.base.EscapedPath()+"/"); ok {
			return below
		}
	}
	return ""
}
