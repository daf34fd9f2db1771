package fleet

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// measureEvery is how often owners ask what the streams of their lanes hold.
	measureEvery = 5 * time.Second
	// measureLanes is how many they ask about at a time: a node may own thousands.
	measureLanes = 32
)

// depth is how many events a lane's stream has behind the cursor, as its owner was
// told last.
type depth struct {
	mu     sync.Mutex
	events uint64
	at     time.Time // zero: it was not asked yet

	trimmed uint64 // the sequence before which measure has cut the stream off; its own
}

func (d *depth) set(events uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events, d.at = events, time.Now()
}

func (d *depth) get() (events uint64, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.events, d.at
}

// measure keeps the depths of this node's lanes up to date.
func (f *Fleet) measure() {
	t := time.NewTicker(measureEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-f.ctx.Done():
			return
		}
		for _, o := range f.shallow() {
			ctx, cancel := context.WithTimeout(o.ctx, requestWait)
			err := o.measure(ctx)
			cancel()
			if err != nil && o.ctx.Err() == nil {
				break // the broker is not well; what is known stays
			}
		}
	}
}

// shallow returns the lanes that were measured the longest ago.
func (f *Fleet) shallow() []*owned {
	f.mu.Lock()
	var list []*owned
	for _, o := range f.lanes {
		if o.running && !o.leaving {
			list = append(list, o)
		}
	}
	f.mu.Unlock()
	asked := make(map[*owned]time.Time, len(list))
	for _, o := range list {
		_, asked[o] = o.depth.get()
	}
	slices.SortFunc(list, func(a, b *owned) int {
		return cmp.Or(asked[a].Compare(asked[b]), cmp.Compare(a.lane, b.lane))
	})
	return list[:min(len(list), measureLanes)]
}

// measure asks for the depth of a lane. The stream is cut off before the cursor first:
// it counts what it holds, not what is behind a sequence. The event at the cursor
// stays, and is not counted.
func (o *owned) measure(ctx context.Context) error {
	o.saving.take()
	defer o.saving.give()
	v := o.cursor.value
	var ended uint64
	if v.Sequence > 0 {
		at, err := o.f.b.Stored(ctx, o.lane, v.Sequence)
		if err != nil {
			return err
		}
		if !at.IsZero() && at.UnixNano() == v.Stored {
			ended = 1
		} else if back, err := o.cursor.seemsRolledBack(ctx); err != nil || back {
			return err // save sees to a stream that has lost events
		}
		if o.depth.trimmed != v.Sequence {
			if err := o.f.b.Trim(ctx, o.lane, v.Sequence); err != nil {
				return err
			}
			o.depth.trimmed = v.Sequence
		}
	}
	s, err := o.f.b.State(ctx, o.lane)
	if err != nil {
		return err
	}
	o.depth.set(s.events - min(ended, s.events))
	return nil
}

// depths returns how many events wait in the streams of this node's lanes, by lane.
func (f *Fleet) depths() map[string]uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	depths := make(map[string]uint64)
	for lane, o := range f.lanes {
		if n, at := o.depth.get(); o.running && !o.leaving && !at.IsZero() {
			depths[lane] = n
		}
	}
	return depths
}
