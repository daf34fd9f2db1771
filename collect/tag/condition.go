package tag

import (
	"log/slog"
	"sync/atomic"
)

// condition logs when a script cannot be had, and when it can again, once each.
type condition struct {
	logger *slog.Logger
	lasts  atomic.Bool
}

// set notes the outcome of an attempt.
func (c *condition) set(err error) {
	switch {
	case err != nil && c.lasts.CompareAndSwap(false, true):
		c.logger.Warn("the tag's script cannot be read", "error", err)
	case err == nil && c.lasts.CompareAndSwap(true, false):
		c.logger.Info("the tag's script can be read again")
	}
}
