package fleet

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/erasure"
	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// Log is the node's own log, as a fleet needs it.
type Log interface {
	Opened() <-chan struct{}
	// Ends are the positions of the last durable events, by lane.
	Ends() map[string]queue.Position
	// Retire drops erasures of this node alone that have nothing left to cover.
	Retire()
	// Pending is the number of durable events that have not ended, by lane.
	Pending() map[string]uint64
	// Incarnation is that of the positions of an open log.
	Incarnation() uint64
	// Crowded reports that the log has little room left for new events.
	Crowded() bool
	// LoadErasures reads what Erased knows from the disk, once.
	LoadErasures() error
	// Erased reports whether an event in the log was erased by this node alone.
	Erased(lane string, at queue.Position, ids func() (anonymousID, userID string)) bool
	// Erase has the events of a visitor in memory dropped, and returns how far the
	// others reach in each lane.
	Erase(ctx context.Context, is func(anonymousID, userID string) bool) (upto map[string]queue.Position, err error)
}

// Lane is a lane of the node's log.
type Lane = queue.Source

// Delivery sends what this node owns. Its methods must not block, nor call back.
type Delivery interface {
	// Own has a lane sent, from its cursor on.
	Own(lane string, src queue.Source)
	// Disown ends that. The channel is closed when nothing of it is under way.
	Disown(lane string) <-chan struct{}
	// Paused tells that another node has paused a destination, or that nobody does
	// any more: then p is nil. Leader says whether this node is to try it.
	Paused(destination string, p *Pause, leader bool)
}

// Fleet is one node of a fleet.
type Fleet struct {
	o        Options
	log      *slog.Logger
	b        broker
	local    Log
	delivery Delivery
	codec    codec
	erased   *erasures
	dead     *DeadLetters
	session  *session
	member   memberWriter
	view     view
	key      atomic.Pointer[[]byte] // of digests; nil until the broker was reached
	fit      atomic.Bool            // see fits
	tallies  tallies
	ends     map[string]queue.Position // of the log when it was opened; set before anything is moved

	ctx  context.Context // ends when Close has done what it could
	stop context.CancelFunc
	work sync.WaitGroup
	poke chan struct{} // cap 1: balance

	moving sync.Mutex // guards movers; Fleet.mu is not taken while it is held
	movers map[string]*mover

	mu       sync.Mutex
	watch    *byte     // the present one of the broker's keys; nil when there is none
	syncedAt time.Time // when synced was last seen to be true
	synced   bool      // view and erasures say all that the broker's keys say
	admitted string    // the session that may hand events over
	closing  bool
	serving  []string
	lanes    map[string]*owned // that this node has, takes or gives back
	pauses   map[string]*Pause // to be written
	troubles trouble
	keepFor  time.Duration
}

// New returns a node that does nothing yet. It does no I/O. Dir is where it keeps
// what it knows of erasures.
func New(o Options, dir string, local Log, delivery Delivery) *Fleet {
	js := newJetStream(o)
	f := newFleet(o, js, dir, local, delivery)
	return f
}

func newFleet(o Options, b broker, dir string, local Log, delivery Delivery) *Fleet {
	f := &Fleet{
		o: o, log: o.Logger, b: b, local: local, delivery: delivery, codec: codec{o.Keys},
		poke: make(chan struct{}, 1), movers: make(map[string]*mover), lanes: make(map[string]*owned), pauses: make(map[string]*Pause), keepFor: o.Keep,
	}
	f.erased = &erasures{register: erasure.New(dir, o.Logger), dir: dir, applied: make(chan struct{}, 1), turn: newTurn()}
	f.dead = newDeadLetters(f)
	f.member = memberWriter{b: b, node: o.Node, streams: f.depths, writing: newTurn()}
	f.session = &session{b: b, node: o.Node, lease: o.Lease, lost: f.sessionLost}
	f.ctx, f.stop = context.WithCancel(context.Background())
	return f
}

// Start connects in the background.
func (f *Fleet) Start() {
	if err := f.b.start(); err != nil {
		f.log.Error("cannot connect to the fleet's broker; this node keeps its events and delivers nothing", "error", err)
	}
	f.work.Go(f.run)
}

// Node is this node's name.
func (f *Fleet) Node() string { return f.o.Node }

// Serve says which destinations this node sends, in place of those before.
func (f *Fleet) Serve(destinations []string) {
	f.mu.Lock()
	f.serving = slices.Sorted(slices.Values(destinations))
	f.mu.Unlock()
	f.b.serve(destinations)
	f.member.serve(destinations)
	nudge(f.poke)
}

// Move has a lane of the log handed over, until Halt.
func (f *Fleet) Move(lane string, src Lane) {
	m := newMover(f, lane, src)
	f.moving.Lock()
	f.movers[lane] = m
	f.moving.Unlock()
	m.wake()
}

// Halt ends what Move has begun. The channel is closed when the lane is not used
// any more.
func (f *Fleet) Halt(lane string) <-chan struct{} {
	f.moving.Lock()
	m := f.movers[lane]
	delete(f.movers, lane)
	f.moving.Unlock()
	if m == nil {
		done := make(chan struct{})
		close(done)
		return done
	}
	f.handing(lane, nil)
	return m.stop()
}

// run keeps the node in the fleet.
func (f *Fleet) run() {
	select {
	case <-f.local.Opened():
		f.session.log, f.ends = f.local.Incarnation(), f.local.Ends()
	case <-f.ctx.Done():
		return
	}
	f.work.Go(f.renew)
	f.work.Go(f.coordinate)
	f.work.Go(f.tellMembers)
	f.work.Go(f.measure)
	f.work.Go(f.dead.follow)
	failures := newBackoff()
	for f.ctx.Err() == nil {
		began := time.Now()
		err := f.follow()
		f.unsynced()
		if f.ctx.Err() != nil {
			return
		}
		f.trouble("watch", err)
		if time.Since(began) > time.Minute {
			failures.Reset()
		}
		f.waitReady(err, failures.NextBackOff())
	}
}

// mayMove reports whether movers may go on: this process is the one that has the
// node's name, it knows of all erasures, and whoever erases knows of it.
func (f *Fleet) mayMove() bool {
	session := f.session.current()
	f.mu.Lock()
	defer f.mu.Unlock()
	return session != "" && f.synced && f.admitted == session
}

func (f *Fleet) wakeMovers() {
	for _, m := range f.allMovers() {
		m.wake()
	}
}

// coordinate does what is due now and then.
func (f *Fleet) coordinate() {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		f.balance()
		f.tend()
		select {
		case <-t.C:
		case <-f.poke:
		case <-f.ctx.Done():
			return
		}
	}
}

// ahead reports whether a position is of something that the log did not have when it
// was opened. A log that has lost its latest writes in a crash gives out none of their
// positions again, and is no such case.
func (f *Fleet) ahead(lane string, p queue.Position) bool {
	end, known := f.ends[lane]
	return known && end.SameLog(p) && end.Compare(p) < 0
}

// tellMembers says to the other nodes what this one has to hand over, and serves.
func (f *Fleet) tellMembers() {
	for wait(f.ctx, time.Second) {
		if f.member.due() {
			f.member.write(f.ctx, f.backlog(), false)
		}
	}
}

// tend has movers confirm what is due, and memory given back.
func (f *Fleet) tend() {
	keep := f.o.Keep
	if f.local.Crowded() {
		keep = 0 // room for new events comes first
	}
	for _, m := range f.allMovers() {
		if m.due(keep) {
			m.wake()
		}
	}
	f.local.Retire()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keepFor = keep
	for _, o := range f.lanes {
		o.drop()
		if o.running && !o.leaving && o.idle() {
			f.work.Go(func() { o.check() })
		}
	}
}

func (f *Fleet) keep() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.keepFor
}
