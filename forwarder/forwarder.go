package forwarder

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/intilery/caddy-intilery/forwarder/deadletter"
	"github.com/intilery/caddy-intilery/forwarder/erasure"
	"github.com/intilery/caddy-intilery/forwarder/fleet"
	"github.com/intilery/caddy-intilery/forwarder/tracking"
)

const (
	// closeGrace is how long Close lets requests that are on their way come back,
	// because cutting one off means that its events are sent twice.
	closeGrace = 600 * time.Millisecond
	// closeLimit bounds the wait for a transport that does not obey its context.
	closeLimit = 200 * time.Millisecond
	// retireAfter is how long a destination is kept that no settings name any more
	// and that has nothing pending: handlers of the settings before may still serve.
	retireAfter = time.Minute
	// batchMemory bounds the memory of the batches under way, over all destinations.
	batchMemory = 64 << 20
)

// Forwarder takes events and delivers them. One Forwarder lives as long as the
// process serves with any configuration; configurations come and go as owners.
type Forwarder struct {
	dir     string
	newLog  func(dir string, s Settings, l *slog.Logger) eventLog
	log     *slog.Logger // stays valid over reloads
	handler *reloadHandler

	destinations atomic.Pointer[map[string]*destination] // in force, or with events left
	version      atomic.Pointer[string]
	unknown      atomic.Uint64 // events of destinations that never were
	ending       atomic.Bool   // nothing is captured any more: the log is being handed over

	run     context.Context // ends when Close begins
	stopRun context.CancelFunc
	cutSend context.CancelFunc
	upkeep  chan struct{} // held by the one that changes dead letters or erases

	withdrawn *withdrawn

	mu         sync.Mutex
	owners     []owned // the last one's settings are in force
	closed     bool
	shared     *shared // its queue is nil until the first Start
	opened     Settings
	transports map[string]*http.Transport // by host, for destinations that bring none
	unrouted   []unrouted
	unroutedN  int // bytes of unrouted
}

type owned struct {
	owner    any
	settings Settings
}

// shared is what all destinations use.
type shared struct {
	queue    eventLog
	letters  letters
	files    *deadletter.Store // the letters, or those that a fleet does not have
	erasures *erasure.Register
	fleet    *fleet.Fleet        // nil without one
	memory   *semaphore.Weighted // of batches, in bytes
	observer Observer            // nil without one
	crew     crew
	send     context.Context // of requests; ends when Close loses patience
}

// retireErasures drops the tombstones that have nothing left to cover.
func (s *shared) retireErasures() { s.erasures.Retire(s.queue.Cursor) }

// New returns a forwarder that keeps its data in dir. It does no I/O.
func New(dir string) *Forwarder { return newForwarder(dir, openLog) }

func newForwarder(dir string, newLog func(string, Settings, *slog.Logger) eventLog) *Forwarder {
	f := &Forwarder{
		dir: dir, newLog: newLog, handler: newReloadHandler(), upkeep: make(chan struct{}, 1), withdrawn: newWithdrawn(),
		transports: make(map[string]*http.Transport), shared: &shared{memory: semaphore.NewWeighted(batchMemory)},
	}
	f.log = slog.New(f.handler)
	f.run, f.stopRun = context.WithCancel(context.Background())
	f.shared.send, f.cutSend = context.WithCancel(context.Background())
	f.destinations.Store(&map[string]*destination{})
	f.version.Store(new(string))
	return f
}

// Start puts an owner's settings in force. The first call opens the log in the
// background; no call waits on disk or network. A further call of an owner
// replaces its settings. It returns ErrClosed, or an error that names a wrong
// setting, and then changes nothing.
func (f *Forwarder) Start(owner any, s Settings) error {
	s, err := s.withDefaults()
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return ErrClosed
	}
	i := f.find(owner)
	if i < 0 {
		i = len(f.owners)
		f.owners = append(f.owners, owned{owner: owner})
	}
	f.owners[i].settings = s
	if i == len(f.owners)-1 {
		f.apply(s)
	}
	return nil
}

// Stop takes an owner's settings away. When they were in force, those of the
// owner before it are again: so a reload that failed leaves everything as it
// was. Without any owner nothing is sent, and events are still captured.
func (f *Forwarder) Stop(owner any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.find(owner)
	if i < 0 || f.closed {
		return
	}
	top := i == len(f.owners)-1
	f.owners = append(f.owners[:i], f.owners[i+1:]...)
	switch {
	case !top:
	case len(f.owners) > 0:
		f.apply(f.owners[len(f.owners)-1].settings)
	default:
		for _, d := range *f.destinations.Load() {
			d.halt()
		}
		f.serveLocked()
	}
}

// Opened returns a channel that is closed once the log is open. Before the first
// Start it is nil.
func (f *Forwarder) Opened() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shared.queue == nil {
		return nil
	}
	return f.shared.queue.Opened()
}

func (f *Forwarder) find(owner any) int {
	for i := range f.owners {
		if f.owners[i].owner == owner {
			return i
		}
	}
	return -1
}

// apply puts settings in force.
func (f *Forwarder) apply(s Settings) {
	f.handler.set(s.Logger.Handler())
	f.version.Store(&s.Version)
	if f.shared.queue == nil {
		f.begin(s)
	} else {
		f.shared.files.SetMaxBytes(s.DeadLetterBytes)
		f.opened.tellChanges(s, f.log)
	}
	known := maps.Clone(*f.destinations.Load())
	wanted := make(map[string]bool, len(s.Destinations))
	hosts := make(map[string]bool)
	for _, c := range s.Destinations {
		wanted[c.Name] = true
		if c.Transport == nil {
			host := c.host()
			hosts[host] = true
			c.Transport = f.transport(host)
		}
		client, err := c.client(s.Version)
		if err != nil { // withDefaults has made the same client before
			f.log.Error("destination not usable", "destination", c.Name, "error", err)
			continue
		}
		d := known[c.Name]
		if d == nil {
			d = newDestination(c.Name, f.shared, f.log)
			known[c.Name] = d
		}
		d.configure(c, client)
		d.resume(f.run)
	}
	for name, d := range known {
		if !wanted[name] {
			d.halt()
		}
	}
	for host, t := range f.transports {
		t.CloseIdleConnections() // a name may have moved
		if !hosts[host] {
			delete(f.transports, host)
		}
	}
	f.destinations.Store(&known)
	f.serveLocked()
	f.retireLocked(nil)
	f.routeLocked()
	select {
	case <-f.shared.queue.Opened():
		f.takeBacklogLocked()
	default:
	}
}

// begin opens what is shared, in the background.
func (f *Forwarder) begin(s Settings) {
	f.opened = s
	f.shared.queue = f.newLog(f.dir, s, f.log)
	f.shared.files = deadletter.New(f.dir, s.DeadLetterBytes, s.keyring)
	f.shared.letters = f.shared.files
	f.shared.erasures = erasure.New(f.dir, f.log)
	if s.Fleet != nil {
		o := *s.Fleet
		o.Logger = f.log
		f.shared.fleet = fleet.New(o, filepath.Join(f.dir, "fleet"), nodeLog{f.shared, f.log}, nodeDelivery{f})
		f.shared.letters = joined{f.shared.fleet.DeadLetters(), f.shared.files, f.log}
		f.shared.fleet.Start()
	}
	f.shared.queue.Start()
	f.shared.crew.join()
	go func() {
		defer f.shared.crew.leave()
		f.shared.files.Look()
		select {
		case <-f.shared.queue.Opened():
			f.mu.Lock()
			defer f.mu.Unlock()
			f.takeBacklogLocked()
		case <-f.run.Done():
		}
	}()
}

// takeBacklogLocked has the lanes sent that earlier processes, or settings, left.
func (f *Forwarder) takeBacklogLocked() {
	known := *f.destinations.Load()
	for name := range f.shared.queue.Ends() {
		if destination, n, ok := splitLane(name); ok && known[destination] != nil {
			known[destination].open(n)
		}
	}
}

// retireLocked forgets the destinations that no settings name any more, once they
// have nothing left. Pending is that of the log, by lane; nil: it is asked.
func (f *Forwarder) retireLocked(pending map[string]uint64) {
	var left map[string]*destination
	before := *f.destinations.Load()
	for name, d := range before {
		if d.stop != nil || time.Since(d.halted) < retireAfter {
			continue
		}
		if pending == nil {
			pending = f.shared.queue.Stats().Pending
		}
		if d.retire(pending) {
			if left == nil {
				left = maps.Clone(before)
			}
			delete(left, name)
		}
	}
	if left != nil {
		f.destinations.Store(&left)
	}
}

func (f *Forwarder) transport(host string) http.RoundTripper {
	t := f.transports[host]
	if t == nil {
		t = tracking.NewTransport(lanes)
		f.transports[host] = t
	}
	return t
}

// Close stops delivery and closes the log. Requests that are on their way have
// a moment to come back. What was not acknowledged stays in the log. Close
// returns within two seconds, or twelve in a fleet; a second call returns nil at once.
func (f *Forwarder) Close() error {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return nil
	}
	f.closed = true
	f.stopRun()
	for _, d := range *f.destinations.Load() {
		d.breaker.halt()
	}
	f.unknown.Add(uint64(len(f.unrouted)))
	for _, u := range f.unrouted {
		u.receipt.End(ErrClosed)
	}
	f.unrouted, f.unroutedN = nil, 0
	queue, files, idle := f.shared.queue, f.shared.files, f.shared.crew.close()
	f.mu.Unlock()

	pause(context.Background(), closeGrace, idle)
	f.cutSend()
	pause(context.Background(), closeLimit, idle)

	var errs []error
	if f.shared.fleet != nil {
		f.ending.Store(true)
		errs = append(errs, f.shared.leave())
	}
	if queue != nil {
		errs = append(errs, queue.Close(), files.Close())
	}
	for _, t := range f.transports {
		t.CloseIdleConnections()
	}
	return errors.Join(errs...)
}

// crew counts goroutines, until it is closed: then nobody joins any more.
type crew struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // nil until close; closed when all have left
}

// join adds one, to be followed by leave. It returns false when it is closed.
func (c *crew) join() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle != nil {
		return false
	}
	c.n++
	return true
}

func (c *crew) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n--; c.n == 0 && c.idle != nil {
		close(c.idle)
	}
}

// close returns the channel that is closed when all have left.
func (c *crew) close() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = make(chan struct{})
	if c.n == 0 {
		close(c.idle)
	}
	return c.idle
}
