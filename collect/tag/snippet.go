package tag

import (
	"html"
	"strings"
)

// The stub queues calls until the script is there, which then makes them. A page
// may keep a method of the stub, so it goes on to work afterwards.
const stub = `<script>!function(w,d){var a=w.analytics=w.analytics||[];if(a.initialize||a.invoked)return;a.invoked=!0;` +
	`"` + methods + `".split(" ").forEach(function(m){a[m]=function(){var c=[].slice.call(arguments);` +
	`if(w.analytics!==a&&w.analytics[m])return w.analytics[m].apply(w.analytics,c);CONTEXT` +
	`a.push([m].concat(c));return a}});a.page()}(window,document)</script>`

// methods are those of both built-in tags that may be called before they are there.
const methods = "track page identify group alias screen reset ready on once off user setAnonymousId debug " +
	"trackLink trackClick trackForm trackSubmit pageview " +
	"addSourceMiddleware addIntegrationMiddleware addDestinationMiddleware register"

// pageContext notes for analytics-next which page a call was made on, in case a
// page changes its address before the script is there. The classic tag would take
// the note for an argument.
const pageContext = `if(/^(track|page|identify|group|alias|screen)$/.test(m)){var l=d.querySelector("link[rel=canonical]"),p=location;` +
	`c.push({__t:"bpc",c:l&&l.getAttribute("href")||void 0,p:p.pathname,u:p.href,s:p.search,t:d.title,r:d.referrer})}`

// Snippet returns the two lines of HTML that a page needs: a script that queues
// calls, with one of page, and the one that loads the tag from below prefix, which
// is the endpoint's path, unescaped. It may stand anywhere in head or body. A site
// with a Content-Security-Policy must allow inline scripts and its own ('self').
func (s *Server) Snippet(prefix string) string {
	context := ""
	if s.config.Source == Next {
		context = pageContext
	}
	return strings.Replace(stub, "CONTEXT", context, 1) + "\n" +
		`<script async src="` + html.EscapeString(escapePath(prefix)+"/"+s.config.FileName) + `"></script>` + "\n"
}
