package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"
)

// session is this node's membership of the fleet: a key that goes when it is not
// renewed. What the node owns it owns until deadline, which is counted from when
// the renewal was sent: the broker counts from later on.
type session struct {
	b     broker
	node  string
	log   uint64 // of the node's log
	lease time.Duration
	lost  func() // called when the deadline has passed

	mu       sync.Mutex
	id       string // empty while there is none
	revision uint64
	beat     uint64
	applied  uint64
	deadline time.Time
	timer    *time.Timer
}

// current returns the session's ID; empty while there is none.
func (s *session) current() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

// unapply says that it is not known any more which erasures are applied: they are told
// anew, maybe by a broker that was set back.
func (s *session) unapply() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applied = 0
}

// apply notes up to which revision erasures are applied, for the next renewal.
func (s *session) apply(revision uint64) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	news = revision > s.applied
	s.applied = max(s.applied, revision)
	return news
}

// renew makes the session, or renews it. It is called by one goroutine. An error
// says why it has not succeeded; the session counts until its deadline.
func (s *session) renew(ctx context.Context) error {
	err := s.write(ctx)
	if errors.Is(err, errEarlier) {
		err = s.write(ctx)
	}
	return err
}

// errEarlier: the key has an earlier renewal whose answer was lost; its revision is
// known now.
var errEarlier = errors.New("an earlier renewal succeeded, but its answer was lost")

func (s *session) write(ctx context.Context) error {
	s.mu.Lock()
	id, revision := s.id, s.revision
	if id == "" {
		id, revision = uuid.NewString(), 0
	}
	s.beat++
	value := sessionValue{Node: s.node, Session: id, Log: s.log, Beat: s.beat, Applied: s.applied}
	s.mu.Unlock()

	if revision == 0 {
		var err error
		if revision, err = s.vacant(ctx); err != nil {
			return err
		}
	}
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	sent := time.Now()
	now, err := s.b.Put(ctx, nodeKey(s.node), text, revision, s.lease)
	if errors.Is(err, errConflict) || errors.Is(err, errUnknown) {
		// The answer to this renewal, or to the one before, may have been lost.
		e, readErr := s.b.Get(ctx, nodeKey(s.node))
		var found sessionValue
		switch {
		case readErr != nil:
			return readErr
		case e.revision != 0 && json.Unmarshal(e.value, &found) == nil && found.Session == id:
			if found.Beat != value.Beat {
				s.mu.Lock()
				s.revision = e.revision
				s.mu.Unlock()
				return errEarlier
			}
			now, err = e.revision, nil
		case errors.Is(err, errConflict):
			s.end() // it has expired, or somebody has taken it
			return err
		}
	}
	if err != nil {
		return err
	}
	s.begin(id, now, sent.Add(s.lease))
	return nil
}

// vacant returns the revision over which a session can be made: that of no session,
// or of one that an earlier process left which had the same log, whose lock this
// process has.
func (s *session) vacant(ctx context.Context) (uint64, error) {
	e, err := s.b.Get(ctx, nodeKey(s.node))
	if err != nil || e.revision == 0 {
		return 0, err
	}
	var found sessionValue
	if json.Unmarshal(e.value, &found) != nil || found.Log == s.log {
		return e.revision, nil
	}
	return 0, errNameTaken
}

var errNameTaken = errors.New("another process uses this node's name; each node needs its own")

func (s *session) begin(id string, revision uint64, deadline time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id, s.revision, s.deadline = id, revision, deadline
	if s.timer != nil {
		s.timer.Stop()
	}
	s.timer = time.AfterFunc(time.Until(deadline), s.expire)
}

func (s *session) expire() {
	s.mu.Lock()
	late := s.id != "" && !time.Now().Before(s.deadline)
	s.mu.Unlock()
	if late {
		s.end()
	}
}

// end gives the session up.
func (s *session) end() {
	s.mu.Lock()
	had := s.id != ""
	s.id, s.revision = "", 0
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	if had {
		s.lost()
	}
}

// leave removes the key.
func (s *session) leave(ctx context.Context) error {
	s.mu.Lock()
	id, revision := s.id, s.revision
	s.mu.Unlock()
	if id == "" {
		return nil
	}
	err := s.b.Delete(ctx, nodeKey(s.node), revision)
	s.end()
	return err
}
