package deadletter

import (
	"hash/maphash"
	"maps"
)

// PurgeVisitor removes the letters with an anonymousId for good and returns how
// many. It reads the files only if there may be some: the first time, after the
// older half has made room, and when the store knows of one. Errors as of Purge.
func (s *Store) PurgeVisitor(anonymousID string) (int, error) {
	s.purging.Lock()
	defer s.purging.Unlock()
	id := maphash.String(s.seed, anonymousID)
	s.mu.Lock()
	if _, ok := s.visitors[id]; !ok && s.visitors != nil {
		s.mu.Unlock()
		return 0, nil
	}
	s.visitors = make(map[uint64]struct{}) // Add puts in whom it has a letter of from here on
	s.mu.Unlock()

	others := make(map[uint64]struct{})
	gone := make(map[ID]bool)
	n := 0
	_, err := s.each(func(l *Letter) bool {
		a, _ := l.Event.IDs()
		if a != anonymousID {
			others[maphash.String(s.seed, a)] = struct{}{}
		}
		return a == anonymousID
	}, func(id ID, _ *Letter) error {
		gone[id] = true
		return nil
	})
	if err == nil {
		n, err = s.Remove(gone)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		s.visitors = nil
	case s.visitors != nil:
		maps.Copy(s.visitors, others)
	}
	return n, err
}
