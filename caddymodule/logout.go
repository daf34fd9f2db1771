package caddymodule

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/intilery/caddy-intilery/caddymodule/internal/reserved"
)

// provisionLogout makes the matcher of logout_paths.
func (h *Handler) provisionLogout(ctx caddy.Context) error {
	for _, path := range h.LogoutPaths {
		if err := checkLogoutPath(path); err != nil {
			return err
		}
	}
	h.logout = append(caddyhttp.MatchPath(nil), h.LogoutPaths...) // Provision folds case in place
	return h.logout.Provision(ctx)
}

func checkLogoutPath(path string) error {
	if path == "" || path[0] != '/' && path[0] != '*' {
		return fmt.Errorf("logout_paths: %q is not accepted; use paths that begin with / or *, such as /logout or */sign-out", path)
	}
	return nil
}

// logsOut reports whether the request, as the browser sent it, is a logout if
// the app accepts it. A form on another site is none: the browser withholds the
// app's session too, so that its answer says nothing of this visitor.
func (h *Handler) logsOut(x *exchange) bool {
	if len(h.logout) == 0 || x.facts.Speculative || x.facts.CrossSite {
		return false
	}
	asked := x.r
	if u := originalURL(x.r); u.Path != x.r.URL.Path { // a handler outside, such as handle_path, has rewritten it
		asked = x.r.WithContext(x.r.Context())
		asked.URL = u
	}
	match, err := h.logout.MatchWithError(asked)
	return err == nil && match
}

// logOut makes what the app says in an accepted logout a reset. A user that it
// names there is the one who leaves: a header that it sends on every page must
// not bring them back.
func logOut(app *reserved.AppHeaders) {
	if !app.Reset {
		app.Reset, app.Identify, app.UserID, app.Traits = true, false, "", nil
	}
}
