package navigation

import (
	"net/http"
	"strings"
)

// purposeHeaders say why a request is made if it is not for immediate use:
//
//	Sec-Purpose    the Fetch standard's: prefetch, and in Chromium with the
//	               parameters prerender, preview and anonymous-client-ip
//	X-Sec-Purpose  Turbo's, since a script cannot set the former
//	Purpose        older Chromium and Safari; Inertia, Next.js
//	X-Purpose      older Safari and Opera: preview; Chromium's instant
//	X-Moz          Firefox before 115
var purposeHeaders = [...]string{"Sec-Purpose", "X-Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"}

// speculativeHeaders mark a speculative request by their presence: the preload
// extension of htmx, and Next.js.
var speculativeHeaders = [...]string{"Hx-Preloaded", "Next-Router-Prefetch", "X-Middleware-Prefetch"}

// speculative recognizes a request whose response may never be shown.
func speculative(h http.Header) bool {
	for _, name := range purposeHeaders {
		for _, value := range h[name] {
			if speculativePurpose(value) {
				return true
			}
		}
	}
	for _, name := range speculativeHeaders {
		if _, ok := h[name]; ok {
			return true
		}
	}
	// Firefox fetches the target of a link to summarize it in a preview.
	return first(h, "X-Firefox-Ai") == "1"
}

// speculativePurpose compares whole tokens, so that a purpose of which one of
// them is only a part means nothing.
func speculativePurpose(value string) bool {
	for value != "" {
		token := value
		if i := strings.IndexAny(value, ";, "); i >= 0 {
			token, value = value[:i], value[i+1:]
		} else {
			value = ""
		}
		if strings.EqualFold(token, "prefetch") || strings.EqualFold(token, "prerender") ||
			strings.EqualFold(token, "preview") || strings.EqualFold(token, "instant") {
			return true
		}
	}
	return false
}
