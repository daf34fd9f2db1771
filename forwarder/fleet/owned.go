package fleet

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/internal/seal"
)

const (
	// saveDelay is how often the cursor is written at most.
	saveDelay = 250 * time.Millisecond
	// trimEvery is how often a stream is cut off before its cursor, and trimPart
	// the part of its size that may have ended until that is done earlier.
	trimEvery = 3 * time.Second
	trimPart  = 8
	// minRead is how many bytes are asked of the broker at least.
	minRead = 64 << 10
	// dropAfter is how long events stay in memory that nobody reads.
	dropAfter = 10 * time.Second
	// streams is the incarnation of all positions in streams: a tombstone covers
	// what it did also when a stream was restored from a copy.
	streams = 1
)

// owned is a lane that this node delivers. It reads ahead as much as was asked for
// by Await, and no more.
type owned struct {
	f      *Fleet
	lane   string
	ctx    context.Context // ends when the lane is not this node's any more
	stop   context.CancelFunc
	gone   chan struct{} // closed when the reader is gone
	demand chan struct{} // cap 1: there is something to read, or another place to read from

	saving  turn // held while the cursor is written
	cursor  cursor
	trimmed time.Time

	*tally       // of the destination
	depth  depth // of the stream
	// The reader's.
	nodes map[string]string
	took  time.Time // when events were read last

	// Fleet.mu guards these.
	lease   uint64 // the revision of the lane's lease
	running bool   // it is delivered
	leaving bool   // it is being given back

	mu      sync.Mutex
	acked   uint64
	fenced  bool      // the cursor is another node's, and what ends here does not count
	dirty   bool      // acked is not written
	saved   time.Time // when the cursor was written last
	checked time.Time // when it was looked at in a lane that is idle
	flight  []place   // the first one is the last that has ended
	base    uint64    // buffer holds what was read behind it
	buffer  []held
	ended   int // bytes since the stream was cut off last
	bytes   int
	rewound bool   // the reader has to begin again behind base
	passed  uint64 // no event up to it is counted as lost again
	want    int    // bytes that were asked for
	call    func()
	used    time.Time // when it was asked last
	err     error     // why nothing can be read
}

// place is when an event was stored that was read and has not ended.
type place struct {
	sequence uint64
	stored   time.Time
	bytes    int
}

// held is a record in memory.
type held struct {
	queue.Record
	sequence uint64
	stored   time.Time
}

func newOwned(f *Fleet, lane string) *owned {
	o := &owned{
		f: f, lane: lane, tally: f.tallies.lane(lane), cursor: cursor{b: f.b, lane: lane}, nodes: make(map[string]string),
		gone: make(chan struct{}), demand: make(chan struct{}, 1), saving: newTurn(),
	}
	o.ctx, o.stop = context.WithCancel(f.ctx)
	return o
}

// begin reads from the cursor on, which has been taken.
func (o *owned) begin() {
	o.acked = o.cursor.value.Sequence
	o.base, o.passed = o.acked, o.acked
	o.flight = []place{{sequence: o.acked, stored: time.Unix(0, o.cursor.value.Stored)}}
	go o.pump()
}

func at(sequence uint64) queue.Position { return queue.At(streams, sequence) }

// Acknowledged implements queue.Source.
func (o *owned) Acknowledged() queue.Position {
	o.mu.Lock()
	defer o.mu.Unlock()
	return at(o.acked)
}

// Acknowledge implements queue.Source. Once the lane is another node's, all of it
// has been given up: its new owner delivers it, and counts it.
func (o *owned) Acknowledge(upto queue.Position) (from queue.Position) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fenced {
		return upto
	}
	from = at(o.acked)
	if s := upto.Offset(streams); s > o.acked {
		o.acked = s
		n := 0
		for n+1 < len(o.flight) && o.flight[n+1].sequence <= s {
			n++
			o.ended += o.flight[n].bytes
		}
		o.flight = slices.Delete(o.flight, 0, n)
		if !o.dirty {
			o.dirty = true
			time.AfterFunc(max(0, saveDelay-time.Since(o.saved)), o.saveNow)
		}
	}
	return from
}

// Read implements queue.Source.
func (o *owned) Read(after queue.Position, maxBytes int) ([]queue.Record, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.used = time.Now()
	o.seekLocked(max(after.Offset(streams), o.acked))
	var recs []queue.Record
	for len(o.buffer) > 0 {
		h := &o.buffer[0]
		if len(recs) > 0 && maxBytes < len(h.Data) {
			break
		}
		maxBytes -= len(h.Data)
		recs = append(recs, h.Record)
		if n := len(o.flight); n == 0 || o.flight[n-1].sequence < h.sequence {
			o.flight = append(o.flight, place{h.sequence, h.stored, len(h.Data)})
		}
		o.base, o.bytes = h.sequence, o.bytes-len(h.Data)
		o.buffer = o.buffer[1:]
	}
	if len(recs) == 0 {
		o.buffer = nil
		err := o.err
		o.err = nil
		return nil, err
	}
	return recs, nil
}

// seekLocked drops what is in memory up to a sequence, and has the reader go back
// when that lies before.
func (o *owned) seekLocked(after uint64) {
	if after < o.base {
		o.buffer, o.bytes, o.base, o.rewound = nil, 0, after, true
		nudge(o.demand)
		return
	}
	for len(o.buffer) > 0 && o.buffer[0].sequence <= after {
		o.bytes -= len(o.buffer[0].Data)
		o.buffer = o.buffer[1:]
	}
	o.base = after
}

// Await implements queue.Source.
func (o *owned) Await(after queue.Position, bytes int, f func()) {
	o.mu.Lock()
	o.used = time.Now()
	o.seekLocked(max(after.Offset(streams), o.acked))
	o.want, o.call = max(bytes, 1), f
	call := o.dueLocked()
	o.mu.Unlock()
	nudge(o.demand)
	if call != nil {
		call()
	}
}

func (o *owned) dueLocked() (call func()) {
	if o.call == nil || o.bytes < o.want && o.err == nil || o.bytes == 0 && o.err == nil {
		return nil
	}
	call, o.call = o.call, nil
	return call
}

// pump reads what is asked for until the lane is not this node's any more.
func (o *owned) pump() {
	defer close(o.gone)
	failures := newBackoff()
	var since time.Time // when reading began to fail
	for o.ctx.Err() == nil {
		err := o.read(failures)
		if err == nil || o.ctx.Err() != nil {
			continue
		}
		if since.IsZero() || o.took.After(since) {
			since = time.Now()
		}
		if time.Since(since) >= tellAfter || errors.Is(err, seal.ErrKey) {
			o.report(err) // until then the connection is being made anew
		}
		if o.check() {
			wait(o.ctx, failures.NextBackOff())
		}
	}
}

// read reads with one reader until that has to be made anew.
func (o *owned) read(failures *backoff.ExponentialBackOff) error {
	o.mu.Lock()
	after := o.base
	if n := len(o.buffer); n > 0 {
		after = o.buffer[n-1].sequence
	}
	o.rewound = false
	o.mu.Unlock()
	var r reader
	defer func() {
		if r != nil {
			r.Close()
		}
	}()
	for {
		room, rewound := o.room()
		switch {
		case rewound:
			return nil
		case room <= 0:
			select {
			case <-o.demand:
				continue
			case <-o.ctx.Done():
				return nil
			}
		}
		if r == nil {
			r = o.f.b.Read(o.lane, after)
		}
		// A rewind interrupts the wait.
		ctx, cancel := context.WithCancel(o.ctx)
		waiting := make(chan struct{})
		go func() {
			defer close(waiting)
			o.interrupt(ctx, cancel)
		}()
		events, err := r.Next(ctx, room)
		cancel()
		<-waiting
		if err != nil {
			if _, rewound := o.room(); rewound || o.ctx.Err() != nil {
				return nil
			}
			return err
		}
		if err := o.take(events); err != nil {
			return err
		}
		failures.Reset()
		o.took = time.Now()
	}
}

// interrupt ends a wait when the reader has to begin again elsewhere.
func (o *owned) interrupt(ctx context.Context, cancel context.CancelFunc) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.demand:
			if _, rewound := o.room(); rewound {
				cancel()
				return
			}
		}
	}
}

// room is how many bytes are asked for beyond what is in memory.
func (o *owned) room() (bytes int, rewound bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.call == nil {
		return 0, o.rewound
	}
	if o.bytes >= o.want {
		return 0, o.rewound
	}
	return max(o.want-o.bytes, minRead), o.rewound
}

// take puts events into memory.
func (o *owned) take(events []stored) error {
	o.mu.Lock()
	if o.rewound {
		o.mu.Unlock()
		return nil
	}
	o.err = nil
	for _, e := range events {
		class, node, rec, err := o.f.codec.decode(e.payload)
		switch {
		case errors.Is(err, seal.ErrKey):
			o.mu.Unlock()
			return err
		case err != nil:
			o.pass(e, &o.lost.damaged)
			continue
		case time.Since(e.at) > o.f.o.MaxAge:
			o.pass(e, &o.lost.expired)
			continue
		}
		o.buffer = append(o.buffer, held{queue.Record{Position: at(e.sequence), Class: class, Data: rec, Node: o.name(node)}, e.sequence, e.at})
		o.bytes += len(rec)
	}
	call := o.dueLocked()
	o.mu.Unlock()
	if call != nil {
		call()
	}
	return nil
}

// pass counts an event as lost, once.
func (o *owned) pass(e stored, count *atomic.Uint64) {
	if e.sequence > o.passed {
		o.passed = e.sequence
		count.Add(1)
	}
}

// name returns a node's name without making a string for each event.
func (o *owned) name(node []byte) string {
	name, known := o.nodes[string(node)]
	if !known {
		name = string(node)
		o.nodes[name] = name
	}
	return name
}

// report tells who waits that nothing can be read at present.
func (o *owned) report(err error) {
	o.mu.Lock()
	o.err = err
	call := o.dueLocked()
	o.mu.Unlock()
	if call != nil {
		call()
	}
}

// drop gives memory back that nobody has asked for lately.
func (o *owned) drop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.bytes > 0 && time.Since(o.used) > dropAfter {
		o.buffer, o.bytes, o.rewound = nil, 0, true
		nudge(o.demand)
	}
}

// fence has nothing count any more that ends from here on.
func (o *owned) fence() {
	o.mu.Lock()
	o.fenced = true
	o.mu.Unlock()
	o.stop()
}

// Interface guards
var _ queue.Source = (*owned)(nil)
