package fleet

import (
	"context"
	"slices"
	"time"
)

// memReader reads a lane of a memBroker.
type memReader struct {
	n      *memNode
	lane   string
	after  uint64
	begun  bool
	breaks int // of the node when reading began
	err    error
}

func (n *memNode) Read(lane string, after uint64) reader {
	return &memReader{n: n, lane: lane, after: after}
}

// Next fails when the connection was lost since reading began.
func (r *memReader) Next(ctx context.Context, maxBytes int) (events []stored, err error) {
	if r.err != nil {
		return nil, r.err
	}
	defer func() { r.err = err }()
	if !r.begun {
		if err := r.n.read(ctx, "Read", func() { r.breaks = r.n.breaks }); err != nil {
			return nil, err
		}
		r.begun = true
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r.n.b.mu.Lock()
		s, turn := r.n.b.stream(r.lane), r.n.b.turn
		news := s.news
		lag := r.n.b.latency / 2
		broken := r.n.breaks != r.breaks
		if !broken {
			events = s.read(r.after, maxBytes)
		}
		r.n.b.mu.Unlock()
		if broken {
			return nil, errUnknown
		}
		if len(events) > 0 {
			// What was stored long ago is on its way already.
			if err := pause(ctx, time.Until(events[len(events)-1].at.Add(lag))); err != nil {
				return nil, err
			}
			r.after = events[len(events)-1].sequence
			return events, nil
		}
		select {
		case <-ctx.Done():
		case <-news:
		case <-turn:
		}
	}
}

func (r *memReader) Close() {}

func (s *memStream) read(after uint64, maxBytes int) []stored {
	var events []stored
	i, _ := s.index(after + 1)
	for bytes := 0; i < len(s.messages); i++ {
		m := s.messages[i]
		if m.node != "" {
			continue
		}
		bytes += len(m.payload)
		if len(events) > 0 && bytes > maxBytes {
			break
		}
		events = append(events, stored{sequence: m.sequence, at: m.at, payload: slices.Clone(m.payload)})
	}
	return events
}

// memWatcher is what a Watch has still to tell.
type memWatcher struct {
	prefixes []string
	changes  []memChange
	news     chan struct{} // holds one
}

type memChange struct {
	entry
	at time.Time
}

func (w *memWatcher) tell(e entry) {
	if !hasPrefix(e.key, w.prefixes) {
		return
	}
	w.changes = append(w.changes, memChange{e, time.Now()})
	select {
	case w.news <- struct{}{}:
	default:
	}
}

func (n *memNode) Watch(ctx context.Context, prefixes []string, changed func(entry), synced func()) error {
	w := &memWatcher{prefixes: prefixes, news: make(chan struct{}, 1)}
	var start []entry
	var breaks int
	err := n.read(ctx, "Watch", func() {
		start, breaks = n.b.entries(prefixes), n.breaks
		n.b.watchers[w] = struct{}{}
	})
	defer func() {
		n.b.mu.Lock()
		defer n.b.mu.Unlock()
		delete(n.b.watchers, w)
	}()
	if err != nil {
		return err
	}
	for _, e := range start {
		changed(e)
	}
	synced()
	for {
		n.b.mu.Lock()
		changes, turn, broken, lag := w.changes, n.b.turn, n.breaks != breaks, n.b.latency/2
		w.changes = nil
		n.b.mu.Unlock()
		if broken {
			return errUnknown
		}
		for _, c := range changes {
			if err := pause(ctx, time.Until(c.at.Add(lag))); err != nil {
				return err
			}
			changed(c.entry)
		}
		if len(changes) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.news:
		case <-turn:
		}
	}
}

// pause waits for a time, or for the end of ctx, whose error it returns.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

var (
	_ broker = (*memNode)(nil)
	_ reader = (*memReader)(nil)
)
