// Package intilery registers the Caddy modules of this project, so that Caddy can
// be built with it:
//
//	xcaddy build --with github.com/intilery/caddy-intilery
//
// What they do is in README.md and in package caddymodule.
package intilery

import _ "github.com/intilery/caddy-intilery/caddymodule" // registers the modules
