//go:build linux

package main

import (
	"bytes"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// receiver is Intilery, as far as time is concerned, and the site's app.
type receiver struct {
	latency time.Duration
	refuse  atomic.Bool

	mu          sync.Mutex
	requests    int
	events      int
	bytes       int64
	first, last time.Time // arrival of requests that were accepted
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost {
		return // the site: 200
	}
	if r.refuse.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	arrived := time.Now()
	body, err := io.ReadAll(req.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.count(arrived, body)
	time.Sleep(time.Until(arrived.Add(r.latency)))
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"success":true,"eventId":"1"}`)
}

func (r *receiver) count(arrived time.Time, body []byte) {
	n := bytes.Count(body, []byte(`"messageId":`))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first.IsZero() {
		r.first = arrived
	}
	r.last = arrived
	r.requests++
	r.events += n
	r.bytes += int64(len(body))
}

func (r *receiver) received() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.events
}
