package navigation

import (
	"net/http"
	"strings"
)

// fetchHeaders mark a request by a script library that loads HTML, whatever
// their value: Livewire's is empty. Names and libraries:
//
//	Hx-Request                      htmx
//	Turbo-Frame, X-Turbo-Request-Id Turbo 8
//	X-Pjax                          jquery-pjax and its successors
//	X-Inertia                       Inertia
//	X-Up-Version                    Unpoly
//	X-Livewire, X-Livewire-Navigate Livewire
//	X-Alpine-Request                Alpine AJAX
//	X-Barba                         Barba.js
//	X-Splade                        Laravel Splade
//	Fx-Request                      fixi
//	Datastar-Request                Datastar
//	X-Spf-Request                   SPF
//	Rsc, X-Nextjs-Data              Next.js, either router
//
// The routers of Astro, SvelteKit, Nuxt, Remix and React Router mark nothing,
// but do not ask for text/html either.
var fetchHeaders = [...]string{
	"Hx-Request", "Turbo-Frame", "X-Turbo-Request-Id", "X-Pjax", "X-Inertia", "X-Up-Version", "X-Livewire",
	"X-Livewire-Navigate", "X-Alpine-Request", "X-Barba", "X-Splade", "Fx-Request", "Datastar-Request",
	"X-Spf-Request", "Rsc", "X-Nextjs-Data",
}

const (
	// turboAccept ends the Accept header of Turbo of any version, Turbolinks
	// and swup. Browsers always accept */* as well.
	turboAccept = "text/html, application/xhtml+xml"

	// blazorAccept is a parameter of text/html in the Accept header of Blazor's
	// enhanced navigation.
	blazorAccept = "blazor-enhanced-nav"
)

// fetchesHTML recognizes a script library that fetches a page or a fragment to
// put it into the page that is shown.
func fetchesHTML(h http.Header, accept string) bool {
	if strings.HasSuffix(accept, turboAccept) || strings.Contains(accept, blazorAccept) {
		return true
	}
	for _, name := range fetchHeaders {
		if _, ok := h[name]; ok {
			return true
		}
	}
	return byScript(h)
}

// byScript reads X-Requested-With, by which scripts announce themselves. An
// Android WebView puts its app's package name there, on navigations too.
func byScript(h http.Header) bool {
	for _, value := range h["X-Requested-With"] {
		for token := range strings.SplitSeq(value, ",") {
			if token = strings.TrimSpace(token); strings.EqualFold(token, "XMLHttpRequest") || token == "swup" {
				return true
			}
		}
	}
	return false
}
