package forwarder

import (
	"sync"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/internal/durations"
)

// meterWindow is over how long the rate of delivery is taken.
const meterWindow = 10 * time.Second

// meter measures how many events a second are acknowledged, over the last one
// to two windows.
type meter struct {
	mu       sync.Mutex
	began    time.Time // of the present window
	now      int       // in the present window
	previous int       // in the one before
}

func (m *meter) add(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(time.Now())
	m.now += n
}

// rate is in events per second; 0 when nothing was acknowledged lately.
func (m *meter) rate() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.turn(now)
	span := now.Sub(m.began)
	if m.previous > 0 {
		span += meterWindow
	}
	if span < time.Second {
		span = time.Second
	}
	return float64(m.now+m.previous) / span.Seconds()
}

// turn begins a new window when it is time.
func (m *meter) turn(now time.Time) {
	switch age := now.Sub(m.began); {
	case age < meterWindow:
	case age < 2*meterWindow:
		m.previous, m.now = m.now, 0
		m.began = m.began.Add(meterWindow)
	default:
		m.previous, m.now = 0, 0
		m.began = now
	}
}

// Durations is a histogram of how long something took.
type Durations = durations.Snapshot

// DurationBounds are the upper bounds of the buckets of Durations.
var DurationBounds = durations.Bounds
