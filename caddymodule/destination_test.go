package caddymodule

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/intilery/caddy-intilery/sandbox"
)

// A site of many shops chooses the destination by the request's host.
func TestDestinationByHost(t *testing.T) {
	r := newRig(t)
	outlet := sandbox.New(sandbox.Options{ClientID: "outlet", Token: testToken})
	api := httptest.NewServer(outlet)
	t.Cleanup(func() { r.stop(); outlet.Close(); api.Close() })
	global := func(mapped string) string {
		second := fmt.Sprintf("intilery outlet {\nclient_id outlet\nauth_token %q\nendpoint %s\n}\nintilery {", testToken, api.URL)
		return strings.Replace(r.global("map {\n"+mapped+"\n}"), "intilery {", second, 1)
	}
	load := func(mapped string) {
		t.Helper()
		r.url = "http://localhost:" + freePort(t)
		site, err := url.Parse(r.url)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.tryLoad(global(mapped) + "http://:" + site.Port() + " {\n" +
			strings.Replace(trackingSite, "intilery\n", "intilery {\ndestination {http.request.host}\n}\n", 1) + "\n}\n"); err != nil {
			t.Fatal(err)
		}
	}
	visit := func(host, path string) {
		t.Helper()
		if text := bodyText(t, r.get(path, func(req *http.Request) { req.Host = host })); text != "served" {
			t.Errorf("%s%s answered %q", host, path, text)
		}
	}
	// wantAt waits for the names of the events, in alphabetical order.
	wantAt := func(s *sandbox.Sandbox, want string) {
		t.Helper()
		var got string
		eventually(t, func() bool {
			var names []string
			for _, e := range s.Events() {
				names = append(names, e.Name)
			}
			slices.Sort(names)
			got = strings.Join(names, " ")
			return len(got) >= len(want)
		}, func() string { return fmt.Sprintf("%s arrived, want %s; log:\n%s", got, want, r.log()) })
		if got != want {
			t.Errorf("%s arrived, want %s", got, want)
		}
	}
	ignored := func() float64 {
		return counter(t, siteMetrics.ignored.WithLabelValues("srv0", "no_destination"))
	}
	const warning = "no destination for this request"

	before := ignored()
	t.Setenv("OUTLET_HOST", "Outlet.Example")
	load("shop.example default\n{env.OUTLET_HOST} outlet")
	visit("shop.example", "/1")
	visit("Shop.Example", "/2")
	visit("outlet.example", "/3")
	for range 3 {
		visit("other.example", "/nowhere")
	}
	wantAt(r.sandbox, "/1 /2")
	wantAt(outlet, "/3")
	if got := ignored() - before; got != 3 {
		t.Errorf("%v events without a destination are counted, want 3", got)
	}
	if log := r.log(); strings.Count(log, warning) != 1 || !strings.Contains(log, `"host":"other.example"`) {
		t.Errorf("the log has not one warning that tells the host:\n%s", log)
	}

	// With a default every host has a destination, and a destination's name does
	// as a value.
	load("shop.example default\ndefault outlet")
	visit("shop.example", "/4")
	visit("other.example", "/5")
	visit("outlet", "/6")
	wantAt(r.sandbox, "/1 /2 /4")
	wantAt(outlet, "/3 /5 /6")
	if got := ignored() - before; got != 3 {
		t.Errorf("%v events without a destination are counted, want 3", got)
	}
}
