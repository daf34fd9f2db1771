package caddymodule

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// provisionLogout makes the matcher of logout_paths.
func (h *Handler) provisionLogout(ctx caddy.Context) error {
	for _, path := range h.LogoutPaths {
		if path == "" || path[0] != '/' && path[0] != '*' {
			return fmt.Errorf("logout_paths: %q is not accepted; use paths that begin with / or *, such as /logout or */sign-out", path)
		}
	}
	h.logout = append(caddyhttp.MatchPath(nil), h.LogoutPaths...) // Provision folds case in place
	return h.logout.Provision(ctx)
}

// logsOut reports whether the request, as the browser sent it, is a logout if
// the app accepts it.
func (h *Handler) logsOut(v *visit) bool {
	if len(h.logout) == 0 || v.facts.speculative {
		return false
	}
	match, err := h.logout.MatchWithError(v.r)
	return err == nil && match
}

// leave makes the statement of an accepted logout a reset. A user that the app
// names on its way out is the one who leaves: a header that it sends on every
// page must not bring them back.
func (s *statement) leave() {
	if !s.reset {
		s.reset, s.identify, s.userID, s.traits = true, false, "", nil
	}
}
