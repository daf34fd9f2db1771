package caddymodule

import (
	"errors"
	"net/http"
	"runtime/debug"

	"go.uber.org/zap"
)

// Subjects of warnings beside the reserved headers and the causes of misproxied.
const (
	warnClearSiteData = "Clear-Site-Data"
	warnMatch         = "match"
	warnDestination   = "destination"
	warnCollect       = "collect " // and a code of collectFixes
)

var errCacheable = errors.New("cacheable_response")

// rejected counts a refused header value and logs it at most once a minute per
// header, without the value.
func (x *exchange) rejected(header string, why error) {
	x.metrics().rejected.WithLabelValues(header, why.Error()).Inc()
	x.h.warn(x.r, header, "a response header of the app was refused and not acted on; the response was served without it",
		zap.String("header", header), zap.String("reason", why.Error()))
}

// warn logs at most once a minute per subject. The path is redacted, since it
// may hold what events must not.
func (h *Handler) warn(r *http.Request, subject, message string, fields ...zap.Field) {
	h.warnings[subject].Do(func() {
		h.logger.Warn(message, append(fields,
			zap.String("host", r.Host), zap.String("path", h.redact.Path(originalURL(r).EscapedPath())))...)
	})
}

// contained counts and logs a panic of our own.
func (x *exchange) contained(v any) {
	h := x.h
	x.metrics().panics.Inc()
	h.panicLog.Do(func() {
		h.logger.Error("a fault in intilery was contained; the response was served without it; please report this",
			zap.Any("panic", v), zap.ByteString("stack", debug.Stack()))
	})
}
