package caddymodule

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/intilery/caddy-intilery/cookie"
)

// zone is a name service: addresses, and aliases as "=name".
type zone map[string][]string

func (z zone) LookupCNAME(_ context.Context, host string) (string, error) {
	for _, record := range z[host] {
		if alias, ok := strings.CutPrefix(record, "="); ok {
			return alias + ".", nil
		}
	}
	return host + ".", nil
}

func (z zone) LookupNetIP(_ context.Context, _, host string) (addrs []netip.Addr, err error) {
	for _, record := range z[host] {
		if addr, err := netip.ParseAddr(record); err == nil {
			addrs = append(addrs, addr)
		}
	}
	if len(addrs) == 0 {
		return nil, errors.New("no such host")
	}
	return addrs, nil
}

// examined is a doctor's report of a site that answers as app does, by
// "verdict topic", with the texts behind.
func examined(t *testing.T, z zone, site, page string, cfg cookie.Config, app http.HandlerFunc) (found map[string]string, r *report, err error) {
	t.Helper()
	server := httptest.NewTLSServer(app)
	t.Cleanup(server.Close)
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
	t.Cleanup(transport.CloseIdleConnections)
	d := &doctor{resolver: z, transport: transport, cookies: cfg, now: time.Now}
	at, pages := address(t, site), address(t, page)
	if r, err = d.examine(t.Context(), at, pages); err != nil {
		return nil, nil, err
	}
	found = map[string]string{}
	for _, f := range r.findings {
		found[string(f.verdict)+" "+f.topic] += f.text + " mend: " + f.mend
		if f.verdict == problem && f.mend == "" {
			t.Errorf("no way to mend: %s", f.text)
		}
	}
	return found, r, nil
}

func address(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := siteURL(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

const (
	readableSet = "ajs_anonymous_id=%22id%22; Path=/; Domain=example.com; Max-Age=31536000; Secure; SameSite=Lax"
	keeperSet   = "intilery_keeper=AQ; Path=/; Domain=example.com; Max-Age=31536000; HttpOnly; Secure; SameSite=Lax"
)

// mints is a site that sets the cookies for those who bring none.
func mints(cookies ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if len(r.Cookies()) == 0 {
			w.Header().Set("Cache-Control", "private")
			w.Header()["Set-Cookie"] = cookies
		}
	}
}

func TestDoctor(t *testing.T) {
	home := zone{
		"shop.example.com": {"192.0.2.1", "2001:db8::1"}, "www.example.com": {"192.0.99.9"}, "far.example.com": {"198.51.100.1"},
		"alias.example.com": {"=edge.cdn.example.net", "192.0.2.7"}, "both.example.com": {"=edge.cdn.example.net", "192.0.2.8"},
		"six.example.com": {"2001:db8:0:0:ffff::2"}, "many.example.com": {"192.0.2.1", "198.51.100.1"}, "other.example.org": {"192.0.2.1"},
	}
	good := mints(readableSet, keeperSet)
	with := func(edit func(http.ResponseWriter), cookies ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			mints(cookies...)(w, r)
			edit(w)
		}
	}
	set := func(name, value string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { w.Header().Set(name, value) }
	}
	const shop = "https://shop.example.com/"
	for _, tt := range []struct {
		name, site, page string
		cfg              cookie.Config
		app              http.HandlerFunc
		want             []string // "verdict topic: part of the text"
		safari           string   // of the keeper
	}{
		{"all is well", shop, shop, cookie.Config{}, good, []string{
			"ok HTTPS: Secure", "ok domain: for example.com", "ok DNS: same host", "ok caching: no shared cache",
			"ok cookie ajs_anonymous_id: for 365 days", "ok cookie intilery_keeper: for 365 days", "ok second visit: is known"}, "365 days"},
		{"plain HTTP", "http://shop.example.com", "http://shop.example.com", cookie.Config{}, good, []string{"problem HTTPS: serve the site over HTTPS"}, ""},
		{"a public suffix of a country", "https://co.uk", "https://co.uk", cookie.Config{}, good, []string{"problem domain: public suffix"}, ""},
		{"a public suffix of a hoster", "https://github.io", "https://github.io", cookie.Config{}, good, []string{"note domain: strangers"}, ""},
		{"an address", "https://127.0.0.1", "https://127.0.0.1", cookie.Config{}, good, []string{"note domain: is an address", "note DNS: nothing to compare"}, ""},
		{"no such name", "https://none.example.com", "https://none.example.com", cookie.Config{}, good, []string{"note DNS: cannot be resolved"}, "365 days"},

		{"another host, the same network", shop, "https://www.example.com", cookie.Config{}, good, []string{"ok DNS: share a name and a network"}, "365 days"},
		{"another host, another network", shop, "https://far.example.com", cookie.Config{}, good, []string{"problem DNS: 192.0.0.0/16"}, "7 days (capped)"},
		{"another host, 64 bits of IPv6", "https://six.example.com", shop, cookie.Config{}, good, []string{"ok DNS: share"}, "365 days"},
		{"an alias outside", "https://alias.example.com", shop, cookie.Config{}, good, []string{"problem DNS: alias of edge.cdn.example.net"}, "7 days (capped)"},
		{"an alias outside, as the pages'", "https://alias.example.com", "https://both.example.com", cookie.Config{}, good, []string{"ok DNS: share"}, "365 days"},
		{"another site", "https://other.example.org", shop, cookie.Config{}, good, []string{"problem DNS: different sites"}, "7 days (capped)"},
		{"addresses here and there", "https://many.example.com", "https://many.example.com", cookie.Config{}, good, []string{"note DNS: several networks"}, "365 days"},

		{"a shared cache may store it", shop, shop, cookie.Config{}, with(set("Cache-Control", "public, max-age=60")),
			[]string{"problem caching: cacheable private", "problem cookie intilery_keeper: not set", "problem cookie ajs_anonymous_id: not set"}, "not set"},
		{"out of a cache", shop, shop, cookie.Config{}, with(set("Age", "5"), readableSet, keeperSet), []string{"problem caching: out of a cache"}, ""},
		{"no page", shop, shop, cookie.Config{}, with(func(w http.ResponseWriter) { w.WriteHeader(404) }), []string{"problem document: answers 404"}, ""},
		{"data", shop, shop, cookie.Config{}, with(set("Content-Type", "application/json")), []string{"note document: no HTML"}, ""},
		{"a twin", shop, shop, cookie.Config{}, mints("ajs_anonymous_id=other; Path=/", readableSet, keeperSet),
			[]string{"problem cookie ajs_anonymous_id: more than once, for this host alone and for example.com"}, ""},
		{"twins expired by us are none", shop, shop, cookie.Config{},
			mints("ajs_anonymous_id=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:01 GMT", readableSet, keeperSet),
			[]string{"ok cookie ajs_anonymous_id: for 365 days"}, ""},
		{"another domain than the tag's", shop, shop, cookie.Config{}, mints(strings.Replace(readableSet, "Domain=example.com", "Domain=shop.example.com", 1), keeperSet),
			[]string{"problem cookie ajs_anonymous_id: set for shop.example.com, where example.com is expected"}, ""},
		{"a domain of one's own", shop, shop, cookie.Config{Domain: "shop.example.com"},
			mints(strings.Replace(readableSet, "Domain=", "Domain=shop.", 1), strings.Replace(keeperSet, "Domain=", "Domain=shop.", 1)),
			[]string{"ok cookie ajs_anonymous_id: for shop.example.com", "ok cookie intilery_keeper: for shop.example.com"}, ""},
		{"not HttpOnly", shop, shop, cookie.Config{}, mints(readableSet, strings.Replace(keeperSet, "HttpOnly; ", "", 1)),
			[]string{"problem cookie intilery_keeper: not HttpOnly"}, ""},
		{"not Secure", shop, shop, cookie.Config{}, mints(strings.Replace(readableSet, "Secure; ", "", 1), keeperSet),
			[]string{"problem cookie ajs_anonymous_id: trusted_proxies"}, ""},
		{"for the session", shop, shop, cookie.Config{}, mints(readableSet, strings.Replace(keeperSet, "Max-Age=31536000; ", "", 1)),
			[]string{"problem cookie intilery_keeper: neither Max-Age nor Expires"}, "until the browser is closed"},
		{"too long", shop, shop, cookie.Config{}, mints(readableSet, strings.Replace(keeperSet, "31536000", "99999999999999", 1)),
			[]string{"note cookie intilery_keeper: cap at 400 days"}, "400 days"},
		{"no readable one wanted", shop, shop, cookie.Config{KeeperOnly: true}, mints(keeperSet), []string{"ok cookie intilery_keeper: for 365 days"}, "365 days"},
		{"another ID at the second visit", shop, shop, cookie.Config{}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Header()["Set-Cookie"] = []string{strings.Replace(readableSet, "%22id", "%22"+fmt.Sprint(len(r.Cookies())), 1), keeperSet}
		}, []string{"problem second visit: another ID"}, ""},
		{"set again at the second visit", shop, shop, cookie.Config{}, with(func(w http.ResponseWriter) { w.Header()["Set-Cookie"] = []string{readableSet, keeperSet} }),
			[]string{"note second visit: set again"}, ""},
		{"a redirect", shop, shop, cookie.Config{}, func(w http.ResponseWriter, r *http.Request) {
			if r.Host == "shop.example.com" {
				http.Redirect(w, r, "https://www.example.com/", http.StatusFound)
				return
			}
			good(w, r)
		}, []string{"note document: redirects to the host www.example.com", "ok cookie intilery_keeper: for 365 days", "ok second visit: known"}, "365 days"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found, r, err := examined(t, home, tt.site, tt.page, tt.cfg, tt.app)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tt.want {
				key, text, _ := strings.Cut(want, ": ")
				if !strings.Contains(found[key], text) {
					t.Errorf("no finding %q; found %v", want, found)
				}
			}
			if tt.safari != "" && r.browsers[0].keeper != tt.safari {
				t.Errorf("Safari keeps the keeper %q, want %q", r.browsers[0].keeper, tt.safari)
			}
			if tt.name == "all is well" && r.problems() != 0 {
				t.Errorf("problems where there are none: %v", found)
			}
		})
	}
}

// A site that is out of reach, or never arrives, is an error.
func TestDoctorCannotVisit(t *testing.T) {
	loop := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }
	if _, _, err := examined(t, zone{}, "https://a.example.com", "https://a.example.com", cookie.Config{}, loop); err == nil || !strings.Contains(err.Error(), "too many redirects") {
		t.Errorf("a loop: %v", err)
	}
	broken := func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }
	if _, _, err := examined(t, zone{}, "https://a.example.com", "https://a.example.com", cookie.Config{}, broken); err == nil || !strings.Contains(err.Error(), "opening https://a.example.com/") {
		t.Errorf("aborted: %v", err)
	}
	for _, text := range []string{"", "ftp://a.example", "https://", "http://[::1"} {
		if _, err := siteURL(text); err == nil {
			t.Errorf("%q accepted", text)
		}
	}
}

// The doctor of a site that this module serves, from end to end; what it prints
// holds no ID and nothing that a terminal obeys.
func TestDoctorOfThisModule(t *testing.T) {
	r := newRig(t)
	r.serve("intilery\nheader Content-Type text/html\nrespond hello")
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	var out bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetOut(&out)
	d := &doctor{resolver: zone{"localhost": {"127.0.0.1"}}, transport: transport, now: time.Now}
	code, err := d.run(t.Context(), cmd, r.url, "")
	if code != 1 || err == nil || err.Error() != "problems found: 1" { // plain HTTP
		t.Errorf("%d, %v", code, err)
	}
	for _, want := range []string{"problem  HTTPS", "ok       second visit", "365 days; 7 once a script rewrites it"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "%22") || strings.ContainsAny(out.String(), "\x1b\r") {
		t.Errorf("printed %q", &out)
	}
	hostile := &report{site: "https://a.example/\x1b[2J", findings: []finding{{problem, "DNS", "alias of \x1b]0;x\x07\n", "x\r"}}}
	out.Reset()
	if err := hostile.write(&out); err != nil || strings.ContainsAny(out.String(), "\x1b\x07\r") {
		t.Errorf("printed %q, %v", &out, err)
	}
}
