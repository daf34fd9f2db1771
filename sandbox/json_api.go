package sandbox

import "net/http"

// Events returns the kept events, oldest first.
func (s *Sandbox) Events() []Event { return s.store.events() }

// Profiles returns the profiles of the kept events, the most recently seen
// first.
func (s *Sandbox) Profiles() []Profile { return mergeProfiles(s.store.events()) }

// Stats returns the counters.
func (s *Sandbox) Stats() Stats { return s.store.snapshot() }

// Clear forgets events, profiles and counters. The fault and the token bucket
// stay.
func (s *Sandbox) Clear() { s.store.clear(s.now()) }

// serveEvents lists the kept events. Filters are exact; an empty one is none.
func (s *Sandbox) serveEvents(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	typ, user, anonymous := q.Get("type"), q.Get("userId"), q.Get("anonymousId")
	events := []Event{}
	for _, e := range s.Events() {
		if matches(typ, e.Type) && matches(user, e.UserID) && matches(anonymous, e.AnonymousID) {
			events = append(events, e)
		}
	}
	writeJSON(w, http.StatusOK, events)
}

func (s *Sandbox) clearEvents(w http.ResponseWriter, _ *http.Request) {
	s.Clear()
	w.WriteHeader(http.StatusNoContent)
}

func (s *Sandbox) serveProfiles(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.Profiles())
}

func (s *Sandbox) serveStats(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.Stats())
}
