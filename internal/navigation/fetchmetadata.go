package navigation

import (
	"net/http"
	"strings"
)

// load is the kind of resource that a request loads.
type load uint8

const (
	loadsOther load = iota // data for a script, or unknown
	loadsDocument
	loadsFrame
	loadsSubresource
)

// loadOf reads Sec-Fetch-Dest, whose values are the destinations of the Fetch
// standard. An unknown value is loadsOther. An OPTIONS request is a preflight,
// which loads nothing.
func loadOf(r *http.Request) load {
	if r.Method == http.MethodOptions {
		return loadsOther
	}
	h := r.Header
	switch first(h, "Sec-Fetch-Dest") {
	case "document":
		return loadsDocument
	case "iframe", "frame", "fencedframe", "embed", "object":
		return loadsFrame
	case "audio", "audioworklet", "dictionary", "font", "image", "json", "manifest", "paintworklet", "report",
		"script", "serviceworker", "sharedworker", "speculationrules", "style", "text", "track", "video",
		"worker", "xslt":
		return loadsSubresource
	case "empty":
		if forwarded(h) {
			return loadsDocument
		}
	case "":
		// Chromium 76 to 79 sends the mode without a destination.
		if mode := first(h, "Sec-Fetch-Mode"); (mode == "" || mode == "navigate") && acceptsDocument(h) {
			return loadsDocument
		}
	}
	return loadsOther
}

// forwarded recognizes a navigation that a service worker forwards with fetch.
// Its destination is "empty", and its mode is navigate in Chromium and WebKit,
// same-origin in Firefox, and in all if the worker passes options of its own. It
// keeps the navigation's Accept, and its Upgrade-Insecure-Requests, which the HTML
// standard's navigations alone send. WebKit does not send that; there the very
// Accept of its navigations decides.
func forwarded(h http.Header) bool {
	switch first(h, "Sec-Fetch-Mode") {
	case "cors", "no-cors":
		return false
	}
	if first(h, "Upgrade-Insecure-Requests") == "1" {
		return acceptsDocument(h)
	}
	agent := first(h, "User-Agent")
	return first(h, "Accept") == webkitAccept && strings.Contains(agent, "AppleWebKit/") && !strings.Contains(agent, "Chrome/")
}

// webkitAccept is the Accept of a navigation in Safari and WebKitGTK.
const webkitAccept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

// acceptsDocument recognizes a navigation by its Accept header, unless a script
// library sends the request.
func acceptsDocument(h http.Header) bool {
	accept := first(h, "Accept")
	return strings.Contains(accept, "text/html") && !fetchesHTML(h, accept)
}

// storageWithheld reports that the browser has the site's cookies blocked or
// not yet unblocked in another site's frame (Storage Access Headers, W3C
// Privacy CG).
func storageWithheld(h http.Header) bool {
	switch first(h, "Sec-Fetch-Storage-Access") {
	case "none", "inactive":
		return true
	}
	return false
}
