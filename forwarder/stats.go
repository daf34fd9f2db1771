package forwarder

import (
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/intilery/caddy-intilery/forwarder/deadletter"
	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/fleet"
	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// The causes of loss outside of the log. Those of the log itself are in
// Stats.Log.
const (
	LostTooLarge   queue.LossCause = "too_large"  // over event.MaxBytes
	LostInvalid    queue.LossCause = "invalid"    // refused by event.Event.Validate or by the log
	LostClosed     queue.LossCause = "closed"     // captured after Close began
	LostUnreadable queue.LossCause = "unreadable" // in the log, but not an event, or one that cannot be encrypted
	LostUnknown    queue.LossCause = "unknown_destination"
	LostBroker     queue.LossCause = "broker" // in a fleet: lost by the broker when the node had let it go
)

// ByType holds a count for each type of event; that of pages includes screens.
type ByType struct{ Page, Track, Identify uint64 }

func (b *ByType) add(class queue.Class, events uint64) {
	switch event.OfClass(class) {
	case event.Identify:
		b.Identify += events
	case event.Track:
		b.Track += events
	default:
		b.Page += events
	}
}

// Sum is the count over all types.
func (b ByType) Sum() uint64 { return b.Page + b.Track + b.Identify }

// Stats is a snapshot. Counters never fall; they survive reloads, and begin at
// zero with the process, or with a destination.
//
// Once nothing is captured or sent at the moment, over all destinations:
//
//	captured + backlog at the start = acknowledged + dead-lettered + shed + lost + erased + pending
//
// where shed is that of the log (it may evict a captured event for one that is
// worth more), and lost and erased are those of the destinations and of the log.
//
// A node of a fleet sends other events than it captures, so two sums take that one's
// place. For each node, over all destinations:
//
//	captured + backlog at the start + taken back = handed over + shed + lost + erased + pending
//
// where taken back and handed over are those of Fleet.Account, erased its Erased and
// those of the log, and lost its Dropped, LostTooLarge, LostInvalid and LostClosed of
// the destinations, Unknown, and those of the log. Over all nodes of the fleet, what is
// handed over ends acknowledged, dead-lettered, erased, lost (Fleet.LostBroker,
// LostExpired, LostDamaged) or taken back. Erased are those here that owners pass over;
// what an erasure removes from a stream itself is in no count.
type Stats struct {
	// Destinations has those in force, and those that are not any more until a
	// minute later, or until they have nothing pending.
	Destinations map[string]DestinationStats
	// Unknown counts events for destinations that no configuration had, or whose
	// configuration never came: lost, by LostUnknown.
	Unknown uint64
	// DeadLetters of a node of a fleet are the whole fleet's and those in its own files.
	DeadLetters deadletter.Stats
	// Log is the log's own account, for all destinations together. In a fleet, events
	// that are handed over and kept for a while are left out of Pending and Oldest.
	Log queue.Stats
	// Fleet is what this node sees of its fleet; nil without one.
	Fleet *fleet.Stats
}

// DestinationStats is the account of one destination.
type DestinationStats struct {
	// Captured counts all events offered to Capture, refused ones included, and
	// dead letters that were replayed. Erased counts those in the log, or in the
	// streams of lanes that this node owns, that were not sent because their visitor
	// was erased.
	Captured, Acknowledged, DeadLettered, Erased ByType
	// Shed counts events that Capture refused for want of memory. They are part
	// of the log's shed events.
	Shed ByType
	Lost map[queue.LossCause]uint64
	// Requests counts attempts by HTTP status, 0 when no answer came, and
	// RequestDurations tells how long they took.
	Requests         map[int]uint64
	RequestDurations queue.Histogram
	// Pending is the number of events in the log, on disk, that have not ended, in a
	// fleet those that are not handed over, and Lanes has them by lane.
	Pending uint64
	Lanes   [lanes]uint64
	// DrainETA is how long the pending events take at the present rate of
	// delivery; 0 when there are none, negative when that cannot be told because
	// nothing was delivered in the last seconds. In a fleet it is that of the streams
	// of the lanes that this node owns.
	DrainETA time.Duration
	// OldestPending is the timestamp of the oldest event that waits to be sent,
	// as far as the lanes have been read; zero when none waits.
	OldestPending time.Time
	// Sending is false when the settings in force do not name the destination.
	Sending bool
	// Paused is why nothing is sent, PausedSince since when, and NextTry when it
	// is tried again.
	Paused               Pause
	PausedSince, NextTry time.Time
	// Rate is the allowed number of requests per second at present, and BatchBytes
	// the size in bytes of the largest request.
	Rate       float64
	BatchBytes int
}

// Stats returns a snapshot of all counters and gauges.
func (f *Forwarder) Stats() Stats {
	s := Stats{Unknown: f.unknown.Load()}
	sh, err := f.begun()
	if errors.Is(err, ErrNotStarted) {
		return s
	}
	s.Log, s.DeadLetters = sh.queue.Stats(), sh.letters.Stats()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.retireLocked(s.Log.Pending)
	}
	if sh.fleet != nil {
		fl := sh.fleet.Stats(s.Log.Pending)
		s.Fleet = &fl
		s.Log.Pending, s.Log.Oldest = fl.Backlog, fl.Lag(time.Now())
	}
	known := *f.destinations.Load()
	s.Destinations = make(map[string]DestinationStats, len(known))
	for name, d := range known {
		ds := d.stats(s.Log.Pending, s.Fleet)
		ds.Sending = d.stop != nil && !f.closed
		s.Destinations[name] = ds
	}
	return s
}

// stats returns a destination's account. Pending is the log's; fl is nil without a
// fleet.
func (d *destination) stats(pending map[string]uint64, fl *fleet.Stats) DestinationStats {
	c := &d.counts
	s := DestinationStats{
		Captured: c.captured.byType(), Acknowledged: c.acknowledged.byType(), DeadLettered: c.deadLettered.byType(),
		Erased: c.erased.byType(), Shed: c.shed.byType(), Lost: make(map[queue.LossCause]uint64),
		Rate: d.limiter.perSecond(), BatchBytes: d.size.now(),
	}
	for cause, n := range map[queue.LossCause]*atomic.Uint64{
		LostTooLarge: &c.tooLarge, LostInvalid: &c.invalid, LostClosed: &c.closed, LostUnreadable: &c.unreadable,
	} {
		if n := n.Load(); n > 0 {
			s.Lost[cause] = n
		}
	}
	waiting := pending // for delivery
	if fl != nil {
		s.addFleet(fl.Destinations[d.name])
		waiting = fl.Streams
	}
	s.Requests, s.RequestDurations = c.readRequests()
	var toSend uint64
	d.mu.RLock()
	defer d.mu.RUnlock()
	for n, w := range d.workers {
		s.Lanes[n] = pending[laneName(d.name, n)]
		s.Pending += s.Lanes[n]
		if fl == nil || w != nil {
			toSend += waiting[laneName(d.name, n)]
		}
		if w == nil {
			continue
		}
		if ms := w.in.oldest.Load(); ms != 0 {
			if t := time.UnixMilli(ms); s.OldestPending.IsZero() || t.Before(s.OldestPending) {
				s.OldestPending = t
			}
		}
	}
	if toSend > 0 {
		s.DrainETA = -1
		if perSecond := d.throughput.rate(); perSecond > 0 {
			s.DrainETA = time.Duration(float64(toSend) / perSecond * float64(time.Second))
		}
	}
	s.Paused, s.PausedSince, s.NextTry = d.breaker.state()
	return s
}

// addFleet adds what came to its end on the way to the fleet's streams and in them.
func (s *DestinationStats) addFleet(a fleet.Account) {
	for class, n := range a.Erased {
		s.Erased.add(queue.Class(class), n)
	}
	for cause, n := range map[queue.LossCause]uint64{
		LostUnreadable: a.Dropped, LostBroker: a.LostBroker, queue.LostExpired: a.LostExpired, queue.LostCorrupt: a.LostDamaged,
	} {
		if n > 0 {
			s.Lost[cause] += n
		}
	}
}

// byClass is a counter for each class of events.
type byClass [queue.Classes]atomic.Uint64

func (c *byClass) byType() ByType {
	var n ByType
	for class := range c {
		n.add(queue.Class(class), c[class].Load())
	}
	return n
}

// counts are the counters of one destination.
type counts struct {
	captured, acknowledged, deadLettered, shed, erased byClass
	tooLarge, invalid, closed, unreadable              atomic.Uint64 // lost

	mu       sync.Mutex
	requests map[int]uint64
	took     prometheus.Histogram // of requests; nil before the first
}

// refuse counts an event that is not taken for an error, which it returns.
func (c *counts) refuse(class queue.Class, err error) error {
	c.captured[class].Add(1)
	switch {
	case errors.Is(err, event.ErrTooLarge):
		c.tooLarge.Add(1)
	default:
		c.invalid.Add(1)
	}
	return err
}

// request counts an attempt.
func (c *counts) request(status int, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.requests == nil {
		c.requests, c.took = make(map[int]uint64), queue.NewHistogram()
	}
	c.requests[status]++
	c.took.Observe(took.Seconds())
}

func (c *counts) readRequests() (map[int]uint64, queue.Histogram) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.requests == nil {
		return nil, queue.Histogram{}
	}
	return maps.Clone(c.requests), queue.ReadHistogram(c.took)
}
