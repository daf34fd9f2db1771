package fleet

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"
)

// memberEvery is how often a node says what it has to hand over, at most.
const memberEvery = 5 * time.Second

const (
	// memberAge is how often a node says it although nothing has changed, and
	// memberTTL for how long a node that is gone is remembered.
	memberAge = time.Hour
	memberTTL = 7 * 24 * time.Hour
)

// memberWriter keeps a node's member key up to date.
type memberWriter struct {
	b       broker
	node    string
	streams func() map[string]uint64 // how many events wait in the streams of the node's lanes

	writing turn
	mu      sync.Mutex
	written memberValue
	serving []string
}

// serve says which destinations the node serves.
func (w *memberWriter) serve(destinations []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.serving = slices.Sorted(slices.Values(destinations))
}

// due reports that it is time to look.
func (w *memberWriter) due() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return (time.Since(w.written.At) >= memberEvery || !slices.Equal(w.serving, w.written.Destinations)) && w.b.Ready() == nil
}

// write says what a node has to hand over, if that has changed. A node that leaves
// with nothing left is a member no more.
func (w *memberWriter) write(ctx context.Context, backlog uint64, leaves bool) {
	now := memberValue{Node: w.node, Backlog: backlog, At: time.Now().UTC()}
	if !leaves {
		now.Streams = w.streams()
	}
	w.writing.take()
	defer w.writing.give()
	w.mu.Lock()
	before := w.written
	now.Destinations = w.serving
	w.mu.Unlock()
	if !leaves && time.Since(before.At) < memberAge && backlog == before.Backlog &&
		maps.Equal(now.Streams, before.Streams) && slices.Equal(now.Destinations, before.Destinations) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, requestWait)
	defer cancel()
	e, err := w.b.Get(ctx, memberKey(w.node))
	if err != nil {
		return
	}
	if leaves && backlog == 0 {
		if e.revision != 0 {
			_ = w.b.Delete(ctx, memberKey(w.node), e.revision) // it says that there is nothing
		}
		return
	}
	text, err := json.Marshal(now)
	if err != nil {
		return
	}
	if _, err := w.b.Put(ctx, memberKey(w.node), text, e.revision, memberTTL); err == nil {
		w.mu.Lock()
		w.written = now
		w.mu.Unlock()
	}
}
