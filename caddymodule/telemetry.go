package caddymodule

import (
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
)

// report adds what came of the exchange to the access log's entry and to the
// request's trace span, where there is one. IDs are added only if the site asks
// for them.
func (x *exchange) report() {
	ctx := x.r.Context()
	reason := x.id.Reason.String()
	server, _ := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	extra, _ := ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields)
	if server != nil && server.Logs != nil && extra != nil {
		extra.Set(zap.String("intilery_identity", reason))
		extra.Set(zap.Int("intilery_events", x.events))
		if x.h.LogIDs {
			extra.Set(zap.String("intilery_anonymous_id", x.id.AnonymousID))
			extra.Set(zap.String("intilery_user_id", x.id.UserID))
		}
	}
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetAttributes(attribute.String("intilery.identity", reason), attribute.Int("intilery.events", x.events))
		if x.h.LogIDs {
			span.SetAttributes(attribute.String("intilery.anonymous_id", x.id.AnonymousID), attribute.String("intilery.user_id", x.id.UserID))
		}
	}
}
