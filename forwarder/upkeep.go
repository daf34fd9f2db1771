package forwarder

import (
	"context"
	"errors"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// Errors of what works on the queue and the dead letters.
var (
	// ErrNotStarted: no configuration has started the forwarder yet.
	ErrNotStarted = errors.New("forwarder not started")
	// ErrNotHeld: this process does not have the queue at present: it is not open
	// yet, or another process, such as the one before a rolling update, has it.
	ErrNotHeld = queue.ErrNotHeld
)

// openWait is how long the queue may take to open before it is refused to work on it.
const openWait = 2 * time.Second

// begun returns what is shared once the forwarder has started; with ErrClosed
// when it was closed since.
func (f *Forwarder) begun() (*shared, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.shared.queue == nil:
		return nil, ErrNotStarted
	case f.closed:
		return f.shared, ErrClosed
	}
	return f.shared, nil
}

// maintain returns what is shared for one who changes what is on disk: one at a
// time, and only in the process that has the queue. Done must be called.
func (f *Forwarder) maintain(ctx context.Context) (s *shared, done func(), err error) {
	if s, err = f.begun(); err != nil {
		return nil, nil, err
	}
	select {
	case f.upkeep <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	done = func() { <-f.upkeep }
	pause(ctx, openWait, s.queue.Opened()) // a moment after the start
	if err := s.queue.Ready(); err != nil {
		done()
		return nil, nil, err
	}
	return s, done, nil
}
