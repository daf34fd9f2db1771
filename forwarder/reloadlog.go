package forwarder

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// reloadHandler passes log records to the handler of the settings in force. The
// log and the lanes outlive reloads, and a reload may close the writers of the
// logger that was there before.
type reloadHandler struct {
	root *atomic.Pointer[slog.Handler]
	with []func(slog.Handler) slog.Handler // attributes and groups, in order
}

func newReloadHandler() *reloadHandler {
	h := &reloadHandler{root: new(atomic.Pointer[slog.Handler])}
	h.set(slog.DiscardHandler)
	return h
}

func (h *reloadHandler) set(to slog.Handler) { h.root.Store(&to) }

func (h *reloadHandler) current() slog.Handler {
	c := *h.root.Load()
	for _, w := range h.with {
		c = w(c)
	}
	return c
}

func (h *reloadHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return (*h.root.Load()).Enabled(ctx, l)
}

func (h *reloadHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.current().Handle(ctx, r)
}

func (h *reloadHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.and(func(c slog.Handler) slog.Handler { return c.WithAttrs(attrs) })
}

func (h *reloadHandler) WithGroup(name string) slog.Handler {
	return h.and(func(c slog.Handler) slog.Handler { return c.WithGroup(name) })
}

func (h *reloadHandler) and(w func(slog.Handler) slog.Handler) *reloadHandler {
	with := make([]func(slog.Handler) slog.Handler, 0, len(h.with)+1)
	return &reloadHandler{root: h.root, with: append(append(with, h.with...), w)}
}

// Interface guards
var _ slog.Handler = (*reloadHandler)(nil)
