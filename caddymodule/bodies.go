package caddymodule

import (
	"sync"

	"github.com/intilery/caddy-intilery/collect"
)

const (
	// bodyMemory bounds the memory of all bodies that are being read or taken, in
	// bytes.
	bodyMemory = 64 << 20
	// bodyShare is how much of it clients of one network may have: enough for the
	// greatest body, as it comes and inflated.
	bodyShare = 17 << 20
)

// bodies bounds the memory of requests with events, so that no client can keep the
// others out.
type bodies struct {
	mu   sync.Mutex
	used int64
	by   map[sender]int64
}

func newBodies() *bodies { return &bodies{by: make(map[sender]int64)} }

// of is the memory of a sender.
func (b *bodies) of(s sender) collect.Memory { return share{b, s, bodyShare} }

// all is the memory of senders who are trusted with all of it.
func (b *bodies) all() collect.Memory { return share{b, sender{}, bodyMemory} }

// share is what one sender may have of the memory.
type share struct {
	*bodies
	sender sender
	most   int64
}

func (s share) TryAcquire(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used+n > bodyMemory || s.by[s.sender]+n > s.most {
		return false
	}
	s.used += n
	s.by[s.sender] += n
	return true
}

func (s share) Release(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used -= n
	if s.by[s.sender] -= n; s.by[s.sender] <= 0 {
		delete(s.by, s.sender)
	}
}
