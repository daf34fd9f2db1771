package tag

import (
	"embed"
	"encoding/json"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
)

// assets is what assets/build.sh makes of the npm packages.
//
//go:embed assets/next.js assets/classic.js assets/chunks/*.js assets/LICENSES.txt
var assets embed.FS

// chunkDir is where analytics-next looks for its chunks below its base.
const chunkDir = "analytics-next/bundles/"

// builtIn is a source: Next or Classic.
type builtIn string

// Each built-in script is prepared when it is first asked for, so that a site
// which serves neither pays nothing.
var builtInTemplates = map[builtIn]func() *template{
	Next:    sync.OnceValue(func() *template { return loadBuiltIn(Next) }),
	Classic: sync.OnceValue(func() *template { return loadBuiltIn(Classic) }),
}

// loadBuiltIn wraps a script into a function whose argument says where it is. The
// argument is made from the URL that the script was loaded from, so one copy fits
// all hosts and protocols; a page's own address serves where a page has inlined it.
func loadBuiltIn(name string) *template {
	body, err := fs.ReadFile(assets, "assets/"+name+".js")
	if err != nil { // a name that go:embed has checked
		body = []byte("throw " + name)
	}
	return newTemplate([]string{
		"(function(intilery){" + string(body) + "\n})(function(v){" +
			`var c=document.currentScript,m=/^(https?):\/\/([^\/?#]+)/.exec(c&&c.src)||[0,location.protocol.slice(0,-1),location.host],h=m[2]+v.prefix;` +
			`return{key:v.key,host:h,base:m[1]+"://"+h,settings:{integrations:{"Segment.io":{apiKey:v.key,apiHost:h,protocol:m[1]}},metrics:{sampleRate:0},remotePlugins:[]}}}(`,
		"));\n",
	}, []hole{values})
}

// values returns what the built-in scripts are told. JSON as Go writes it is safe
// in scripts.
func (at Where) values() string {
	text, err := json.Marshal(struct {
		Key    string `json:"key"`
		Prefix string `json:"prefix"`
	}{at.Key, escapePath(at.Prefix)})
	if err != nil { // strings always marshal
		return "{}"
	}
	return string(text)
}

func (builtIn) start() {}
func (builtIn) close() {}

func (b builtIn) script(w http.ResponseWriter, r *http.Request, at Where) {
	builtInTemplates[b]().fill(at).serve(w, r)
}

// file serves the script under its vendor's names, and the chunks.
func (b builtIn) file(w http.ResponseWriter, r *http.Request, at Where, rest string) bool {
	before, after := "analytics.js/v1/", "/analytics.min.js"
	if b == Classic {
		before, after = "js/", "/analytics.js"
	}
	if key, ok := between(rest, before, after); ok {
		if allowed(w, r) {
			at.Key = key
			b.script(w, r, at)
		}
		return true
	}
	name, ok := strings.CutPrefix(rest, chunkDir)
	if !ok || b != Next || path.Base(name) != name {
		return false
	}
	body, err := fs.ReadFile(assets, "assets/chunks/"+name)
	if err != nil {
		return false
	}
	if allowed(w, r) {
		content{body, javaScript, chunkCaching, digest(string(body))}.serve(w, r)
	}
	return true
}
