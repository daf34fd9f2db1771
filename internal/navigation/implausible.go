package navigation

import (
	"net/http"
	"strings"
)

// fetchMetadataSince is a version of Chromium that sends Sec-Fetch-* on every
// request to a trustworthy URL. They came with 76 (Sec-Fetch-Dest with 80); the
// margin is for products that patch an engine of those days.
const fetchMetadataSince = 90

// implausible reports headers that no browser sends together: the client
// imitates a browser.
//
// Two rules, both of W3C Fetch Metadata Request Headers, and both such that a
// browser that protects its user passes:
//
//   - A document is navigated to. With Sec-Fetch-Dest: document, any
//     Sec-Fetch-Mode but navigate was written by hand. A navigation that a
//     service worker forwards has the destination "empty".
//   - What calls itself Chrome 90 or newer sends Sec-Fetch-* over HTTPS, and no
//     setting turns that off. A Firefox (since 90) or a Safari (since 16.4) that
//     poses as Chrome sends them too. Over plain HTTP none is sent, so nothing
//     follows there; nor from their absence with other User-Agents, since Safari
//     before 16.4 is still in use and Chrome on iOS is such a Safari. An app
//     that makes its Android WebView's requests itself sends none either.
//
// Client hints (Sec-CH-UA) decide nothing: hardened Chromiums send none, tools
// that set a User-Agent leave the hints as they are, and a script that copies a
// browser's headers copies them along.
func implausible(h http.Header, agent string, secure bool) bool {
	mode := first(h, "Sec-Fetch-Mode")
	if mode != "" {
		return mode != "navigate" && first(h, "Sec-Fetch-Dest") == "document"
	}
	for _, name := range [...]string{"Sec-Fetch-Dest", "Sec-Fetch-Site", "Sec-Fetch-User"} {
		if _, ok := h[name]; ok {
			return false
		}
	}
	return secure && chromeVersion(agent) >= fetchMetadataSince && !webView(h, agent)
}

// webView recognizes an Android WebView: by the package name of its app, or by
// the mark that it puts into the User-Agent.
func webView(h http.Header, agent string) bool {
	return strings.Contains(first(h, "X-Requested-With"), ".") || strings.Contains(agent, "; wv)")
}

// chromeVersion is the major version after "Chrome/", 0 if there is none.
func chromeVersion(agent string) int {
	_, rest, found := strings.Cut(agent, "Chrome/")
	if !found {
		return 0
	}
	version := 0
	for i := 0; i < len(rest) && i < 4 && '0' <= rest[i] && rest[i] <= '9'; i++ {
		version = version*10 + int(rest[i]-'0')
	}
	return version
}
