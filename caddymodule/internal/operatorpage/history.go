package operatorpage

import (
	"sync"
	"time"
)

const (
	// SampleEvery is the time between two samples.
	SampleEvery = 5 * time.Second

	maxSamples = int(15 * time.Minute / SampleEvery)
)

// Sample is a queue at one moment. Counts run from the start of the process, over
// all destinations; they fall when a destination goes.
type Sample struct {
	Time          int64    `json:"time"` // in ms since 1970
	Pending       uint64   `json:"pending"`
	OldestSeconds float64  `json:"oldest_seconds"`
	Captured      uint64   `json:"captured"`
	Acknowledged  uint64   `json:"acknowledged"`
	DeadLettered  uint64   `json:"dead_lettered"`
	Lost          uint64   `json:"lost"` // with those that were shed
	FreeBytes     int64    `json:"free_bytes"`
	DrainSeconds  *float64 `json:"drain_seconds,omitempty"` // absent when it cannot be told
}

// History holds the samples of the last 15 minutes, one every SampleEvery from Start
// to Stop. The zero value is ready.
type History struct {
	mu      sync.Mutex
	samples []Sample // the oldest first
	stop    chan struct{}
	over    bool
}

// Start takes samples by calling take, unless it does already or Stop was called.
func (h *History) Start(take func(now time.Time) Sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stop != nil || h.over {
		return
	}
	h.stop = make(chan struct{})
	go h.run(take, h.stop)
}

func (h *History) run(take func(now time.Time) Sample, stop <-chan struct{}) {
	tick := time.NewTicker(SampleEvery)
	defer tick.Stop()
	for now := time.Now(); ; {
		s := take(now)
		s.Time = now.UnixMilli()
		h.add(s)
		select {
		case now = <-tick.C:
		case <-stop:
			return
		}
	}
}

func (h *History) add(s Sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.samples) == maxSamples {
		copy(h.samples, h.samples[1:])
		h.samples = h.samples[:maxSamples-1]
	}
	h.samples = append(h.samples, s)
}

// Stop ends it, for good. It does not wait for a sample that is being taken.
func (h *History) Stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stop != nil && !h.over {
		close(h.stop)
	}
	h.over = true
}

// Since returns the samples after a time in ms since 1970, the oldest first.
func (h *History) Since(ms int64) []Sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]Sample, 0, len(h.samples))
	for _, s := range h.samples {
		if s.Time > ms {
			list = append(list, s)
		}
	}
	return list
}
