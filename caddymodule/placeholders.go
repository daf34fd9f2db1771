package caddymodule

import (
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// mapPlaceholders makes {http.intilery.*} and {intilery.*} known for the request,
// tracked or not. They follow the identity as the app's answer changes it.
func (x *exchange) mapPlaceholders() {
	if repl, ok := x.r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(x.placeholder)
	}
}

// placeholder returns the value of one of our placeholders: empty where nobody
// is known.
func (x *exchange) placeholder(key string) (any, bool) {
	name, ok := strings.CutPrefix(strings.TrimPrefix(key, "http."), "intilery.")
	if !ok {
		return nil, false
	}
	if name == "snippet" {
		if c := x.h.Collect; c != nil && c.tag != nil {
			return c.tag.Snippet(c.Path), true
		}
		return "", true
	}
	target, handoff := strings.CutPrefix(name, "handoff.")
	if !handoff && name != "anonymous_id" && name != "user_id" && name != "identity" {
		return nil, false
	}
	if !x.tracked {
		return "", true
	}
	x.resolve()
	switch {
	case handoff:
		return x.h.resolver().Handoff(x.id, x.request.Host, target, time.Now()), true
	case name == "anonymous_id":
		return x.id.AnonymousID, true
	case name == "user_id":
		return x.id.UserID, true
	}
	return x.id.Reason.String(), true
}
