package sandbox

import (
	"net/http"
	"strings"
	"testing"
)

func TestHosts(t *testing.T) {
	local := newTest(t, testAccount)
	named := testAccount
	named.Hosts = []string{"Sandbox", "2001:DB8:0::1", "box.internal."}
	open := newTest(t, named)
	for _, tc := range []struct {
		host         string
		local, named bool
	}{
		{"localhost", true, true},
		{"localhost:8081", true, true},
		{"LocalHost.:8081", true, true},
		{"sandbox.localhost:1", true, true},
		{"127.0.0.1", true, true},
		{"127.9.8.7:8081", true, true},
		{"[::1]", true, true},
		{"[::1]:8081", true, true},
		{"[::ffff:127.0.0.1]:8081", true, true},
		{"sandbox:8081", false, true},
		{"SANDBOX", false, true},
		{"[2001:db8::1]:80", false, true},
		{"[2001:db8:0:0::1]", false, true},
		{"box.internal:8081", false, true},
		{"box.internal.", false, true},
		{"", false, false},
		{"evil.example", false, false},
		{"evil.example:8081", false, false},
		{"localhost.evil.example", false, false},
		{"notlocalhost", false, false},
		{"127.0.0.1.evil.example", false, false},
		{"0.0.0.0:8081", false, false},
		{"192.168.1.5:8081", false, false},
		{"sandbox.evil.example", false, false},
	} {
		for s, want := range map[*Sandbox]bool{local: tc.local, open: tc.named} {
			page := request(http.MethodGet, "/", nil)
			api := request(http.MethodGet, "/api/events", nil)
			call := trackingRequest("track", `{"event":"A","userId":"u"}`)
			for _, r := range []*http.Request{page, api, call} {
				r.Host = tc.host
				a := do(t, s, r)
				if ok := a.status == http.StatusOK; ok != want || !ok && a.status != http.StatusForbidden {
					t.Errorf("%q %s (hosts %q): %d", tc.host, r.URL.Path, s.hosts, a.status)
				}
				if !want && !strings.Contains(a.body, "option hosts") {
					t.Errorf("%q %s: not said what to do: %s", tc.host, r.URL.Path, a.body)
				}
			}
		}
	}
}
