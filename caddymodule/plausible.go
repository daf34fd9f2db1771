package caddymodule

import (
	"net/http"
	"strings"
)

// Why a document's client is no visitor. The texts are metric labels.
const (
	botByName    = "name"    // its User-Agent says so
	botByHeaders = "headers" // its headers contradict its User-Agent
)

// bot says why the client of a navigation is no visitor, "" for a visitor.
func (b *Bots) bot(r *http.Request) string {
	if b != nil && b.Off {
		return ""
	}
	agent := first(r.Header, "User-Agent")
	if b.named(agent) {
		return botByName
	}
	if (b == nil || b.Headers != botHeadersIgnore) && implausible(r, agent) {
		return botByHeaders
	}
	return ""
}

// fetchMetadataSince is a version of Chromium that sends Sec-Fetch-* on every
// request to a trustworthy URL. They came with 76 (Sec-Fetch-Dest with 80); the
// margin is for products that patch an engine of those days.
const fetchMetadataSince = 90

// implausible reports a navigation that no browser can have sent: one that
// tries to look like a browser's and was made by something else.
//
// Two rules, both of W3C Fetch Metadata Request Headers, and both such that a
// browser that protects its user passes:
//
//   - A document is navigated to. With Sec-Fetch-Dest: document, any
//     Sec-Fetch-Mode but navigate was written by hand.
//   - What calls itself Chrome 90 or newer sends Sec-Fetch-* over HTTPS, and no
//     setting turns that off. A Firefox (since 90) or a Safari (since 16.4) that
//     poses as Chrome sends them too. Over plain HTTP none is sent, so nothing
//     follows there; nor from their absence with other User-Agents, since Safari
//     before 16.4 is still in use and Chrome on iOS is such a Safari.
//
// Client hints (Sec-CH-UA) decide nothing: hardened Chromiums send none, tools
// that set a User-Agent leave the hints as they are, and a script that copies a
// browser's headers copies them along.
func implausible(r *http.Request, agent string) bool {
	mode := first(r.Header, "Sec-Fetch-Mode")
	if mode != "" {
		return mode != "navigate" && first(r.Header, "Sec-Fetch-Dest") == "document"
	}
	for _, name := range [...]string{"Sec-Fetch-Dest", "Sec-Fetch-Site", "Sec-Fetch-User"} {
		if _, ok := r.Header[name]; ok {
			return false
		}
	}
	if chromeVersion(agent) < fetchMetadataSince {
		return false
	}
	secure, _ := browserOrigin(r)
	return secure
}

// chromeVersion is the major version after "Chrome/", 0 if there is none.
func chromeVersion(agent string) int {
	agent = agent[:min(len(agent), maxAgentScan)]
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
