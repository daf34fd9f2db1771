package harness

import (
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy passes TCP connections on, with the faults of a network.
type Proxy struct {
	Addr   string // where it listens
	target string
	listen net.Listener
	wg     sync.WaitGroup

	mu      sync.Mutex
	changed chan struct{} // closed when a fault begins or ends
	faults  networkFaults
	conns   map[net.Conn]struct{}
	closed  bool
}

type networkFaults struct {
	requests, answers bool // held back
	refuse            bool // new connections
	delay             time.Duration
	resets            int // how often all connections were closed
}

// NewProxy starts a proxy in front of an address.
func NewProxy(t *testing.T, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: l.Addr().String(), target: target, listen: l, changed: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		_ = l.Close()
		p.Reset()
		p.wg.Wait()
	})
	return p
}

// Partition holds all bytes back, in both directions, or passes them on: nobody
// sees an error, as when a network cable is pulled.
func (p *Proxy) Partition(yes bool) {
	p.set(func(f *networkFaults) { f.requests, f.answers = yes, yes })
}

// HoldAnswers holds back what the target sends. What it was sent before is done.
// After Reset it is lost.
func (p *Proxy) HoldAnswers(yes bool) { p.set(func(f *networkFaults) { f.answers = yes }) }

// Refuse closes new connections at once.
func (p *Proxy) Refuse(yes bool) { p.set(func(f *networkFaults) { f.refuse = yes }) }

// Delay adds to the time that bytes take in each direction.
func (p *Proxy) Delay(d time.Duration) { p.set(func(f *networkFaults) { f.delay = d }) }

// Reset closes all connections. What is on its way is lost.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
	clear(p.conns)
	p.faults.resets++
	p.turnLocked()
}

func (p *Proxy) set(change func(*networkFaults)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.faults)
	p.turnLocked()
}

func (p *Proxy) turnLocked() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) state() (networkFaults, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults, p.changed
}

// add takes a connection into those that Reset closes.
func (p *Proxy) add(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = c.Close()
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) drop(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	_ = c.Close()
}

func (p *Proxy) accept() {
	for {
		in, err := p.listen.Accept()
		if err != nil {
			return
		}
		if f, _ := p.state(); f.refuse || !p.add(in) {
			_ = in.Close()
			continue
		}
		p.wg.Go(func() { p.serve(in) })
	}
}

func (p *Proxy) serve(in net.Conn) {
	defer p.drop(in)
	begin, _ := p.state()
	out, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil || !p.add(out) {
		return
	}
	defer p.drop(out)
	ended := make(chan struct{}) // of the connection
	var end sync.Once
	var ways sync.WaitGroup
	for _, w := range []struct {
		from, to net.Conn
		held     func(networkFaults) bool
	}{
		{in, out, func(f networkFaults) bool { return f.requests }},
		{out, in, func(f networkFaults) bool { return f.answers }},
	} {
		ways.Go(func() {
			p.pass(w.from, w.to, w.held, begin.resets, ended)
			end.Do(func() { close(ended) })
			p.drop(in)
			p.drop(out)
		})
	}
	ways.Wait()
}

// chunk is a piece of a stream and when it arrives.
type chunk struct {
	data []byte
	due  time.Time
}

// pass copies one direction until either side ends.
func (p *Proxy) pass(from, to net.Conn, held func(networkFaults) bool, resets int, ended <-chan struct{}) {
	chunks := make(chan chunk, 256)
	go func() {
		defer close(chunks)
		for {
			buf := make([]byte, 32<<10)
			n, err := from.Read(buf)
			if n > 0 {
				f, _ := p.state()
				select {
				case chunks <- chunk{buf[:n], time.Now().Add(f.delay)}:
				case <-ended:
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	for c := range chunks {
		if !p.hold(c.due, held, resets, ended) {
			return
		}
		if _, err := to.Write(c.data); err != nil {
			return
		}
	}
}

// hold waits until a chunk is due and nothing holds it back.
func (p *Proxy) hold(due time.Time, held func(networkFaults) bool, resets int, ended <-chan struct{}) bool {
	t := time.NewTimer(time.Until(due))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ended:
		return false
	}
	for {
		f, changed := p.state()
		if f.resets != resets {
			return false
		}
		if !held(f) {
			return true
		}
		select {
		case <-changed:
		case <-ended:
			return false
		}
	}
}
