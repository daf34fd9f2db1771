package caddymodule

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/time/rate"
)

// speak puts every reserved header on a response.
func speak(h http.Header) {
	h.Set("Intilery-User-Id", "42")
	h.Set("Intilery-Traits", `{"a":1}`)
	h.Add("Intilery-Track", "One")
	h.Add("Intilery-Track", "Two")
	h.Set("Intilery-Page", "Named")
	h.Set("Intilery-Unheard-Of", "x")
}

// No path on which a response can leave lets a reserved header out.
func TestStrippedOnEveryPath(t *testing.T) {
	r := newRig(t)
	upstream := newServer(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		h := w.Header()
		switch req.URL.Path {
		case "/hints":
			speak(h)
			h.Set("Link", "</a.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			h.Del("Link")
			w.WriteHeader(http.StatusOK)
			fmt.Fprint(w, "after hints")
		case "/redirect":
			speak(h)
			http.Redirect(w, req, "/elsewhere", http.StatusFound)
		case "/error":
			speak(h)
			http.Error(w, "broken", http.StatusInternalServerError)
		case "/stream":
			speak(h)
			h.Set("Content-Type", "text/event-stream")
			for i := range 3 {
				fmt.Fprintf(w, "data: %d\n\n", i)
				http.NewResponseController(w).Flush()
			}
		case "/flush-first":
			speak(h)
			http.NewResponseController(w).Flush()
			fmt.Fprint(w, "late")
		case "/empty":
			speak(h)
		case "/no-content":
			speak(h)
			w.WriteHeader(http.StatusNoContent)
		case "/trailers":
			h.Set("Trailer", "Checksum, Intilery-Track")
			fmt.Fprint(w, "body")
			h.Set("Checksum", "abc")
			h.Set("Intilery-Track", "Trailing")
			h.Set(http.TrailerPrefix+"Intilery-User-Id", "42")
		case "/large":
			speak(h)
			fmt.Fprint(w, strings.Repeat("x", 1<<20))
		case "/abort":
			speak(h)
			h.Set("Content-Length", "100")
			fmt.Fprint(w, "cut")
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	}))
	if err := os.WriteFile(filepath.Join(r.dir, "file.txt"), []byte("a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.serve(fmt.Sprintf(`
	intilery
	handle /files/* {
		route {
			header Intilery-Track File
			uri strip_prefix /files
			file_server {
				root %q
			}
		}
	}
	handle /intercepted {
		reverse_proxy %[2]s {
			@all status 200
			handle_response @all {
				copy_response_headers {
					exclude Content-Length
				}
				error "refused" 403
			}
			rewrite /empty
		}
	}
	handle /gone {
		reverse_proxy 127.0.0.1:%[3]s
	}
	handle /respond {
		route {
			header Intilery-User-Id 42
			respond "here"
		}
	}
	handle {
		encode gzip
		reverse_proxy %[2]s
	}
	handle_errors {
		respond "handled {err.status_code}"
	}`, r.dir, upstream, freePort(t)))

	for _, tt := range []struct {
		path, method string
		status       int
		body         string
	}{
		{"/redirect", "GET", 302, "<a href=\"/elsewhere\">Found</a>.\n\n"},
		{"/error", "GET", 500, "broken\n"},
		{"/stream", "GET", 200, "data: 0\n\ndata: 1\n\ndata: 2\n\n"},
		{"/flush-first", "GET", 200, "late"},
		{"/empty", "GET", 200, ""},
		{"/empty", "HEAD", 200, ""},
		{"/no-content", "GET", 204, ""},
		{"/large", "GET", 200, strings.Repeat("x", 1<<20)},
		{"/hints", "GET", 200, "after hints"},
		{"/trailers", "GET", 200, "body"},
		{"/files/file.txt", "GET", 200, "a file"},
		{"/intercepted", "GET", 403, "handled 403"},
		{"/gone", "GET", 502, "handled 502"},
		{"/respond", "GET", 200, "here"},
	} {
		t.Run(tt.method+tt.path, func(t *testing.T) {
			hints := 0
			trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				hints++
				wantStripped(t, http.Header(h), nil)
				if h.Get("Link") == "" {
					t.Error("the early hint lost its link")
				}
				return nil
			}}
			resp := r.do(tt.method, tt.path, nil, func(req *http.Request) {
				*req = *req.WithContext(httptrace.WithClientTrace(req.Context(), trace))
			})
			if text := bodyText(t, resp); resp.StatusCode != tt.status || text != tt.body {
				t.Errorf("%d %.60q, want %d %.60q", resp.StatusCode, text, tt.status, tt.body)
			}
			wantStripped(t, resp.Header, resp.Trailer)
			if tt.path == "/trailers" && resp.Trailer.Get("Checksum") != "abc" {
				t.Errorf("the app's own trailer is gone: %v", resp.Trailer)
			}
			if want := map[bool]int{true: 1}[tt.path == "/hints"]; hints != want {
				t.Errorf("%d early hints, want %d", hints, want)
			}
		})
	}

	t.Run("aborted body", func(t *testing.T) {
		resp, err := http.Get(r.url + "/abort")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		wantStripped(t, resp.Header, nil)
		if _, err := io.ReadAll(resp.Body); err == nil {
			t.Error("the abort did not reach the client")
		}
		wantStripped(t, resp.Header, resp.Trailer)
	})
}

// What the app said on a redirect, an error or an answer that it then aborted
// counts: the decision is made before the first byte, not after the last.
func TestHonouredOnEveryStatus(t *testing.T) {
	r := newRig(t)
	r.behind(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Intilery-Track", strings.TrimPrefix(req.URL.Path, "/"))
		switch req.URL.Path {
		case "/redirected":
			http.Redirect(w, req, "/x", http.StatusSeeOther)
		case "/failed":
			http.Error(w, "no", http.StatusUnprocessableEntity)
		case "/aborted":
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "cut")
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	})
	api := func(req *http.Request) { req.Header.Set("Sec-Fetch-Dest", "empty") }
	r.get("/redirected", api)
	r.get("/failed", api)
	req, err := http.NewRequest(http.MethodGet, r.url+"/aborted", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := r.client.Do(req); err == nil {
		io.Copy(io.Discard, resp.Body) //nolint:errcheck // it is cut off on purpose
		resp.Body.Close()
	}
	if got := summary(r.calls(3)); got != "track:redirected track:failed track:aborted" {
		t.Errorf("events %s", got)
	}
}

// An upgrade: 101 is a final answer, and the connection is the app's.
func TestUpgrade(t *testing.T) {
	r := newRig(t)
	r.behind(func(w http.ResponseWriter, req *http.Request) {
		speak(w.Header())
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "echo")
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		line, err := rw.ReadString('\n')
		if err == nil {
			fmt.Fprintf(conn, "echo %s", line)
		}
	})
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("status %d", resp.StatusCode)
	}
	wantStripped(t, resp.Header, nil)
	fmt.Fprint(conn, "hello\n")
	if line, err := in.ReadString('\n'); err != nil || line != "echo hello\n" {
		t.Errorf("got %q, %v", line, err)
	}
	if got := summary(r.calls(3)); got != "identify:identify track:One track:Two" {
		t.Errorf("events %s", got)
	}
}

// A handler inside may set the headers before a 1xx of its own: they must not
// leave with it, and must still count at the end.
func TestInformationalKeepsTheHeaders(t *testing.T) {
	w := &informational{h: http.Header{}}
	h := &Handler{}
	hook := &responseHook{ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, exchange: exchange{h: h}}
	hook.Header().Set("Intilery-Track", "A")
	hook.WriteHeader(http.StatusEarlyHints)
	if w.sent[0].Get("Intilery-Track") != "" {
		t.Error("the header left with the early hint")
	}
	if hook.Header().Get("Intilery-Track") != "A" {
		t.Error("the header was lost with the early hint")
	}
	hook.WriteHeader(http.StatusOK)
	if len(w.sent) != 2 || w.sent[1].Get("Intilery-Track") != "" {
		t.Errorf("sent %v", w.sent)
	}
}

// informational records the headers of each WriteHeader.
type informational struct {
	h    http.Header
	sent []http.Header
}

func (w *informational) Header() http.Header         { return w.h }
func (w *informational) Write(p []byte) (int, error) { return len(p), nil }
func (w *informational) WriteHeader(int)             { w.sent = append(w.sent, w.h.Clone()) }

// A fault of ours is not the site's: here a handler that lacks its app, whose
// every look at an identity panics.
func TestPanicIsContained(t *testing.T) {
	h := &Handler{logger: zap.NewNop(), panicLog: &rate.Sometimes{First: 1}}
	before := counter(t, siteMetrics.panics.WithLabelValues("UNKNOWN"))
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	asBrowser(r)
	err := h.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		speak(w.Header())
		_, err := fmt.Fprint(w, "served")
		return err
	}))
	if err != nil || w.Body.String() != "served" || w.Code != http.StatusOK {
		t.Errorf("%d %q, %v", w.Code, w.Body, err)
	}
	wantStripped(t, w.Result().Header, nil)
	if got := counter(t, siteMetrics.panics.WithLabelValues("UNKNOWN")) - before; got != 2 { // before the app, and after
		t.Errorf("counted %v panics, want 2", got)
	}
}

// Files are handed to the writer below as a reader, so the kernel sends them.
func TestReadFromIsKept(t *testing.T) {
	below := &readerFrom{informational: informational{h: http.Header{}}}
	hook := &responseHook{
		ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: below},
		exchange:              exchange{h: &Handler{}},
	}
	hook.Header().Set("Intilery-Track", "A")
	if n, err := io.Copy(hook, struct{ io.Reader }{strings.NewReader("file")}); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	if below.reads != 1 {
		t.Error("the writer below was not asked to read")
	}
	if below.h.Get("Intilery-Track") != "" {
		t.Error("the header was still there when the file was sent")
	}
}

type readerFrom struct {
	informational
	reads int
}

func (w *readerFrom) ReadFrom(r io.Reader) (int64, error) {
	w.reads++
	return io.Copy(io.Discard, r)
}

// A connection that a handler takes over without a word of HTTP gets no cookies and
// makes no page.
func TestHijack(t *testing.T) {
	h := newBenchHandler(t)
	before := h.app.queue.Stats().Destinations["default"].Captured
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		err := h.ServeHTTP(w, request(t, "document", nil), caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return err
			}
			defer conn.Close()
			_, err = conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
			return err
		}))
		if err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	resp, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := h.app.queue.Stats().Destinations["default"].Captured; got != before {
		t.Errorf("captured %v, and before %v", got, before)
	}
}

// A match that fails is told apart from a panic, whose log line it must not use up.
func TestFailedMatchAndPanicAreBothLogged(t *testing.T) {
	h := newBenchHandler(t)
	core, logged := observer.New(zapcore.DebugLevel)
	h.logger = zap.New(core)
	h.matchers = caddyhttp.MatcherSets{{failingMatcher{}}}
	if err := h.ServeHTTP(httptest.NewRecorder(), request(t, "document", nil), answer(document)); err != nil {
		t.Fatal(err)
	}
	h.matchers = nil
	h.bots = nil
	h.app = nil // a fault of ours
	if err := h.ServeHTTP(httptest.NewRecorder(), request(t, "document", nil), answer(document)); err != nil {
		t.Fatal(err)
	}
	var messages []string
	for _, entry := range logged.All() {
		messages = append(messages, entry.Message)
	}
	if all := strings.Join(messages, "\n"); !strings.Contains(all, "match failed") || !strings.Contains(all, "a fault in intilery was contained") {
		t.Errorf("logged %q", messages)
	}
}

type failingMatcher struct{}

func (failingMatcher) MatchWithError(*http.Request) (bool, error) {
	return false, errors.New("no such table")
}
