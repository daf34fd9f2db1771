package operatorpage

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/event"
)

// Bounds of the events that are kept to be looked at.
const (
	maxCaptures     = 50
	maxCaptureBytes = 256 << 10 // of all events together
	captureLife     = 15 * time.Minute
)

// Captures holds the events that were captured last, to be looked at. An event is
// forgotten when its visitor is erased or withdraws consent, after captureLife, and
// when younger ones need its place. The zero value is ready. It implements
// forwarder.Observer.
type Captures struct {
	mu     sync.Mutex
	list   [maxCaptures]capture // a ring
	oldest int
	count  int // with those that are forgotten
	bytes  int // of the events that are not
	lastID uint64

	born     int64  // when the first event came, in ns since 1970
	erasures uint64 // of visitors, whether or not anything was kept of them
}

// capture is an event; stored is nil when it is forgotten.
type capture struct {
	id          uint64
	at          time.Time
	destination string
	source      event.Source
	visitor     event.Visitor
	stored      event.Stored
}

// Capture is an event as it is listed. The event itself, which names the visitor, is
// there only if it was asked for.
type Capture struct {
	ID          uint64          `json:"id"` // higher ones are later
	Time        time.Time       `json:"time"`
	Destination string          `json:"destination"`
	Source      string          `json:"source"` // app, or collect for the endpoint's public senders
	Type        string          `json:"type"`
	Name        string          `json:"name,omitempty"` // of a track
	Bytes       int             `json:"bytes"`
	Event       json.RawMessage `json:"event,omitempty"`
}

// Captured implements forwarder.Observer. It keeps the stored event itself, not a
// copy.
func (c *Captures) Captured(destination string, e *event.Event, stored event.Stored) {
	entry := capture{
		at: time.Now(), destination: destination, source: e.Source,
		visitor: event.VisitorOf(e.AnonymousID, e.UserID), stored: stored,
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.born == 0 {
		c.born = entry.at.UnixNano()
	}
	c.lastID++
	entry.id = c.lastID
	for c.count == maxCaptures || c.count > 0 && c.bytes+cap(stored) > maxCaptureBytes {
		c.dropOldestLocked()
	}
	c.list[(c.oldest+c.count)%maxCaptures] = entry
	c.count++
	c.bytes += cap(stored)
}

func (c *Captures) dropOldestLocked() {
	c.forgetLocked(&c.list[c.oldest])
	c.oldest = (c.oldest + 1) % maxCaptures
	c.count--
}

func (c *Captures) forgetLocked(entry *capture) {
	c.bytes -= cap(entry.stored)
	*entry = capture{id: entry.id}
}

// Drop forgets the events of a visitor, by its anonymousId. It is cheap enough for a
// request's path.
func (c *Captures) Drop(anonymousID string) {
	of := event.VisitorOf(anonymousID, "")[0]
	c.mu.Lock()
	defer c.mu.Unlock()
	c.erasures++
	for i := range c.list {
		if entry := &c.list[i]; entry.stored != nil && entry.visitor[0] == of {
			c.forgetLocked(entry)
		}
	}
}

// Erased implements forwarder.Observer.
func (c *Captures) Erased(is func(anonymousID, userID string) bool) {
	gone := make(map[uint64]bool)
	for _, entry := range c.snapshot() {
		if is(entry.stored.IDs()) {
			gone[entry.id] = true
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.erasures++
	if len(gone) == 0 {
		return
	}
	for i := range c.list {
		if entry := &c.list[i]; entry.stored != nil && gone[entry.id] {
			c.forgetLocked(entry)
		}
	}
}

// Expire forgets the events that have been kept for long enough.
func (c *Captures) Expire(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.count > 0 {
		if entry := &c.list[c.oldest]; entry.stored != nil && now.Sub(entry.at) < captureLife {
			return
		}
		c.dropOldestLocked()
	}
}

// snapshot returns the events that are kept, the oldest first.
func (c *Captures) snapshot() (list []capture) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.count {
		if entry := c.list[(c.oldest+i)%maxCaptures]; entry.stored != nil {
			list = append(list, entry)
		}
	}
	return list
}

// Mark returns what is another text once a visitor was erased. While it stays, a page
// may go on showing an event that has only made room for younger ones. To be read
// before List.
func (c *Captures) Mark() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("%x-%x", c.born, c.erasures)
}

// List returns the events that are kept, the latest first. withEvent says which of
// them come with the event itself, by their ID.
func (c *Captures) List(withEvent func(id uint64) bool) []Capture {
	kept := c.snapshot()
	list := make([]Capture, 0, len(kept))
	for i := len(kept) - 1; i >= 0; i-- {
		entry := &kept[i]
		listed := Capture{
			ID: entry.id, Time: entry.at.UTC().Truncate(time.Millisecond), Destination: entry.destination,
			Source: sourceName(entry.source), Type: entry.stored.Type().String(), Bytes: len(entry.stored),
		}
		if listed.Type == event.Track.String() {
			listed.Name = entry.stored.Name()
		}
		if withEvent(entry.id) {
			listed.Event = json.RawMessage(entry.stored)
		}
		list = append(list, listed)
	}
	return list
}

func sourceName(s event.Source) string {
	if s == event.Collected {
		return "collect"
	}
	return "app"
}
