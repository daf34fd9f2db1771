package caddymodule

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/intilery/caddy-intilery/cookie"
	"github.com/intilery/caddy-intilery/forwarder"
)

// eraser is what is needed of the queue: a *forwarder.Forwarder.
type eraser interface {
	Withdraw(ctx context.Context, anonymousID string) (erased bool, err error)
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
	h.app.queue.views.drop(w.AnonymousID, "")
	h.app.queue.captures.Drop(w.AnonymousID)
	h.erasing.add(w.AnonymousID)
}

// run erases until nobody waits.
func (q *withdrawals) run() {
	for id, more := q.next(false); more; id, more = q.next(true) {
		erased, err := q.try(id)
		if err != nil {
			outcome := "failed"
			if errors.Is(err, forwarder.ErrTooManyWithdrawals) {
				outcome = "overflow"
			}
			siteMetrics.withdrawals.WithLabelValues(outcome).Inc()
			q.logger.Error("the undelivered events of a visitor who withdrew consent could not be erased and will be delivered",
				zap.Error(err))
			continue
		}
		outcome := "erased"
		if !erased {
			outcome = "unneeded" // nothing was captured since the last time
		}
		siteMetrics.withdrawals.WithLabelValues(outcome).Inc()
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

func (q *withdrawals) try(anonymousID string) (erased bool, err error) {
	for n, wait := 1, eraseRetry; ; n, wait = n+1, 2*wait {
		ctx, cancel := context.WithTimeout(context.Background(), eraseLimit)
		erased, err = q.queue.Withdraw(ctx, anonymousID)
		cancel()
		if err == nil || n == eraseTries {
			return erased, err
		}
		time.Sleep(wait) // nothing waits for this goroutine, not even a shutdown
	}
}

// Interface guard
var _ eraser = (*forwarder.Forwarder)(nil)
