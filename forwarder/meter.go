package forwarder

import (
	"sync"
	"sync/atomic"
	"time"
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

// DurationBounds are the upper bounds of the buckets of Durations.
var DurationBounds = [...]time.Duration{
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond,
	250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
}

// Durations is a histogram. Buckets are cumulative, one for each of
// DurationBounds.
type Durations struct {
	Buckets [len(DurationBounds)]uint64
	Count   uint64
	Sum     time.Duration
}

// durations collects a histogram.
type durations struct {
	buckets [len(DurationBounds) + 1]atomic.Uint64 // not cumulative
	sum     atomic.Int64
}

func (h *durations) observe(d time.Duration) {
	i := 0
	for i < len(DurationBounds) && d > DurationBounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.sum.Add(int64(d))
}

func (h *durations) read() (d Durations) {
	for i := range h.buckets {
		d.Count += h.buckets[i].Load()
		if i < len(d.Buckets) {
			d.Buckets[i] = d.Count
		}
	}
	d.Sum = time.Duration(h.sum.Load())
	return d
}
