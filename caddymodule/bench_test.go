package caddymodule

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/intilery/caddy-intilery/caddymodule/internal/redact"
	"github.com/intilery/caddy-intilery/caddymodule/internal/reserved"
	"github.com/intilery/caddy-intilery/cookie"
	"github.com/intilery/caddy-intilery/forwarder"
)

// newBenchHandler is a provisioned handler whose log is not opened: what it
// captures stays in memory and is shed, oldest class first, so that only the
// handler's own work is measured.
func newBenchHandler(tb testing.TB) *Handler {
	tb.Helper()
	key, err := cookie.NewKey()
	if err != nil {
		tb.Fatal(err)
	}
	ring, err := cookie.NewKeyring(key)
	if err != nil {
		tb.Fatal(err)
	}
	app := &App{queue: newPooled(forwarder.New(tb.TempDir() + "/\x00"))} // a directory that cannot be made
	app.keys.Store(ring)
	settings := forwarder.Settings{Destinations: []forwarder.Destination{{
		Name: "default", Endpoint: "http://127.0.0.1:1", ClientID: "acme", AccountID: "acme", BrandID: "ACME",
		Token: func() (string, error) { return "x", nil },
	}}}
	if err := app.queue.Start(app, settings); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { app.queue.Close() })
	h := &Handler{
		app: app, Destination: "default", Page: pageOn, ClientIP: clientIPFull,
		erasing: &withdrawals{queue: app.queue, logger: zap.NewNop()},
	}
	if h.bots, err = h.Bots.provision(nil); err != nil {
		tb.Fatal(err)
	}
	if h.redact, err = redact.New(nil, nil); err != nil {
		tb.Fatal(err)
	}
	h.provisionWarnings()
	if h.keyless, err = cookie.NewResolver(h.cookies, nil); err != nil {
		tb.Fatal(err)
	}
	h.logger = caddy.Log()
	return h
}

// request is a browser's, as Caddy's server prepares it, of a visitor whom the
// cookies of w's answer make a returning one.
func request(tb testing.TB, dest string, cookies []string) *http.Request {
	tb.Helper()
	r := httptest.NewRequest(http.MethodGet, "https://shop.example.com/products/teapot?utm_source=mail&size=2", nil)
	asBrowser(r)
	r.Header.Set("Sec-Fetch-Dest", dest)
	r.Header.Set("Referer", "https://search.example/?q=teapot")
	var pairs []string // in one line, as browsers and net/http's HTTP/2 write them
	for _, c := range cookies {
		parsed, err := http.ParseSetCookie(c)
		if err != nil {
			tb.Fatal(err)
		}
		pairs = append(pairs, parsed.Name+"="+parsed.Value)
	}
	if len(pairs) > 0 {
		r.Header.Set("Cookie", strings.Join(pairs, "; "))
	}
	ctx := context.WithValue(r.Context(), caddyhttp.VarsCtxKey, map[string]any{caddyhttp.ClientIPVarKey: "203.0.113.7"})
	ctx = context.WithValue(ctx, caddyhttp.OriginalRequestCtxKey, *r)
	return r.WithContext(ctx)
}

// answer is an app behind the handler.
type answer func(http.Header)

func (a answer) ServeHTTP(w http.ResponseWriter, _ *http.Request) error {
	a(w.Header())
	w.WriteHeader(http.StatusOK)
	return nil
}

var (
	htmlType    = []string{"text/html; charset=utf-8"}
	cssType     = []string{"text/css"}
	privateOnly = []string{"private"}
)

func document(h http.Header)   { h["Content-Type"], h["Cache-Control"] = htmlType, privateOnly }
func stylesheet(h http.Header) { h["Content-Type"] = cssType }

// identifying is an app that says who the visitor is, somebody new each time,
// so that each answer is an identify to seal and to send.
func identifying() answer {
	users := [2][]string{{"42"}, {"43"}}
	traits := [2][]string{{`{"email":"ada@example.com","plan":"pro"}`}, {`{"email":"eve@example.com","plan":"pro"}`}}
	n := 0
	return func(h http.Header) {
		document(h)
		n++
		h[reserved.UserID], h[reserved.Traits] = users[n%2], traits[n%2]
	}
}

// discard is a writer that allocates nothing.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

// visitor returns a function that serves one request of a returning visitor.
func visitor(tb testing.TB, h *Handler, dest string, next caddyhttp.Handler) func() {
	tb.Helper()
	first := httptest.NewRecorder()
	if err := h.ServeHTTP(first, request(tb, "document", nil), answer(document)); err != nil {
		tb.Fatal(err)
	}
	cookies := first.Result().Header["Set-Cookie"]
	if len(cookies) != 2 {
		tb.Fatalf("cookies %v", cookies)
	}
	r := request(tb, dest, cookies)
	w := &discard{h: make(http.Header)}
	return func() {
		clear(w.h)
		delete(r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any), exchangeVar) // the next request
		if err := h.ServeHTTP(w, r, next); err != nil {
			tb.Fatal(err)
		}
	}
}

// The allocation budgets of docs/benchmarks.md.
func TestAllocationBudgets(t *testing.T) {
	h := newBenchHandler(t)
	for _, tt := range []struct {
		name   string
		budget float64
		visit  func()
	}{
		// The wrapper is one allocation, and it is all that an asset costs.
		{"asset", 1, visitor(t, h, "style", answer(stylesheet))},
		{"captured document", 10, visitor(t, h, "document", answer(document))},
	} {
		if got := testing.AllocsPerRun(200, tt.visit); got > tt.budget {
			t.Errorf("%s: %v allocations, the budget is %v", tt.name, got, tt.budget)
		} else {
			t.Logf("%s: %v allocations of %v", tt.name, got, tt.budget)
		}
	}
}

func BenchmarkAsset(b *testing.B) {
	visit := visitor(b, newBenchHandler(b), "style", answer(stylesheet))
	b.ReportAllocs()
	for b.Loop() {
		visit()
	}
}

func BenchmarkDocument(b *testing.B) {
	visit := visitor(b, newBenchHandler(b), "document", answer(document))
	b.ReportAllocs()
	for b.Loop() {
		visit()
	}
}

func BenchmarkIdentify(b *testing.B) {
	visit := visitor(b, newBenchHandler(b), "document", identifying())
	b.ReportAllocs()
	for b.Loop() {
		visit()
	}
}
