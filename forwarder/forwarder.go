package forwarder

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// closeGrace is how long Close lets requests that are on their way come back,
// because cutting one off means that its events are sent twice.
const closeGrace = 600 * time.Millisecond

// closeLimit bounds the wait for a transport that does not obey its context.
const closeLimit = 200 * time.Millisecond

// Forwarder takes events and delivers them. One Forwarder lives as long as the
// process serves with any configuration; configurations come and go as owners.
type Forwarder struct {
	dir     string
	newLog  func(dir string, s Settings, l *slog.Logger) Log
	log     *slog.Logger // stays valid over reloads
	handler *currentHandler

	destinations atomic.Pointer[map[string]*destination] // all that were ever configured
	version      atomic.Pointer[string]

	run     context.Context // ends when Close begins
	stopRun context.CancelFunc
	send    context.Context // ends when Close loses patience
	cutSend context.CancelFunc
	lanes   sync.WaitGroup

	mu        sync.Mutex
	owners    []owned // the last one's settings are in force
	closed    bool
	queue     Log // nil until the first Start
	letters   *deadLetters
	erasures  *erasures
	opened    Settings        // with which the log was made
	transport *http.Transport // for destinations that bring none
	waiting   []held          // captured for destinations that are not known yet
	held      int             // bytes in waiting

	unknown atomic.Uint64 // events of destinations that never were
}

type owned struct {
	owner    any
	settings Settings
}

// New returns a forwarder that keeps its data in dir. It does no I/O.
func New(dir string) *Forwarder { return newForwarder(dir, openLog) }

func newForwarder(dir string, newLog func(string, Settings, *slog.Logger) Log) *Forwarder {
	f := &Forwarder{dir: dir, newLog: newLog, handler: newCurrentHandler()}
	f.log = slog.New(f.handler)
	f.run, f.stopRun = context.WithCancel(context.Background())
	f.send, f.cutSend = context.WithCancel(context.Background())
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
	if i := f.find(owner); i >= 0 {
		f.owners[i].settings = s
		if i == len(f.owners)-1 {
			f.apply(s)
		}
		return nil
	}
	f.owners = append(f.owners, owned{owner, s})
	f.apply(s)
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
	}
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
	if f.queue == nil {
		f.queue = f.newLog(f.dir, s, f.log)
		f.queue.Start()
		f.letters = newDeadLetters(f.dir, s.DeadLetterBytes, s.keyring)
		f.erasures = newErasures(f.dir, f.log)
		f.lanes.Go(f.letters.look)
		f.opened = s
	} else {
		f.letters.limit.Store(s.DeadLetterBytes / 2)
		f.opened.tellChanges(s, f.log)
	}
	known := maps.Clone(*f.destinations.Load())
	wanted := make(map[string]bool, len(s.Destinations))
	for _, c := range s.Destinations {
		wanted[c.Name] = true
		d := known[c.Name]
		if d == nil {
			d = newDestination(c.Name, f.queue, f.letters, f.erasures, f.log)
			known[c.Name] = d
		}
		// The transport is the destination's own or the shared one.
		if c.Transport == nil {
			c.Transport = f.sharedTransport()
		}
		client, err := c.client(s.Version, c.Transport)
		if err != nil { // withDefaults has made the same client before
			f.log.Error("destination not usable", "destination", c.Name, "error", err)
			continue
		}
		d.configure(c, client)
		d.resume(f.run, f.send, &f.lanes)
	}
	for name, d := range known {
		if !wanted[name] {
			d.halt()
		}
	}
	f.admit(known)
	f.destinations.Store(&known)
}

func (f *Forwarder) sharedTransport() http.RoundTripper {
	if f.transport == nil {
		t, ok := http.DefaultTransport.(*http.Transport)
		if !ok {
			t = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
		}
		f.transport = t.Clone()
		f.transport.MaxIdleConnsPerHost = lanesPerDestination
	}
	return f.transport
}

// Close stops delivery and closes the log. Requests that are on their way have
// a moment to come back. What was not acknowledged stays in the log. Close
// returns within two seconds; a second call returns nil at once.
func (f *Forwarder) Close() error {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return nil
	}
	f.closed = true
	f.stopRun()
	queue, letters, transport := f.queue, f.letters, f.transport
	f.dropHeld()
	f.mu.Unlock()

	idle := make(chan struct{})
	go func() {
		f.lanes.Wait()
		close(idle)
	}()
	wait(idle, closeGrace)
	f.cutSend()
	wait(idle, closeLimit)

	var errs []error
	if queue != nil {
		errs = append(errs, queue.Close(), letters.close())
	}
	if transport != nil {
		transport.CloseIdleConnections()
	}
	return errors.Join(errs...)
}

// wait waits for c to close, but not longer than d.
func wait(c <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c:
	case <-t.C:
	}
}
