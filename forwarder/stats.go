package forwarder

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/internal/durations"
	"github.com/intilery/caddy-intilery/forwarder/wal"
)

// LossCause says why an event is lost that the log never had, or could not use.
type LossCause string

// The causes of loss outside of the log. Those of the log itself are in
// Stats.Log.
const (
	LostTooLarge   LossCause = "too_large"  // over MaxEventBytes
	LostInvalid    LossCause = "invalid"    // refused by Event.Validate or by the log
	LostClosed     LossCause = "closed"     // captured after Close began
	LostUnreadable LossCause = "unreadable" // in the log, but not an event
)

var lossCauses = [...]LossCause{LostTooLarge, LostInvalid, LostClosed, LostUnreadable}

// ByType holds a count for each type of event.
type ByType struct{ Page, Track, Identify uint64 }

// Sum is the count over all types.
func (b ByType) Sum() uint64 { return b.Page + b.Track + b.Identify }

// Stats is a snapshot. Counters begin at zero with the process and never fall;
// they survive reloads.
//
// Once nothing is captured or sent at the moment, over all destinations:
//
//	captured + backlog at the start = acknowledged + dead-lettered + shed + lost + erased + pending
//
// where shed is that of the log (it may evict a captured event for one that is
// worth more), and lost and erased are those of the destinations and of the log.
type Stats struct {
	// Destinations has all that were configured since the process began.
	Destinations map[string]DestinationStats
	// UnknownDestination counts events for destinations that no configuration
	// had, or whose configuration never came.
	UnknownDestination uint64
	DeadLetters        DeadLetterStats
	// Log is the log's own account, for all destinations together.
	Log wal.Stats
}

// DestinationStats is the account of one destination.
type DestinationStats struct {
	// Captured counts all events offered to Capture, refused ones included, and
	// dead letters that were replayed. Erased counts those in the log that were
	// not sent because their visitor was erased.
	Captured, Acknowledged, DeadLettered, Erased ByType
	// Shed counts events that Capture refused for want of memory. They are part
	// of the log's shed events.
	Shed ByType
	Lost map[LossCause]uint64
	// Requests counts attempts by HTTP status, 0 when no answer came.
	Requests map[int]uint64
	// Pending is the number of events in the log, on disk, that are not yet
	// acknowledged.
	Pending uint64
	// Lanes has what is pending by lane.
	Lanes [lanesPerDestination]uint64
	// DrainETA is how long the pending events take at the present rate of
	// delivery; 0 when there are none, negative when that cannot be told because
	// nothing was delivered in the last seconds.
	DrainETA time.Duration
	// RequestDurations tells how long attempts took.
	RequestDurations Durations
	// OldestPending is the timestamp of the oldest event that waits to be sent,
	// as far as the lanes have read; zero when none waits.
	OldestPending time.Time
	// Sending is false when the settings in force do not name the destination.
	Sending bool
	// Paused is why nothing is sent, PausedSince since when, and NextTry when it
	// is tried again.
	Paused               Pause
	PausedSince, NextTry time.Time
	// Rate is the allowed number of requests per second at present, and
	// ThrottledUntil the end of the pause that the receiver asked for.
	Rate           float64
	ThrottledUntil time.Time
	// BodyLimit is the largest request in bytes that is sent at present.
	BodyLimit int64
}

// Stats returns a snapshot of all counters and gauges.
func (f *Forwarder) Stats() Stats {
	f.mu.Lock()
	queue, letters := f.queue, f.letters
	known := *f.destinations.Load()
	sending := make(map[string]bool, len(known))
	for name, d := range known {
		sending[name] = d.stop != nil && !f.closed
	}
	f.mu.Unlock()
	s := Stats{
		Destinations:       make(map[string]DestinationStats, len(known)),
		UnknownDestination: f.unknown.Load(),
	}
	if queue == nil {
		return s
	}
	s.Log = queue.Stats()
	s.DeadLetters = letters.stats()
	for name, d := range known {
		ds := d.stats(s.Log.Lanes)
		ds.Sending = sending[name]
		s.Destinations[name] = ds
	}
	return s
}

func (d *destination) stats(lanes map[string]wal.LaneStats) DestinationStats {
	s := DestinationStats{
		Captured:     byType(&d.counts.captured),
		Acknowledged: byType(&d.counts.acknowledged),
		DeadLettered: byType(&d.counts.deadLettered),
		Erased:       byType(&d.counts.erased),
		Shed:         byType(&d.counts.shed),
		Lost:         make(map[LossCause]uint64),
		Requests:     d.counts.requestsByStatus(),
		BodyLimit:    d.body.Load(),
	}
	for i, cause := range lossCauses {
		if n := d.counts.lost[i].Load(); n > 0 {
			s.Lost[cause] = n
		}
	}
	s.RequestDurations = d.counts.took.Read()
	for i, l := range d.lanes {
		if st := lanes[l.name]; st.Committed > st.Acked {
			s.Lanes[i] = st.Committed - st.Acked
			s.Pending += s.Lanes[i]
		}
		if t := l.front.time(); !t.IsZero() && (s.OldestPending.IsZero() || t.Before(s.OldestPending)) {
			s.OldestPending = t
		}
	}
	if s.Pending > 0 {
		if rate := d.counts.rate.rate(); rate > 0 {
			s.DrainETA = time.Duration(float64(s.Pending) / rate * float64(time.Second))
		} else {
			s.DrainETA = -1
		}
	}
	s.Paused, s.PausedSince, s.NextTry = d.gate.state()
	s.Rate, s.ThrottledUntil = d.limiter.state()
	return s
}

// counts are the counters of one destination. Arrays are indexed by class.
type counts struct {
	captured, acknowledged, deadLettered, shed, erased [types]atomic.Uint64
	lost                                               [len(lossCauses)]atomic.Uint64

	took durations.Histogram // attempts
	rate meter               // of events that were acknowledged

	mu       sync.Mutex
	requests map[int]uint64
}

func (c *counts) lose(cause LossCause) {
	for i := range lossCauses {
		if lossCauses[i] == cause {
			c.lost[i].Add(1)
		}
	}
}

func (c *counts) request(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.requests == nil {
		c.requests = make(map[int]uint64)
	}
	c.requests[status]++
}

func (c *counts) requestsByStatus() map[int]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.requests)
}

func byType(c *[types]atomic.Uint64) ByType {
	return ByType{Page: c[0].Load(), Track: c[1].Load(), Identify: c[2].Load()}
}

// typeOf is the type that a class stands for.
func typeOf(class uint8) Type { return Type(class + 1) }

// frontier is the time of the event that a lane deals with next, in Unix
// milliseconds; 0 when there is none.
type frontier struct{ at atomic.Int64 }

func (f *frontier) set(event []byte) {
	t, err := time.Parse(timeLayout, string(event[len(timestampPrefix):len(timestampPrefix)+len(timeLayout)]))
	if err == nil {
		f.at.Store(t.UnixMilli())
	}
}

func (f *frontier) clear() { f.at.Store(0) }

func (f *frontier) time() time.Time {
	if ms := f.at.Load(); ms != 0 {
		return time.UnixMilli(ms)
	}
	return time.Time{}
}
