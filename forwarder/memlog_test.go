package forwarder

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// memLog is an eventLog in memory. It survives the forwarder that closed it, like
// a directory does: see reopen. Its offsets leave gaps, as others may.
type memLog struct {
	incarnation uint64

	mu       sync.Mutex
	limit    int // pending records per lane; 0 = any number
	started  bool
	opened   chan struct{}
	closed   bool
	notHeld  bool // another process has it
	readErr  error
	flushErr error
	onFlush  func()        // called at the end of Flush
	reads    int           // calls of Read
	drops    int           // calls of Drop
	hold     chan struct{} // Append waits for it
	evict    bool          // takes records and sheds them at once
	lanes    map[string]*memLane
	stats    queue.Stats
}

// memLane is a lane of a memLog.
type memLane struct {
	log   *memLog
	users int
	recs  []queue.Record
	last  queue.Position
	acked queue.Position
	read  queue.Position // the furthest that was read
	after queue.Position // what Await has armed
	bytes int
	call  func()
}

func newMemLog() *memLog {
	return &memLog{incarnation: 7, lanes: make(map[string]*memLane), opened: make(chan struct{})}
}

// opener is what newForwarder takes to make its log.
func (m *memLog) opener(string, Settings, *slog.Logger) eventLog { return m }

// reopen is what a restart of the process does.
func (m *memLog) reopen() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed, m.started, m.opened = false, false, make(chan struct{})
	m.stats = queue.Stats{}
	for _, l := range m.lanes {
		l.users, l.call = 0, nil
	}
}

func (m *memLog) Start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.started {
		close(m.opened)
	}
	m.started = true
}

func (m *memLog) Opened() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.opened
}

func (m *memLog) Ready() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.notHeld || m.closed {
		return queue.ErrNotHeld
	}
	return nil
}

func (m *memLog) lane(name string) *memLane {
	l := m.lanes[name]
	if l == nil {
		l = &memLane{log: m}
		m.lanes[name] = l
	}
	return l
}

func (m *memLog) Lane(name string) logLane {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.lane(name)
	l.users++
	return l
}

func (m *memLog) Ends() map[string]queue.Position {
	m.mu.Lock()
	defer m.mu.Unlock()
	ends := make(map[string]queue.Position)
	for name, l := range m.lanes {
		if !l.last.IsZero() {
			ends[name] = l.last
		}
	}
	return ends
}

// Unfinished has all lanes: nobody knows when a directory would have their cursors.
func (m *memLog) Unfinished() map[string]queue.Position { return m.Ends() }

func (m *memLog) Cursor(name string) (queue.Position, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.lanes[name]; l != nil {
		return l.acked, true
	}
	return queue.Position{}, false
}

func (m *memLog) shed(class queue.Class) {
	if m.stats.Shed[class] == nil {
		m.stats.Shed[class] = make(map[queue.ShedCause]uint64)
	}
	m.stats.Shed[class][queue.ShedBufferFull]++
}

func (l *memLane) AppendWith(r *queue.Receipt, class queue.Class, rec []byte) error {
	m := l.log
	m.mu.Lock()
	hold := m.hold
	m.mu.Unlock()
	if hold != nil {
		<-hold
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return queue.ErrClosed
	}
	m.stats.Offered[class]++
	if m.limit > 0 && l.pending() >= m.limit {
		m.shed(class)
		m.mu.Unlock()
		return queue.ErrFull
	}
	if m.evict {
		m.shed(class)
		m.mu.Unlock()
		r.Begin()
		r.End(queue.ErrFull)
		return nil
	}
	l.last = queue.At(m.incarnation, l.last.Offset(m.incarnation)+3)
	l.recs = append(l.recs, queue.Record{Position: l.last, Class: class, Data: rec})
	call := l.due()
	if r.Begin(); m.flushErr == nil {
		r.End(nil)
	}
	m.mu.Unlock()
	if call != nil {
		call()
	}
	return nil
}

// pending is the number of records behind the cursor.
func (l *memLane) pending() (n int) {
	for i := len(l.recs) - 1; i >= 0 && l.recs[i].Position.Compare(l.acked) > 0; i-- {
		n++
	}
	return n
}

// due returns the armed call if enough waits behind its place.
func (l *memLane) due() (call func()) {
	n := 0
	for i := len(l.recs) - 1; i >= 0 && l.recs[i].Position.Compare(l.after) > 0 && l.recs[i].Position.Compare(l.acked) > 0; i-- {
		n += len(l.recs[i].Data)
	}
	if n < l.bytes || n == 0 {
		return nil
	}
	call, l.call = l.call, nil
	return call
}

func (l *memLane) Await(after queue.Position, bytes int, f func()) {
	l.log.mu.Lock()
	l.after, l.bytes, l.call = after, bytes, f
	call := l.due()
	l.log.mu.Unlock()
	if call != nil {
		call()
	}
}

func (l *memLane) Read(after queue.Position, maxBytes int) ([]queue.Record, error) {
	m := l.log
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	if m.closed {
		return nil, queue.ErrClosed
	}
	if m.readErr != nil {
		return nil, m.readErr
	}
	var recs []queue.Record
	for _, r := range l.recs {
		if r.Position.Compare(after) <= 0 || r.Position.Compare(l.acked) <= 0 {
			continue
		}
		if maxBytes -= len(r.Data); maxBytes < 0 && len(recs) > 0 {
			break
		}
		recs = append(recs, r)
		if l.read.Compare(r.Position) < 0 {
			l.read = r.Position
		}
	}
	return recs, nil
}

func (l *memLane) Acknowledged() queue.Position {
	l.log.mu.Lock()
	defer l.log.mu.Unlock()
	return l.acked
}

func (l *memLane) Acknowledge(upto queue.Position) (from queue.Position) {
	l.log.mu.Lock()
	defer l.log.mu.Unlock()
	from = l.acked
	if upto.Compare(l.acked) > 0 {
		l.acked = upto
	}
	return from
}

func (l *memLane) Release() {
	m := l.log
	m.mu.Lock()
	defer m.mu.Unlock()
	l.users--
	if l.users == 0 && l.pending() == 0 {
		maps.DeleteFunc(m.lanes, func(_ string, o *memLane) bool { return o == l })
	}
}

// Drop finds nothing: this log has no memory beside its lanes.
func (m *memLog) Drop(func([]byte) bool) (n [queue.Classes]uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drops++
	return n
}

func (m *memLog) Flush(ctx context.Context) error {
	m.mu.Lock()
	err, then := m.flushErr, m.onFlush
	m.mu.Unlock()
	if then != nil {
		then()
	}
	return err
}

func (m *memLog) Stats() queue.Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.stats
	for c := range s.Shed {
		s.Shed[c] = maps.Clone(s.Shed[c])
	}
	s.Lost = maps.Clone(s.Lost)
	s.Pending = make(map[string]uint64)
	for name, l := range m.lanes {
		s.Pending[name] = uint64(l.pending())
	}
	return s
}

func (m *memLog) Pending() map[string]uint64 { return m.Stats().Pending }
func (m *memLog) Incarnation() uint64        { return m.incarnation }
func (m *memLog) Crowded() bool              { return false }

func (m *memLog) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

// giveUp drops the first n pending records of a lane, as for their age.
func (m *memLog) giveUp(name string, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.lane(name)
	if m.stats.Lost == nil {
		m.stats.Lost = make(map[queue.LossCause]uint64)
	}
	i := slices.IndexFunc(l.recs, func(r queue.Record) bool { return r.Position.Compare(l.acked) > 0 })
	l.acked = l.recs[i+n-1].Position
	m.stats.Lost[queue.LostExpired] += uint64(n)
}

// backlog is the number of pending records.
func (m *memLog) backlog() uint64 { return m.Stats().TotalPending() }

// Interface guards
var (
	_ eventLog = (*memLog)(nil)
	_ logLane  = (*memLane)(nil)
)
