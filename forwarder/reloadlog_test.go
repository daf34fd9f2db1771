package forwarder

import (
	"log/slog"
	"testing"
)

func TestReloadHandler(t *testing.T) {
	h := newReloadHandler()
	l := slog.New(h).With("a", 1).WithGroup("g").With("b", 2)
	l.Error("to nobody")
	var first, second logBuffer
	h.set(slog.NewTextHandler(&first, nil))
	l.Info("one", "c", 3)
	h.set(slog.NewTextHandler(&second, &slog.HandlerOptions{Level: slog.LevelWarn}))
	l.Info("below the level")
	l.Warn("two", "c", 3)
	if first.count("msg=one a=1 g.b=2 g.c=3") != 1 || first.count("") != 1 {
		t.Errorf("first: %s", first.b.String())
	}
	if second.count("msg=two a=1 g.b=2 g.c=3") != 1 || second.count("") != 1 {
		t.Errorf("second: %s", second.b.String())
	}
}
