package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
)

// Pause says why a node sends nothing to a destination, so that the others do not
// either: Intilery counts the requests of all of them together, and they have the
// same token.
type Pause struct {
	Node   string    `json:"node"`
	Reason string    `json:"reason"`
	Until  time.Time `json:"until,omitzero"` // zero: until the node that leads has tried with success
}

// Pause tells the other nodes of a pause, or that it is over: then p is nil. It does
// not wait; of two the later one counts.
func (f *Fleet) Pause(destination string, p *Pause) {
	if p != nil {
		p.Node = f.o.Node
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	_, writing := f.pauses[destination]
	f.pauses[destination] = p
	if !writing && !f.closing {
		f.work.Go(func() { f.writePauses(destination) })
	}
}

// writePauses writes a destination's pause until what was written is the latest.
func (f *Fleet) writePauses(destination string) {
	failures := newBackoff()
	for f.ctx.Err() == nil {
		f.mu.Lock()
		p := f.pauses[destination]
		f.mu.Unlock()
		err := f.writePause(destination, p)
		if err != nil && f.session.current() == "" {
			// Nothing is sent by this node either.
			err = nil
		}
		f.mu.Lock()
		if err == nil && f.pauses[destination] == p {
			delete(f.pauses, destination)
			f.mu.Unlock()
			return
		}
		f.mu.Unlock()
		if err != nil {
			wait(f.ctx, failures.NextBackOff())
		}
	}
}

func (f *Fleet) writePause(destination string, p *Pause) error {
	ctx, cancel := context.WithTimeout(f.ctx, requestWait)
	defer cancel()
	key := pausePrefix + destination
	e, err := f.b.Get(ctx, key)
	if err != nil {
		return err
	}
	if p == nil {
		if e.revision == 0 {
			return nil
		}
		err = f.b.Delete(ctx, key, e.revision)
	} else {
		var text []byte
		if text, err = json.Marshal(p); err != nil {
			return err
		}
		var ttl time.Duration
		if !p.Until.IsZero() {
			ttl = max(time.Until(p.Until), 0).Round(time.Second) + time.Second
		}
		_, err = f.b.Put(ctx, key, text, e.revision, ttl)
	}
	if errors.Is(err, errConflict) {
		return nil // another node has just said something newer
	}
	return err
}

// tellPauseLocked tells delivery whether a destination is paused.
func (f *Fleet) tellPauseLocked(destination string) {
	p := f.view.pause(destination)
	if p.revision == 0 {
		f.delivery.Paused(destination, nil, false)
		return
	}
	f.delivery.Paused(destination, &p.value, f.leads(destination))
}

// toldLocked tells delivery what it must know of a lane that it has just got.
func (f *Fleet) toldLocked(lane string) {
	destination, _, _ := strings.Cut(lane, "/")
	f.tellPauseLocked(destination)
}

// leads reports whether this node has the lowest lane of a destination that
// anybody has: it is the one that tries whether a pause is over.
func (f *Fleet) leads(destination string) bool {
	for n := range lanes {
		if l, live := f.view.holder(destination + "/" + strconv.Itoa(n)); live {
			return l.value.Session == f.session.current()
		}
	}
	return false
}
