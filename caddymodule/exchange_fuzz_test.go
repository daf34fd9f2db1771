package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// FuzzExchange: any bytes in any cookie, header or query are served, without a
// panic, without a header or cookie attribute of their making, and without a
// word of them in the log.
func FuzzExchange(f *testing.F) {
	h := newBenchHandler(f)
	h.Querystring, h.NewVisitors, h.Cacheable = querySigned, newReturning, cacheablePrivate
	h.Consent = &Consent{Cookie: &ConsentCookie{Name: "choice", Granted: "no-value-ever"}, GPC: signalHonour}
	if err := h.Consent.provision(caddy.NewReplacer()); err != nil {
		f.Fatal(err)
	}
	open := newBenchHandler(f)
	open.NewVisitors, open.Cacheable = newReturning, cacheablePrivate
	core, logged := observer.New(zapcore.DebugLevel)
	h.logger, open.logger = zap.New(core), zap.New(core)
	known := httptest.NewRecorder()
	if err := open.ServeHTTP(known, request(f, "document", nil), answer(document)); err != nil {
		f.Fatal(err)
	}
	for _, cookies := range []string{
		"", "ajs_anonymous_id=%22x%22; intilery_keeper=AAAA", strings.Repeat("intilery_keeper=A; ", 50),
		"ajs_user_id=\x00\r\nSet-Cookie: a=b; ajs_anonymous_id=\xff", strings.Repeat("ajs_anonymous_id=x;", 50),
		known.Result().Cookies()[0].String() + "; " + known.Result().Cookies()[1].String(),
	} {
		f.Add(cookies, "curl/8", "text/html", "document", "a=1&ajs_aid=%00", "https://a.example/?\r\n", "public, max-age=1")
		f.Add(cookies, "Chrome/\xff", "*/*", "", "intilery_handoff=\r\n", "\x00", "private=\"")
	}
	f.Fuzz(func(t *testing.T, cookies, agent, accept, dest, query, referrer, control string) {
		for _, h := range []*Handler{h, open} {
			r := request(t, "document", nil)
			r.Header = http.Header{"Cookie": {cookies}, "User-Agent": {agent}, "Accept": {accept}, "Referer": {referrer}}
			if dest != "" {
				r.Header["Sec-Fetch-Dest"] = []string{dest}
			}
			*originalURL(r) = url.URL{Path: "/", RawQuery: query}
			before := counter(t, h.metricsOf(r).panics)
			w := httptest.NewRecorder()
			err := h.ServeHTTP(w, r, answer(func(h http.Header) { document(h); h.Set("Cache-Control", control) }))
			if err != nil || counter(t, h.metricsOf(r).panics) != before {
				t.Fatalf("error %v, or a panic", err)
			}
			for _, line := range w.Header()["Set-Cookie"] {
				c, err := http.ParseSetCookie(line)
				if err != nil || c.Domain != "" && c.Domain != "example.com" && !(c.Domain == "shop.example.com" && c.MaxAge < 0) || c.Path != "/" || strings.Count(line, ";") > 8 ||
					c.Name != "ajs_anonymous_id" && c.Name != "intilery_keeper" && c.Name != "intilery_keeper_deferred" || strings.ContainsAny(line, "\r\n\x00") {
					t.Errorf("Set-Cookie %q, %v", line, err)
				}
			}
			if w.Code == http.StatusFound && strings.ContainsAny(w.Header().Get("Location"), "\r\n\x00 ") {
				t.Errorf("Location %q", w.Header().Get("Location"))
			}
		}
		for _, entry := range logged.TakeAll() {
			if entry.Level > zapcore.DebugLevel {
				t.Errorf("logged %v", entry)
			}
		}
	})
}
