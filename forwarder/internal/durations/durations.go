// Package durations is a histogram of how long something took, cheap enough to
// be kept always: two atomic additions an observation.
package durations

import (
	"sync/atomic"
	"time"
)

// Bounds are the upper bounds of the buckets.
var Bounds = [...]time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second,
	2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
}

// Snapshot is a histogram at one time. Buckets are cumulative, one for each of
// Bounds.
type Snapshot struct {
	Buckets [len(Bounds)]uint64
	Count   uint64
	Sum     time.Duration
}

// Add returns the sum of two snapshots.
func (s Snapshot) Add(t Snapshot) Snapshot {
	for i, n := range t.Buckets {
		s.Buckets[i] += n
	}
	s.Count += t.Count
	s.Sum += t.Sum
	return s
}

// Histogram collects durations. The zero value is ready to use.
type Histogram struct {
	buckets [len(Bounds) + 1]atomic.Uint64 // not cumulative
	sum     atomic.Int64
}

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) {
	i := 0
	for i < len(Bounds) && d > Bounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.sum.Add(int64(d))
}

// Read returns what was counted so far.
func (h *Histogram) Read() (s Snapshot) {
	for i := range h.buckets {
		s.Count += h.buckets[i].Load()
		if i < len(s.Buckets) {
			s.Buckets[i] = s.Count
		}
	}
	s.Sum = time.Duration(h.sum.Load())
	return s
}
