package caddymodule

import (
	"maps"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// tally counts what has come to the endpoint and the relay of one queue since the
// process began. The metrics have the same by server.
type tally struct {
	mu     sync.Mutex
	counts collectedStatus
}

// collectedStatus is what has come to the collection endpoint and the relay.
type collectedStatus struct {
	Events  map[string]uint64 `json:"events"`  // by outcome
	Refused map[string]uint64 `json:"refused"` // requests, by code
}

func newTally() *tally {
	return &tally{counts: collectedStatus{Events: make(map[string]uint64), Refused: make(map[string]uint64)}}
}

// events counts n events of an outcome, in the metric too.
func (t *tally) events(metric *prometheus.CounterVec, outcome string, n int) {
	if n <= 0 {
		return
	}
	metric.WithLabelValues(outcome).Add(float64(n))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.Events[outcome] += uint64(n)
}

// refused counts a request that was refused, in the metric too.
func (t *tally) refused(metric *prometheus.CounterVec, code string) {
	metric.WithLabelValues(code).Inc()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.Refused[code]++
}

func (t *tally) status() collectedStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	return collectedStatus{maps.Clone(t.counts.Events), maps.Clone(t.counts.Refused)}
}
