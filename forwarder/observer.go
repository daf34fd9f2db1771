package forwarder

import "github.com/intilery/caddy-intilery/forwarder/event"

// Observer sees events on their way into the queue, for somebody who looks at what
// is captured. It must not wait.
type Observer interface {
	// Captured is called with each valid event that is offered, before the queue
	// has it, and whether or not the queue takes it. Neither may be changed, and only
	// stored be kept.
	Captured(destination string, e *event.Event, stored event.Stored)
	// Erased is called when visitors are erased: what is kept of an event with such
	// IDs is to be forgotten. It comes after the queue has let go of them, so that
	// each event that was erased has been through Captured.
	Erased(is func(anonymousID, userID string) bool)
}

// Observe sets who sees the events, before the first of them.
func (f *Forwarder) Observe(o Observer) { f.shared.observer = o }

func (s *shared) observe(destination string, e *event.Event, stored event.Stored) {
	if s.observer != nil {
		s.observer.Captured(destination, e, stored)
	}
}

func (s *shared) forget(is func(anonymousID, userID string) bool) {
	if s.observer != nil {
		s.observer.Erased(is)
	}
}
