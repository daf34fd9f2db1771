package caddymodule

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/quic-go/quic-go/http3"
)

// app is a site that uses what HTTP has. step lets a stream go on, so that a
// response that is held back anywhere blocks its test.
type app struct{ step chan struct{} }

func (a *app) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	h := w.Header()
	h["Date"] = []string{"Fri, 27 Nov 2026 00:00:00 GMT"}
	flush := http.NewResponseController(w).Flush
	switch req.URL.Path {
	case "/plain":
		h.Set("X-App", "kept")
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "s"})
		body := strings.Repeat("plain ", 1000)
		// Of a stream, the proxy flushes what it happens to have read, and the
		// bytes of its gzip depend on that.
		h.Set("Content-Length", strconv.Itoa(len(body)))
		fmt.Fprint(w, body)
	case "/stream":
		h.Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			if flush() != nil {
				return
			}
			<-a.step
		}
	case "/hints":
		h.Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusProcessing)
		fmt.Fprint(w, "hinted")
	case "/trailers":
		h.Set("Trailer", "Checksum") // one: the proxy lists several in random order
		fmt.Fprint(w, "body")
		if flush() != nil {
			return
		}
		h.Set("Checksum", "abc")
		h.Set(http.TrailerPrefix+"Late", "2")
	case "/echo":
		h.Set("Content-Type", req.Header.Get("Content-Type"))
		io.Copy(w, req.Body) //nolint:errcheck // the client sees what is missing
	case "/redirect":
		http.Redirect(w, req, "/plain", http.StatusTemporaryRedirect)
	case "/upgrade":
		h.Set("Connection", "Upgrade")
		h.Set("Upgrade", "websocket")
		h.Set("Sec-WebSocket-Accept", "x")
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		for {
			line, err := rw.ReadString('\n')
			if err != nil {
				return
			}
			fmt.Fprint(conn, "> "+line)
		}
	default:
		http.NotFound(w, req)
	}
}

// pair serves the same site with and without the module.
func (r *rig) pair(scheme string) (with, without string, a *app) {
	a = &app{step: make(chan struct{})}
	upstream := newServer(r.t, a)
	content := bytes.Repeat([]byte("0123456789abcdef"), 64<<10/16)
	if err := os.WriteFile(filepath.Join(r.dir, "file.bin"), content, 0o600); err != nil {
		r.t.Fatal(err)
	}
	site := fmt.Sprintf(`
	handle /file.bin {
		file_server {
			root %q
		}
	}
	handle {
		encode gzip
		reverse_proxy %s
	}
`, r.dir, upstream)
	with, without = scheme+"://localhost:"+freePort(r.t), scheme+"://localhost:"+freePort(r.t)
	global := strings.Replace(r.global(""), "{\n", "{\n\tlocal_certs\n\tskip_install_trust\n\tauto_https disable_redirects\n", 1)
	if err := r.tryLoad(global + with + " {\n\tintilery\n" + site + "}\n" + without + " {\n" + site + "}\n"); err != nil {
		r.t.Fatal(err)
	}
	return with, without, a
}

// raw sends one HTTP/1.1 request and returns every byte of the answer.
func raw(t *testing.T, base, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, request)
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	head, body, _ := strings.Cut(string(answer), "\r\n\r\n")
	for strings.HasPrefix(head, "HTTP/1.1 1") { // early hints are heads of their own
		next, rest, _ := strings.Cut(body, "\r\n\r\n")
		head, body = head+"\r\n\r\n"+next, rest
		if !strings.HasPrefix(next, "HTTP/1.1 1") {
			break
		}
	}
	// Caddy's own file_server dates its answers itself.
	var kept []string
	for line := range strings.SplitSeq(head, "\r\n") {
		if !strings.HasPrefix(line, "Date: ") {
			kept = append(kept, line)
		}
	}
	if strings.Contains(head, "Transfer-Encoding: chunked") {
		body = joinChunks(t, body)
	}
	return strings.Join(kept, "\r\n") + "\r\n\r\n" + body
}

// joinChunks makes one of all chunks, whose bounds depend on when the proxy
// read them, and keeps the trailers.
func joinChunks(t *testing.T, body string) string {
	t.Helper()
	var joined strings.Builder
	for {
		size, rest, found := strings.Cut(body, "\r\n")
		n, err := strconv.ParseInt(size, 16, 32)
		if !found || err != nil || int(n)+2 > len(rest) {
			t.Fatalf("bad chunk at %.60q", body)
		}
		if n == 0 {
			return joined.String() + "\r\n0\r\n" + rest
		}
		joined.WriteString(rest[:n])
		body = rest[n+2:]
	}
}

// Without identity headers and documents, each answer is the same to the byte.
func TestTransparentHTTP1(t *testing.T) {
	r := newRig(t)
	with, without, a := r.pair("http")
	close(a.step)
	for _, request := range []string{
		"GET /plain HTTP/1.1\r\nConnection: close",
		"GET /plain HTTP/1.1\r\nConnection: close\r\nAccept-Encoding: gzip",
		"HEAD /plain HTTP/1.1\r\nConnection: close",
		"GET /stream HTTP/1.1\r\nConnection: close",
		"GET /hints HTTP/1.1\r\nConnection: close",
		"GET /trailers HTTP/1.1\r\nConnection: close\r\nTE: trailers",
		"GET /redirect HTTP/1.1\r\nConnection: close",
		"GET /missing HTTP/1.1\r\nConnection: close",
		"GET /file.bin HTTP/1.1\r\nConnection: close",
		"GET /file.bin HTTP/1.1\r\nConnection: close\r\nRange: bytes=100-199",
		"GET /file.bin HTTP/1.1\r\nConnection: close\r\nRange: bytes=0-1,5-9, 70000-",
		"GET /file.bin HTTP/1.1\r\nConnection: close\r\nRange: bytes=999999-",
		"HEAD /file.bin HTTP/1.1\r\nConnection: close",
		"GET /plain HTTP/1.0",
	} {
		t.Run(request, func(t *testing.T) {
			request += "\r\nHost: localhost\r\nSec-Fetch-Dest: empty\r\n\r\n"
			got, want := raw(t, with, request), raw(t, without, request)
			// A multipart answer's boundary is random.
			if b := boundary(want); b != "" {
				want = strings.ReplaceAll(want, b, boundary(got))
			}
			if got != want || want == "" {
				t.Errorf("with:\n%.600s\nwithout:\n%.600s", got, want)
			}
		})
	}
}

func boundary(answer string) string {
	_, rest, found := strings.Cut(answer, "multipart/byteranges; boundary=")
	if !found {
		return ""
	}
	b, _, _ := strings.Cut(rest, "\r\n")
	return b
}

// answerOf is all that a client sees of one answer.
func answerOf(t *testing.T, client *http.Client, method, url string, body io.Reader, edit ...func(*http.Request)) string {
	t.Helper()
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Sec-Fetch-Dest", "empty")
	for _, f := range edit {
		f(req)
	}
	var out strings.Builder
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		fmt.Fprintf(&out, "%d %q\n", code, h["Link"])
		return nil
	}}
	resp, err := client.Do(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&out, "%s %d\n", resp.Proto, resp.StatusCode)
	for _, headers := range []http.Header{resp.Header, resp.Trailer} {
		for _, name := range slices.Sorted(maps.Keys(headers)) {
			if name != "Date" && name != "Alt-Svc" { // the time, and each site's own port
				fmt.Fprintf(&out, "%s: %q\n", name, headers[name])
			}
		}
		out.WriteString("--\n")
	}
	out.Write(text)
	return out.String()
}

// The same over HTTP/2 and HTTP/3, uploads included.
func TestTransparentHTTP2And3(t *testing.T) {
	r := newRig(t)
	with, without, a := r.pair("https")
	close(a.step)
	insecure := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"} //nolint:gosec // Caddy's own test CA
	h2 := &http.Transport{TLSClientConfig: insecure.Clone(), ForceAttemptHTTP2: true, DisableCompression: true}
	h3 := &http3.Transport{TLSClientConfig: insecure.Clone(), DisableCompression: true}
	t.Cleanup(h2.CloseIdleConnections)
	t.Cleanup(func() { h3.Close() })
	for _, site := range []string{with, without} { // Caddy makes the certificates in the background
		eventually(t, func() bool {
			conn, err := tls.Dial("tcp", strings.TrimPrefix(site, "https://"), insecure)
			if err != nil {
				return false
			}
			conn.Close()
			return true
		}, func() string { return "no certificate: " + r.log() })
	}
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for proto, transport := range map[string]http.RoundTripper{"HTTP/2.0": h2, "HTTP/3.0": h3} {
		client := &http.Client{Transport: transport, CheckRedirect: noRedirect}
		for _, tt := range []struct{ method, path, body, header, value string }{
			{"GET", "/plain", "", "Accept-Encoding", "gzip"},
			{"HEAD", "/plain", "", "", ""},
			{"GET", "/stream", "", "", ""},
			{"GET", "/hints", "", "", ""},
			{"GET", "/trailers", "", "", ""},
			{"GET", "/redirect", "", "", ""},
			{"GET", "/missing", "", "", ""},
			{"GET", "/file.bin", "", "Range", "bytes=100-199"},
			{"POST", "/echo", strings.Repeat("up", 100_000), "Content-Type", "text/plain"},
		} {
			t.Run(proto+tt.method+tt.path, func(t *testing.T) {
				edit := func(req *http.Request) {
					if tt.header != "" {
						req.Header.Set(tt.header, tt.value)
					}
				}
				got := answerOf(t, client, tt.method, with+tt.path, strings.NewReader(tt.body), edit)
				want := answerOf(t, client, tt.method, without+tt.path, strings.NewReader(tt.body), edit)
				if !strings.Contains(want, proto) {
					t.Fatalf("answered by another protocol:\n%.100s", want)
				}
				if got != want {
					t.Errorf("with:\n%.600s\nwithout:\n%.600s", got, want)
				}
			})
		}
	}
}

// A stream arrives as it is written: the app waits for the client at each
// part, so one that is held back never ends. A document's stream too.
func TestStreamsAreNotHeldBack(t *testing.T) {
	r := newRig(t)
	with, _, a := r.pair("http")
	for _, dest := range []string{"empty", "document"} {
		req, err := http.NewRequest(http.MethodGet, with+"/stream", nil)
		if err != nil {
			t.Fatal(err)
		}
		asBrowser(req)
		req.Header.Set("Sec-Fetch-Dest", dest)
		resp, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(resp.Body)
		for i := range 3 {
			if line, err := in.ReadString('\n'); err != nil || line != fmt.Sprintf("data: %d\n", i) {
				t.Fatalf("%s, part %d: %q, %v", dest, i, line, err)
			}
			if _, err := in.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			a.step <- struct{}{}
		}
		resp.Body.Close()
	}
}

// A WebSocket's connection passes in both directions, to the byte.
func TestTransparentWebSocket(t *testing.T) {
	r := newRig(t)
	with, without, _ := r.pair("http")
	talk := func(base string) string {
		conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET /upgrade HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
		in := bufio.NewReader(conn)
		var out strings.Builder
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if out.WriteString(line); line == "\r\n" {
				break
			}
		}
		for _, message := range []string{"one\n", "two\n"} {
			fmt.Fprint(conn, message)
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			out.WriteString(line)
		}
		return out.String()
	}
	got, want := talk(with), talk(without)
	if got != want || !strings.Contains(want, "101 Switching Protocols") || !strings.HasSuffix(want, "> one\n> two\n") {
		t.Errorf("with:\n%s\nwithout:\n%s", got, want)
	}
}
