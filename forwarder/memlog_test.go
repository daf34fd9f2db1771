package forwarder

import (
	"context"
	"log/slog"
	"maps"
	"sync"

	"github.com/intilery/caddy-intilery/forwarder/wal"
)

// memLog is a Log in memory. It survives the forwarder that closed it, like a
// directory does: see reopen.
type memLog struct {
	mu       sync.Mutex
	limit    int // unacknowledged records per lane; 0 = any number
	started  bool
	closed   bool
	readErr  error
	flushErr error
	evict    bool // takes records and sheds them at once
	lanes    map[string]*memLane
	stats    wal.Stats
}

type memLane struct {
	recs  []Record
	last  uint64
	acked uint64
	read  uint64 // the highest sequence number that was read
	news  chan struct{}
}

func newMemLog() *memLog { return &memLog{lanes: make(map[string]*memLane)} }

// opener is what newForwarder takes to make its log.
func (m *memLog) opener(string, Settings, *slog.Logger) Log { return m }

// reopen is what a restart of the process does.
func (m *memLog) reopen() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed, m.started = false, false
	m.stats = wal.Stats{}
}

func (m *memLog) lane(name string) *memLane {
	l := m.lanes[name]
	if l == nil {
		l = &memLane{news: make(chan struct{}, 1)}
		m.lanes[name] = l
	}
	return l
}

func (m *memLog) Start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.started = true
}

func (m *memLog) Append(name string, class uint8, rec []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return wal.ErrClosed
	}
	l := m.lane(name)
	m.stats.Appended[class]++
	if m.limit > 0 && int(l.last-l.acked) >= m.limit {
		if m.stats.Shed[class] == nil {
			m.stats.Shed[class] = make(map[wal.ShedCause]uint64)
		}
		m.stats.Shed[class][wal.ShedRingFull]++
		return wal.ErrFull
	}
	if m.evict {
		if m.stats.Shed[class] == nil {
			m.stats.Shed[class] = make(map[wal.ShedCause]uint64)
		}
		m.stats.Shed[class][wal.ShedRingFull]++
		return nil
	}
	l.last++
	l.recs = append(l.recs, Record{Seq: l.last, Class: class, Data: rec})
	select {
	case l.news <- struct{}{}:
	default:
	}
	return nil
}

func (m *memLog) Read(name string, after uint64, maxBytes int) ([]Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, wal.ErrClosed
	}
	if m.readErr != nil {
		return nil, m.readErr
	}
	var recs []Record
	for _, r := range m.lane(name).recs {
		if r.Seq <= after {
			continue
		}
		if maxBytes -= len(r.Data); maxBytes < 0 && len(recs) > 0 {
			break
		}
		recs = append(recs, r)
		m.lanes[name].read = max(m.lanes[name].read, r.Seq)
	}
	return recs, nil
}

func (m *memLog) Acked(name string) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lane(name).acked
}

func (m *memLog) Ack(name string, seq uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	// Acknowledged records can still be read, as in a log on disk.
	l := m.lane(name)
	l.acked = max(l.acked, min(seq, l.last))
}

// DropHeld finds nothing: this log has no memory beside its lanes.
func (m *memLog) DropHeld(func(string, []byte) bool) (n [wal.Classes]uint64) { return n }

func (m *memLog) Flush(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.flushErr
}

func (m *memLog) Wait(name string) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lane(name).news
}

func (m *memLog) Stats() wal.Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.stats
	for c := range s.Shed {
		s.Shed[c] = maps.Clone(s.Shed[c])
	}
	s.Lanes = make(map[string]wal.LaneStats)
	for name, l := range m.lanes {
		s.Lanes[name] = wal.LaneStats{Committed: l.last, Acked: l.acked}
		s.Backlog += l.last - l.acked
	}
	return s
}

func (m *memLog) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

// giveUp drops the first records of a lane, as for their age.
func (m *memLog) giveUp(name string, seq uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.lane(name)
	if m.stats.Lost == nil {
		m.stats.Lost = make(map[wal.LossCause]uint64)
	}
	m.stats.Lost["expired"] += seq - l.acked
	l.acked = seq
}

// backlog is the number of records that are not acknowledged.
func (m *memLog) backlog() uint64 { return m.Stats().Backlog }

// Interface guards
var _ Log = (*memLog)(nil)
