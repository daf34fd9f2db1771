package fleet

import (
	"errors"
	"sync"
	"time"
)

// tellAfter is how long something must fail before it is logged: a broker that
// elects another leader is back within seconds.
const tellAfter = 5 * time.Second

// trouble is what does not work at present. Each kind is logged when it has lasted
// for a moment, and when it is over.
type trouble struct {
	mu    sync.Mutex
	kinds map[string]*failing
}

type failing struct {
	since time.Time
	err   error
	lasts bool // for longer than a moment
	told  bool
	lanes map[string]bool // that fail, for hand-over
}

// tales are what is logged of each kind.
var tales = map[string]struct{ begins, ends string }{
	"watch":     {"this node cannot follow the fleet: it keeps its events and delivers nothing", "this node follows the fleet again"},
	"session":   {"this node cannot take part in the fleet: it keeps its events and delivers nothing", "this node takes part in the fleet again"},
	"lanes":     {"lanes cannot be taken: nobody delivers them", "lanes can be taken again"},
	"hand-over": {"events cannot be handed over to the fleet: they are kept in this node's log", "events are handed over to the fleet again"},
	"erase":     {"erasures of the fleet cannot be applied: nothing is handed over until they can", "erasures of the fleet are applied again"},
}

// trouble notes that something does not work, or that it does: then err is nil.
func (f *Fleet) trouble(kind string, err error) { f.troubles.note(f, kind, "", err) }

// handing notes how the hand-over of a lane goes.
func (f *Fleet) handing(lane string, err error) { f.troubles.note(f, "hand-over", lane, err) }

func (t *trouble) note(f *Fleet, kind, lane string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.kinds[kind]
	if err == nil {
		if now == nil {
			return
		}
		if delete(now.lanes, lane); len(now.lanes) > 0 {
			return
		}
		if now.told {
			f.log.Info(tales[kind].ends, "since", now.since)
		}
		delete(t.kinds, kind)
		return
	}
	if now == nil {
		if t.kinds == nil {
			t.kinds = make(map[string]*failing)
		}
		now = &failing{since: time.Now(), lanes: make(map[string]bool)}
		t.kinds[kind] = now
	}
	now.err = err
	now.lanes[lane] = true
	if time.Since(now.since) < tellAfter {
		return
	}
	now.lasts = true
	if !now.told && !errors.Is(err, errNotReady) { // the connection tells that itself
		now.told = true
		f.log.Error(tales[kind].begins, "since", now.since, "error", err)
	}
}

// stats says what does not work, and since when.
func (t *trouble) stats(s *Stats) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, kind := range []string{"session", "watch", "erase", "lanes", "hand-over"} {
		now := t.kinds[kind]
		if now == nil {
			continue
		}
		if s.Reason == "" {
			s.Reason, s.Since = tales[kind].begins+": "+now.err.Error(), now.since
		}
		if apart := kind == "session" || kind == "watch"; apart && now.lasts && (s.Apart.IsZero() || now.since.Before(s.Apart)) {
			s.Apart = now.since
		}
	}
}
