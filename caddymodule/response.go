package caddymodule

import (
	"io"
	"net/http"
	"runtime/debug"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// responseHook runs a visit's decision once, before the first byte of the
// final response, and keeps reserved headers from the client on every path.
//
// It holds no data back: each call reaches the writer below in the same order,
// so Flush, ReadFrom (sendfile), Hijack and deadlines work as without it.
type responseHook struct {
	caddyhttp.ResponseWriterWrapper
	visit visit
	done  bool
}

// WriteHeader runs the hook before a final status. 101 is final; other 1xx
// responses only lose their reserved headers, which a later final response of
// the same handler may still mean, so they are put back.
func (w *responseHook) WriteHeader(status int) {
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		h := w.Header()
		held := takeReserved(h)
		w.ResponseWriter.WriteHeader(status)
		for name, values := range held {
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

// final takes the reserved headers off and lets the visit decide. body is the
// first part of the body where it is known, to sniff an absent type.
func (w *responseHook) final(status int, body []byte) {
	if w.done {
		return
	}
	w.done = true
	said := takeReserved(w.Header())
	defer w.contain()
	w.visit.respond(status, w.Header(), said, body)
}

// contain keeps a fault of ours from becoming the site's.
func (w *responseHook) contain() {
	if v := recover(); v != nil {
		w.visit.h.contained(v)
	}
}

func (h *Handler) contained(v any) {
	siteMetrics.panics.Inc()
	h.panicLog.Do(func() {
		h.logger.Error("a fault in intilery was contained; the response was served without it, please report this",
			zap.Any("panic", v), zap.ByteString("stack", debug.Stack()))
	})
}

// Interface guards
var (
	_ http.ResponseWriter = (*responseHook)(nil)
	_ io.ReaderFrom       = (*responseHook)(nil)
	_ http.Pusher         = (*responseHook)(nil)
)
