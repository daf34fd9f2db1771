package operatorpage

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/intilery/caddy-intilery/internal/webui/webuitest"
)

func TestPage(t *testing.T) {
	webuitest.Page(t, static)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !Serve(w, r, strings.TrimPrefix(r.URL.Path, "/intilery/")) {
			http.NotFound(w, r)
		}
	})
	webuitest.Served(t, h, "/intilery/", static)
	webuitest.Headers(t, h, "/intilery/", "/intilery/static/operator.js")
}

// Other programs pass, and what a browser does for the page itself or for its user;
// what it does for another origin does not, be it a GET.
func TestCheckOrigin(t *testing.T) {
	for _, c := range []struct {
		header, value string
		pass          bool
	}{
		{"X-Nothing", "", true},
		{"Sec-Fetch-Site", "same-origin", true},
		{"Sec-Fetch-Site", "none", true},
		{"Sec-Fetch-Site", "same-site", false},
		{"Sec-Fetch-Site", "cross-site", false},
		{"Origin", "http://localhost:2019", true},
		{"Origin", "http://localhost:2020", false},
		{"Origin", "https://evil.example", false},
		{"Origin", "null", false},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			r := httptest.NewRequest(method, "http://localhost:2019/intilery/dead-letters", nil)
			r.Header.Set(c.header, c.value)
			if err := CheckOrigin(r); (err == nil) != c.pass {
				t.Errorf("%s with %s: %s: %v", method, c.header, c.value, err)
			}
			if r.Method != method {
				t.Errorf("the request has become a %s", r.Method)
			}
		}
	}
}
