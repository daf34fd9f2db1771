package caddymodule

import (
	"net/http"
	"strings"
	"testing"
)

// A logout that the app accepts ends the identity; one that it refuses, and
// every other path, does not.
func TestLogoutPaths(t *testing.T) {
	r := newRig(t)
	upstream := newServer(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Intilery-User-Id", "42") // on every page, the way out included
		switch {
		case req.URL.Path == "/logout" && req.Method == http.MethodGet:
			w.WriteHeader(http.StatusMethodNotAllowed)
		case strings.HasPrefix(req.URL.Path, "/logout"):
			w.Header().Set("Intilery-Track", "Signed Out")
			http.Redirect(w, req, "/", http.StatusSeeOther)
		}
	}))
	r.serve("intilery {\nlogout_paths /logout /*/sign-out\n}\nrewrite /de/* /\nreverse_proxy " + upstream)
	id := func() string { return r.cookies()["ajs_anonymous_id"] }

	r.get("/")
	first := id()
	r.get("/logout")
	if r.do(http.MethodPost, "/logout-help", nil); id() != first || first == "" {
		t.Fatalf("ID %q, then %q", first, id())
	}
	r.do(http.MethodPost, "/logout", nil, header("Sec-Purpose", "prefetch"))
	if id() != first {
		t.Error("a prefetch logged out")
	}
	r.do(http.MethodPost, "/logout", nil)
	if left := r.cookies(); len(left) != 0 {
		t.Fatalf("cookies after the logout: %v", left)
	}
	r.get("/")
	second := id()
	if second == "" || second == first {
		t.Errorf("ID %q after %q", second, first)
	}
	// The path is the browser's, not what was made of it. The answer is a page,
	// so it holds the next visitor's ID at once.
	r.get("/de/sign-out")
	if third := id(); third == "" || third == second {
		t.Errorf("ID %q after %q", third, second)
	}
	for _, c := range r.calls(7) {
		switch c.Event {
		case "Signed Out": // of the one who leaves
			if c.UserID != "42" || c.AnonymousID == "" || !strings.Contains(first, c.AnonymousID) {
				t.Errorf("%+v", c)
			}
		case "identify":
			if !strings.Contains(first+second, c.AnonymousID) {
				t.Errorf("identified after the logout: %+v", c)
			}
		}
	}
}

// The path is the browser's also where a handler outside has cut it.
func TestLogoutPathInHandlePath(t *testing.T) {
	r := newRig(t)
	r.serve("handle_path /app/* {\nintilery {\nlogout_paths /app/logout\n}\nreverse_proxy " + newServer(t, http.HandlerFunc(echoing)) + "\n}")
	r.get("/app/page")
	first := r.id()
	r.get("/app/logout")
	if first == "" || r.id() == first {
		t.Errorf("ID %q, then %q", first, r.id())
	}
}

// A form on another site comes without the app's session: its answer is no logout.
func TestLogoutPathFromAnotherSite(t *testing.T) {
	r := newRig(t)
	r.serve("intilery {\nlogout_paths /logout\n}\nreverse_proxy " + newServer(t, http.HandlerFunc(echoing)))
	r.get("/page")
	id := r.id()
	r.keep(r.stranger().do(http.MethodPost, "/logout?Location=/login", nil, asBank))
	r.get("/page")
	if r.id() != id {
		t.Errorf("the ID is %s, and was %s", r.id(), id)
	}
}
