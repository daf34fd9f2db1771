package forwarder

import (
	"time"

	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// patience is how long an event may fail alone before it is dead-lettered.
const patience = 15 * time.Minute

// suspect is the first event of a batch that fails. A batch that fails while the
// destination's other lanes succeed holds an event that the receiver cannot deal
// with: it is divided until that event is alone. When they fail as well, it is the
// receiver's fault, and nothing is held against the batch.
type suspect struct {
	first queue.Position
	at    time.Time     // of its last failure
	alone time.Duration // how long it has failed while others did not
	tally tally         // the destination's up to then
}

// failed notes a failure of the batch that begins at first. It reports whether it
// failed alone: since its failure before, more of the other attempts succeeded
// than failed.
func (s *suspect) failed(first queue.Position, now tally) (alone bool) {
	at := time.Now()
	if s.first == first {
		accepted, unavailable := now.accepted-s.tally.accepted, now.unavailable-s.tally.unavailable-1
		if alone = accepted > unavailable; alone {
			s.alone += at.Sub(s.at)
		}
	} else {
		*s = suspect{first: first}
	}
	s.at, s.tally = at, now
	return alone
}
