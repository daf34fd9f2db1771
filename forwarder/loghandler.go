package forwarder

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// currentHandler passes log records to the handler of the settings in force. The
// log and the lanes outlive reloads, and a reload may close the writers of the
// logger that was there before.
type currentHandler struct {
	root *atomic.Pointer[slog.Handler]
	with []func(slog.Handler) slog.Handler // attributes and groups, in order
}

func newCurrentHandler() *currentHandler {
	h := &currentHandler{root: new(atomic.Pointer[slog.Handler])}
	h.set(slog.DiscardHandler)
	return h
}

func (h *currentHandler) set(to slog.Handler) { h.root.Store(&to) }

func (h *currentHandler) current() slog.Handler {
	c := *h.root.Load()
	for _, w := range h.with {
		c = w(c)
	}
	return c
}

func (h *currentHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return (*h.root.Load()).Enabled(ctx, l)
}

func (h *currentHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.current().Handle(ctx, r)
}

func (h *currentHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.and(func(c slog.Handler) slog.Handler { return c.WithAttrs(attrs) })
}

func (h *currentHandler) WithGroup(name string) slog.Handler {
	return h.and(func(c slog.Handler) slog.Handler { return c.WithGroup(name) })
}

func (h *currentHandler) and(w func(slog.Handler) slog.Handler) *currentHandler {
	with := make([]func(slog.Handler) slog.Handler, 0, len(h.with)+1)
	return &currentHandler{root: h.root, with: append(append(with, h.with...), w)}
}

// Interface guards
var _ slog.Handler = (*currentHandler)(nil)
