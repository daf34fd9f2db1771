package caddymodule

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/intilery/caddy-intilery/cookie"
	"github.com/intilery/caddy-intilery/forwarder"
	"github.com/intilery/caddy-intilery/forwarder/erasure"
)

// eraser is what is needed of the queue: a *forwarder.Forwarder.
type eraser interface {
	Erase(context.Context, erasure.Subject) (erasure.Counts, error)
}

const (
	// maxWithdrawals bounds how many visitors wait to be erased. That many at
	// once are an attack or a disk that has failed.
	maxWithdrawals = 1000

	eraseLimit = 30 * time.Second // for one try
	eraseRetry = 5 * time.Second  // between two, doubled each time
	eraseTries = 6                // about two and a half minutes in all
)

// withdrawals erases visitors who withdrew their consent, one after the other
// and off the request's path. Its goroutine lives only while there is somebody
// to erase. It promises no more than to try: a visitor who is not erased when the
// process ends, or after eraseTries, is delivered and logged as such.
type withdrawals struct {
	queue  eraser
	logger *zap.Logger

	mu      sync.Mutex
	waiting []string // anonymousIds, the first one is being erased
}

// add takes a visitor in, if they are not waiting yet. It never waits.
func (q *withdrawals) add(anonymousID string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if slices.Contains(q.waiting, anonymousID) {
		return
	}
	if len(q.waiting) == maxWithdrawals {
		siteMetrics.withdrawals.WithLabelValues("overflow").Inc()
		return
	}
	q.waiting = append(q.waiting, anonymousID)
	if len(q.waiting) == 1 {
		go q.run()
	}
}

// withdrawn has a visitor erased who is refused and was known before. Only the
// anonymousId counts: it is this browser's, while the user may have consented on
// another one.
func (h *Handler) withdrawn(w cookie.Withdrawn) {
	if w.AnonymousID != "" {
		h.erasing.add(w.AnonymousID)
	}
}

// run erases until nobody waits.
func (q *withdrawals) run() {
	for id, more := q.next(false); more; id, more = q.next(true) {
		if err := q.try(id); err != nil {
			siteMetrics.withdrawals.WithLabelValues("failed").Inc()
			q.logger.Error("the undelivered events of a visitor who withdrew consent could not be erased and will be delivered",
				zap.Error(err))
			continue
		}
		siteMetrics.withdrawals.WithLabelValues("erased").Inc()
	}
}

// next returns the one to erase, after taking off the one who is done with.
func (q *withdrawals) next(done bool) (anonymousID string, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if done {
		q.waiting = q.waiting[1:]
	}
	if len(q.waiting) == 0 {
		return "", false
	}
	return q.waiting[0], true
}

func (q *withdrawals) try(anonymousID string) (err error) {
	for n, wait := 1, eraseRetry; ; n, wait = n+1, 2*wait {
		ctx, cancel := context.WithTimeout(context.Background(), eraseLimit)
		_, err = q.queue.Erase(ctx, erasure.Subject{AnonymousID: anonymousID})
		cancel()
		if err == nil || n == eraseTries {
			return err
		}
		time.Sleep(wait) // nothing waits for this goroutine, not even a shutdown
	}
}

// Interface guard
var _ eraser = (*forwarder.Forwarder)(nil)
