package caddymodule

import (
	"bufio"
	"io"
	"net"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/intilery/caddy-intilery/caddymodule/internal/reserved"
)

// responseHook runs an exchange's decision once, before the first byte of the
// final response, and keeps reserved headers from the client on every path.
//
// It holds no data back: each call reaches the writer below in the same order,
// so Flush, ReadFrom (sendfile), Hijack and deadlines work as without it.
type responseHook struct {
	caddyhttp.ResponseWriterWrapper
	exchange exchange
	done     bool
}

// WriteHeader runs the hook before a final status. 101 is final; other 1xx
// responses only lose their reserved headers, which a later final response of
// the same handler may still mean, so they are put back.
func (w *responseHook) WriteHeader(status int) {
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		h := w.Header()
		taken := reserved.Take(h)
		w.ResponseWriter.WriteHeader(status)
		for name, values := range taken {
			h[name] = values
		}
		return
	}
	w.final(status, nil)
	w.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (w *responseHook) Write(p []byte) (int, error) {
	w.final(http.StatusOK, p)
	return w.ResponseWriter.Write(p)
}

// ReadFrom implements io.ReaderFrom, so that files are sent by the kernel.
func (w *responseHook) ReadFrom(r io.Reader) (int64, error) {
	w.final(http.StatusOK, nil)
	return w.ResponseWriterWrapper.ReadFrom(r)
}

// FlushError is what http.ResponseController calls; a flush before any write
// sends the headers.
func (w *responseHook) FlushError() error {
	w.final(http.StatusOK, nil)
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack gives the connection away. What is written to it is not ours to decide,
// unless 101 came first.
func (w *responseHook) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	w.done = w.done || err == nil
	return conn, rw, err
}

// final takes the reserved headers off and lets the exchange decide. body is the
// first part of the body where it is known, to sniff an absent type.
func (w *responseHook) final(status int, body []byte) {
	if w.done {
		return
	}
	w.done = true
	taken := reserved.Take(w.Header())
	defer w.contain()
	w.exchange.respond(status, w.Header(), taken, body)
}

// contain keeps a fault of ours from becoming the site's.
func (w *responseHook) contain() {
	if v := recover(); v != nil {
		w.exchange.contained(v)
	}
}

// Interface guards
var (
	_ http.ResponseWriter = (*responseHook)(nil)
	_ io.ReaderFrom       = (*responseHook)(nil)
	_ http.Pusher         = (*responseHook)(nil)
	_ http.Hijacker       = (*responseHook)(nil)
)
