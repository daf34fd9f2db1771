package forwarder

import (
	"sync"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/tracking"
)

const (
	batchPrefix = `{"batch":[`
	batchSuffix = `]}`

	// maxBody bounds a request in bytes. The API's limit is 1 MB.
	maxBody = 950_000
	// minBody is what it shrinks to: one event always fits.
	minBody = event.MaxBytes + len(batchPrefix) + len(batchSuffix)
)

// appendBatch appends the request's body. Each event is stamped with now as its
// sentAt.
func appendBatch(dst []byte, batch []entry, now time.Time) []byte {
	sentAt := event.AppendSentAt(make([]byte, 0, 64), now)
	dst = append(dst, batchPrefix...)
	for i := range batch {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = batch[i].event().AppendSent(dst, sentAt)
	}
	return append(dst, batchSuffix...)
}

// sentBytes is what an event takes in a body, with its comma.
func sentBytes(e *entry) int { return e.event().SentBytes() + 1 }

// batchSize is how many bytes a destination is sent in one request: as many as
// its receiver, and the way to it, have been found to take.
type batchSize struct {
	mu    sync.Mutex
	limit int // known from refusals
	bytes int // halved by timeouts, grows again
}

// reset forgets what was found out.
func (s *batchSize) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit, s.bytes = maxBody, maxBody
}

func (s *batchSize) now() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}

// refused notes that so many bytes were too many, and returns the new limit and
// whether it is news.
func (s *batchSize) refused(sent int) (limit int, news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit = max(sent/2, minBody)
	news = limit < s.limit
	s.limit = min(s.limit, limit)
	s.bytes = min(s.bytes, s.limit)
	return s.limit, news
}

// timedOut notes that so many bytes took too long.
func (s *batchSize) timedOut(sent int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes = min(s.bytes, max(sent/2, minBody))
}

// accepted notes how long so many bytes took. It grows where a larger request
// would be far from a timeout too.
func (s *batchSize) accepted(sent int, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case sent < s.bytes/2:
	case took < tracking.Timeout/4:
		s.bytes = min(2*s.bytes, s.limit)
	case took < tracking.Timeout/2:
		s.bytes = min(s.bytes+s.bytes/4, s.limit)
	}
}
