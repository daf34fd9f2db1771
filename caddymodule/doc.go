// Package caddymodule is the Caddy side of caddy-intilery: the app `intilery`,
// which holds the destinations and their queue, the site handler `intilery`,
// their Caddyfile, metrics, admin endpoints and commands.
//
// It promises the site's owner that nothing in it fails, slows or changes a
// response beyond its cookies and what they need in Cache-Control. It takes
// identity from package cookie, and hands events to package forwarder. What it
// does not need Caddy for lies in its internal packages and in those of the
// module's root. Beside the root package, which only registers it, it is the only
// package that imports Caddy.
//
// # Reading the source
//
// One request's way begins in handler.go and goes on in exchange.go: who the
// visitor is, what the app says, which cookies are set. capture.go makes the
// events; deferred.go and awaiting.go keep those that must wait. responsehook.go
// finds the moment before the first byte.
package caddymodule
