package forwarder

import (
	"sync"
	"time"
)

// throughputSpan is over how long the rate of delivery is taken.
const throughputSpan = 10 * time.Second

// throughput measures how many events a second are acknowledged, over the last one
// to two windows.
type throughput struct {
	mu       sync.Mutex
	began    time.Time // of the present window
	now      int       // in the present window
	previous int       // in the one before
}

func (m *throughput) add(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(time.Now())
	m.now += n
}

// rate is in events per second; 0 when nothing was acknowledged lately.
func (m *throughput) rate() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.turn(now)
	span := now.Sub(m.began)
	if m.previous > 0 {
		span += throughputSpan
	}
	if span < time.Second {
		span = time.Second
	}
	return float64(m.now+m.previous) / span.Seconds()
}

// turn begins a new window when it is time.
func (m *throughput) turn(now time.Time) {
	switch age := now.Sub(m.began); {
	case age < throughputSpan:
	case age < 2*throughputSpan:
		m.previous, m.now = m.now, 0
		m.began = m.began.Add(throughputSpan)
	default:
		m.previous, m.now = 0, 0
		m.began = now
	}
}
