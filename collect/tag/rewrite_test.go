package tag

import (
	"strings"
	"testing"
)

func TestRewrite(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`x="api.segment.io/v1"`, `x="h.example/p"`},
		{`x="api.segment.io/v1/t"`, `x="h.example/p/t"`},
		{`x="https://api.segment.io/v1/t"`, `x="http://h.example/p/t"`},
		{`x='//api.segment.io/v1'`, `x='//h.example/p'`},
		{`x="events.intilery.com/cdp/events/segment"`, `x="h.example/p"`},
		{`x="https://events.intilery.com/cdp/events/segment/m"`, `x="http://h.example/p/m"`},
		{`x="http://events.intilery.com"`, `x="http://h.example/p"`},
		{`{"apiHost":"events.intilery.com\/cdp\/events\/segment"}`, `{"apiHost":"h.example/p"}`},
		{`{"u":"https:\/\/api.segment.io\/v1"}`, `{"u":"http:\/\/h.example/p"}`},
		{`u="https://"+this.options.apiHost+e`, `u="http://"+this.options.apiHost+e`},
		{`u='https://' + this.options.apiHost + path`, `u='http://' + this.options.apiHost + path`},
		{`u="https://".concat(t.apiHost,"/b")`, `u="http://".concat(t.apiHost,"/b")`},
		{"u=`https://${o.apiHost}/b`", "u=`http://${o.apiHost}/b`"},
		{`"api.segment.io/v1","api.segment.io/v1"`, `"h.example/p","h.example/p"`},
		{`api.segment.io`, `h.example/p`},
		{`https://api.segment.io/v1`, `http://h.example/p`},
		// Others
		{`x="my-api.segment.io/v1"`, `x="my-api.segment.io/v1"`},
		{`x="x.api.segment.io/v1"`, `x="x.api.segment.io/v1"`},
		{`x="api.segment.io.example"`, `x="api.segment.io.example"`},
		{`x="api.segment.iox"`, `x="api.segment.iox"`},
		{`x="events.intilery.com.au/cdp"`, `x="events.intilery.com.au/cdp"`},
		{`x="https://cdn.intilery.com/js"`, `x="https://cdn.intilery.com/js"`},
		{`u="https://"+o.host`, `u="https://"+o.host`},
		{`https:api.segment.io`, `https:api.segment.io`},
		{``, ``},
	} {
		at := Where{Host: "h.example", Prefix: "/p"}
		if got := string(rewrite([]byte(c.in)).fill(at).body); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.in, got, c.want)
		}
	}
}

// A script's ETag is that of what is served: host and protocol count where they
// are written into it.
func TestRewriteETag(t *testing.T) {
	plain, hosts := rewrite([]byte("x")), rewrite([]byte(`"https://api.segment.io/v1"`))
	a := Where{Host: "a.example", Prefix: "/p", Secure: true}
	for name, b := range map[string]Where{
		"host":   {Host: "b.example", Prefix: "/p", Secure: true},
		"prefix": {Host: "a.example", Prefix: "/q", Secure: true},
		"secure": {Host: "a.example", Prefix: "/p"},
	} {
		if plain.fill(a).tag != plain.fill(b).tag {
			t.Errorf("%s changes the ETag of a script without hosts", name)
		}
		if hosts.fill(a).tag == hosts.fill(b).tag {
			t.Errorf("%s does not change the ETag", name)
		}
	}
}

func FuzzRewrite(f *testing.F) {
	for _, s := range []string{
		`"https://api.segment.io/v1"`, `https:api.segment.io`, `'http://'+x.apiHost`, "`https://${apiHost}`",
		`https:\/\/events.intilery.com\/cdp\/events\/segment`, `//api.segment.io//api.segment.io`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		made := rewrite([]byte(s))
		if len(made.parts) != len(made.holes)+1 {
			t.Fatalf("%d parts, %d holes", len(made.parts), len(made.holes))
		}
		rest := s
		for _, p := range made.parts { // the script's own text, in order
			_, after, ok := strings.Cut(rest, p)
			if !ok {
				t.Fatalf("%q is not in %q", p, rest)
			}
			rest = after
		}
		again := rewrite(made.fill(Where{Host: "h.example", Prefix: "/p"}).body)
		for i, h := range again.holes {
			if h == hostPath {
				t.Errorf("a host is left before %q", again.parts[i+1])
			}
		}
	})
}
