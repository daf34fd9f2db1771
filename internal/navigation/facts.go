package navigation

import "net/http"

// Facts is what a request alone says about what it loads.
type Facts struct {
	// Navigation is a top-level navigation of any method but OPTIONS, also by
	// a bot and also a speculative one.
	Navigation bool

	// Document is a navigation that may count as a page: a visitor's GET that
	// is not speculative.
	Document bool

	// Speculative is a request for a page or fragment that the visitor may
	// never see: a prefetch, a prerender, a link preview.
	Speculative bool

	// Subresource is a part of a page, such as an image or a script.
	Subresource bool

	// Frame is a document in a frame, if the browser says so.
	Frame bool

	// Virtual is an include that Caddy's templates module requests from the
	// server itself. It is neither a navigation nor a document.
	Virtual bool

	// CrossSite is a request on which the browser withholds SameSite=Lax
	// cookies.
	CrossSite bool

	// NoStorage is a request on which the browser withholds all cookies of the
	// site, because the site is in another one's frame.
	NoStorage bool

	// Bot is the rule by which the client of a navigation is no visitor, ""
	// for a visitor and for requests that are no navigations; [Bots.Rule]
	// answers for any request.
	Bot Rule
}

// Fetch reports a request of a script, and any other that is neither a document
// nor a part of one.
func (f *Facts) Fetch() bool {
	return !f.Navigation && !f.Frame && !f.Subresource && !f.Virtual
}

// Of classifies a request. The host is the one that the browser shows, with or
// without a port, and secure says whether the browser sees https. A nil bots is
// the built-in list.
func Of(r *http.Request, host string, secure bool, bots *Bots) Facts {
	f := Facts{
		Speculative: speculative(r.Header),
		NoStorage:   storageWithheld(r.Header),
	}
	if _, f.Virtual = r.Header[templatesInclude]; !f.Virtual {
		switch loadOf(r) {
		case loadsDocument:
			f.Navigation = true
			f.Bot = bots.Rule(r, secure)
			f.Document = r.Method == http.MethodGet && !f.Speculative && f.Bot == ""
		case loadsFrame:
			f.Frame = true
		case loadsSubresource:
			f.Subresource = true
		}
	}
	f.CrossSite = crossSite(r, f.Navigation, host)
	return f
}

// LoadsPage reports a request for a document in which a tag may run. A document
// in a frame counts: it has the same cookies.
func LoadsPage(r *http.Request) bool {
	if _, virtual := r.Header[templatesInclude]; virtual {
		return false
	}
	l := loadOf(r)
	return l == loadsDocument || l == loadsFrame
}

// templatesInclude counts the nesting of httpInclude in Caddy's templates
// module, which copies all other headers of the page's request.
const templatesInclude = "Caddy-Templates-Include"

// first returns a header's first value; name must be canonical. It saves the
// canonicalization that Header.Get does on each call.
func first(h http.Header, name string) string {
	if values := h[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}
