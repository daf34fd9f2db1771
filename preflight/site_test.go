package preflight

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/intilery/caddy-intilery/doctor"
)

// A site that is not up is left out; one that is up and wrong is a problem.
func TestSite(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
	})
	plain := httptest.NewServer(page)
	defer plain.Close()
	secure := httptest.NewTLSServer(page)
	defer secure.Close()
	down := httptest.NewServer(page)
	down.Close()
	for name, tt := range map[string]struct {
		address string
		want    want
	}{
		"down":                   {down.URL, want{Note, "visit", "left out: the site is not up"}},
		"without the directive":  {plain.URL, want{Problem, "cookie intilery_keeper", "it is not set"}},
		"of an unknown issuer":   {secure.URL, want{Problem, "visit", "certificate"}},
		"that redirects forever": {serve(t, http.RedirectHandler("/", http.StatusFound)), want{Problem, "visit", "too many redirects"}},
	} {
		t.Run(name, func(t *testing.T) {
			at, err := url.Parse(tt.address + "/")
			if err != nil {
				t.Fatal(err)
			}
			s := new(Report).Section("site")
			new(Checker).Site(t.Context(), s, new(doctor.Doctor), at)
			tt.want.check(t, s)
		})
	}
}
