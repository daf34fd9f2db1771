package cookie

import (
	"strings"
	"testing"
)

func TestSetCookie(t *testing.T) {
	tests := []struct {
		name         string
		cfg          Config
		host         string
		secure       bool
		set, removed string
	}{
		{"HTTPS", Config{}, host, true,
			"ajs_anonymous_id=%22" + idA + "%22; Path=/; Domain=example.com; Expires=Mon, 01 Mar 2027 12:00:00 GMT; Max-Age=31536000; Secure; SameSite=Lax",
			"ajs_anonymous_id=; Path=/; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0; Secure; SameSite=Lax"},
		{"HTTP, host-only", Config{}, "localhost:2015", false,
			"ajs_anonymous_id=%22" + idA + "%22; Path=/; Expires=Mon, 01 Mar 2027 12:00:00 GMT; Max-Age=31536000; SameSite=Lax",
			"ajs_anonymous_id=; Path=/; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0; SameSite=Lax"},
		{"other name, dialect and life", Config{Name: "aid", Dialect: DialectRaw, MaxAge: 400 * day}, host, true,
			"aid=" + idA + "; Path=/; Domain=example.com; Expires=Mon, 05 Apr 2027 12:00:00 GMT; Max-Age=34560000; Secure; SameSite=Lax",
			"aid=; Path=/; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0; Secure; SameSite=Lax"},
		{"in frames of other sites", Config{SameSite: SameSiteNone}, host, true,
			"ajs_anonymous_id=%22" + idA + "%22; Path=/; Domain=example.com; Expires=Mon, 01 Mar 2027 12:00:00 GMT; Max-Age=31536000; Secure; SameSite=None",
			"ajs_anonymous_id=; Path=/; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0; Secure; SameSite=None"},
		{"in frames of other sites, HTTP: browsers would refuse None", Config{SameSite: SameSiteNone}, host, false,
			"ajs_anonymous_id=%22" + idA + "%22; Path=/; Domain=example.com; Expires=Mon, 01 Mar 2027 12:00:00 GMT; Max-Age=31536000; SameSite=Lax",
			"ajs_anonymous_id=; Path=/; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0; SameSite=Lax"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rv := newResolver(t, test.cfg)
			b := brought{literal: rv.cfg.Name + "=" + idA}
			r := Request{Cookies: b.cookies(t, rv), Host: test.host, Secure: test.secure, Document: true, Now: epoch}
			o := rv.Decide(rv.Resolve(r), r, page)
			if len(o.Cookies) != 2 || o.Cookies[0] != test.set {
				t.Errorf("set %q\nwant %q", o.Cookies, test.set)
			}
			o = rv.Decide(rv.Resolve(r), r, logout)
			if len(o.Cookies) == 0 || o.Cookies[0] != test.removed {
				t.Errorf("expired %q\nwant %q", o.Cookies, test.removed)
			}
			for _, c := range o.Cookies {
				if strings.Contains(c, "HttpOnly") != strings.HasPrefix(c, defaultKeeperName) {
					t.Errorf("HttpOnly is for the keeper: %q", c)
				}
			}
		})
	}
}
