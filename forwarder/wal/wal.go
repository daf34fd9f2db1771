package wal

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/intilery/caddy-intilery/forwarder/internal/durations"
)

// Classes is the number of record classes. A higher class is shed later.
const Classes = 3

// MaxRecord is the size in bytes of the largest record that Append takes.
const MaxRecord = 500 << 10

// Errors that Append, Flush and Close return, to be tested with errors.Is.
var (
	// ErrFull says that there was no room for a record of this class, in the
	// ring or under the cap. The record was shed and counted.
	ErrFull = errors.New("wal: ring is full")
	// ErrClosed says that Close was called.
	ErrClosed = errors.New("wal: closed")
	// ErrTooLarge says that a record is larger than MaxRecord.
	ErrTooLarge = errors.New("wal: record is too large")
	// ErrBadLane says that a lane's name is empty or longer than 255 bytes, or
	// that the log already has its 4096 lanes, or that the class is unknown.
	ErrBadLane = errors.New("wal: bad lane or class")
)

// Options configures a Log. A zero value of any field but Dir means its default.
type Options struct {
	// Dir is the directory of the log. It is created when it does not exist.
	Dir string
	// RingBytes bounds the records held in memory until they are committed, in
	// bytes. Nothing is allocated ahead. Default: 32 MiB.
	RingBytes int64
	// GroupBytes is the size in bytes at which a group is committed before
	// GroupDelay has passed. Default: 256 KiB.
	GroupBytes int64
	// GroupDelay is how long a record waits for others to share its commit.
	// At a few thousand events a second, a commit costs as much as its group: 20 ms
	// instead of 5 halve the bytes on disk and take a third off the CPU. It is also
	// what a crash loses. Default: 20 ms.
	GroupDelay time.Duration
	// GenerationBytes is the size in bytes at which a new generation begins;
	// while readers keep up, at half of it, or at 6 MiB if that is less.
	// Badger maps its files, so what a reader has read of a generation counts as
	// the process's memory until the generation is removed. Default: 32 MiB.
	GenerationBytes int64
	// GenerationAge is the age at which a new generation begins. Default: 1 h.
	GenerationAge time.Duration
	// MaxBytes bounds the blocks allocated to the directory, quarantine included.
	// From 13/16 of it on, records of class 0 are refused, from 14/16 also those
	// of class 1, and at 15/16 the oldest quarantined generation is removed, or
	// else the oldest generation, delivered or not. It should be 256 MiB at least, for
	// Badger writes some 16 MiB twice before it can be measured.
	// Default: 1 GiB.
	MaxBytes int64
	// MaxAge is the age at which a record is dropped, counted as lost, if it is
	// not acknowledged. It is kept to within GenerationAge. Default: 72 h.
	MaxAge time.Duration
	// FreeSpaceFloor is the free space of Dir's file system, in bytes, below
	// which nothing is written. Default: 64 MiB.
	FreeSpaceFloor int64
	// Sync says when commits are forced onto the disk. Default: SyncGroup.
	Sync SyncPolicy
	// SyncEvery is how often that happens under SyncInterval. Default: 1 s.
	SyncEvery time.Duration
	// Keys are encryption keys of KeySize bytes. The first seals what is written
	// from now on, all of them open what was written. Default: nothing is sealed.
	// A log that finds a generation sealed with another key does not open and
	// touches nothing: its condition stays Opening, and records are held.
	Keys [][]byte
	// Logger receives what an operator should know. It never receives record
	// contents. Default: nothing is logged.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.RingBytes <= 0 {
		o.RingBytes = 32 << 20
	}
	if o.GroupBytes <= 0 {
		o.GroupBytes = 256 << 10
	}
	if o.GroupDelay <= 0 {
		o.GroupDelay = 20 * time.Millisecond
	}
	if o.GenerationBytes <= 0 {
		o.GenerationBytes = 32 << 20
	}
	if o.GenerationAge <= 0 {
		o.GenerationAge = time.Hour
	}
	if o.FreeSpaceFloor <= 0 {
		o.FreeSpaceFloor = 64 << 20
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 1 << 30
	}
	o.GenerationBytes = min(o.GenerationBytes, max(o.MaxBytes/4, 1))
	if o.MaxAge <= 0 {
		o.MaxAge = 72 * time.Hour
	}
	if o.SyncEvery <= 0 {
		o.SyncEvery = time.Second
	}
	if badgerSyncs {
		o.Sync = SyncGroup
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Log is a durable log. Its methods may be called by any number of goroutines;
// each lane should have one consumer.
type Log struct {
	opt Options
	log *slog.Logger

	// Tests replace these before Start.
	now       func() time.Time // for what takes time; its monotonic reading counts
	wall      func() time.Time // for what is written down
	usage     func(dir string) int64
	freeSpace func(dir string) (int64, error)
	openDB    func(badger.Options) (*badger.DB, error)
	fsync     func(path string) error

	wake     chan struct{} // cap 1: the writer has something to do
	tidyUp   chan struct{} // cap 1: the janitor has something to do
	closing  chan struct{} // closed by Close
	finished chan struct{} // closed when everything has been shut down

	mu       sync.Mutex
	started  bool
	closed   bool
	prepared bool // the directory is locked and the ledger read
	ring     ring
	group    *group // taken from the ring, not yet committed
	ahead    *group // taken behind it and made ready meanwhile; nil when group is
	lanes    map[string]*lane
	byID     map[uint16]*lane
	gens     []*generation // ascending
	nextGen  uint64        // number of the next generation
	active   *generation   // takes the writes; nil until there is one
	flushed  chan struct{} // closed when something leaves the ring; nil when nobody waits
	refused  uint8         // classes below are refused, for the directory is nearly at its cap
	counts   counters
	trouble  trouble
	closeErr error

	acksDirty atomic.Bool // cursors have moved since the ledger was written
	weighDue  atomic.Bool // the directory's size has changed otherwise than by commits
	commits   durations.Histogram
	reads     atomic.Uint64 // how often a generation was read from
	ledger    ledger
	lock      *dirLock // owned by the writer
	w         writer   // owned by the writer
	keys      *Keyring // nil when nothing is sealed; fixed once prepared
	dec       unpacker
}

// New returns a log that does nothing yet. It does no I/O.
func New(o Options) *Log {
	o = o.withDefaults()
	return &Log{
		opt:       o,
		log:       o.Logger,
		now:       time.Now,
		wall:      time.Now,
		usage:     dirUsage,
		freeSpace: freeSpace,
		openDB:    badger.Open,
		fsync:     syncFile,
		wake:      make(chan struct{}, 1),
		tidyUp:    make(chan struct{}, 1),
		closing:   make(chan struct{}),
		finished:  make(chan struct{}),
		ring:      ring{limit: o.RingBytes},
		lanes:     make(map[string]*lane),
		byID:      make(map[uint16]*lane),
		ledger:    ledger{path: filepath.Join(o.Dir, "ledger")},
	}
}

// Start opens the log in the background and returns at once. A directory that
// cannot be opened is tried again until it can be. Start may be called again.
func (l *Log) Start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.started || l.closed {
		return
	}
	l.started = true
	go l.run()
}

// Append adds a record to a lane. It works in memory only and never waits. The
// log owns rec from then on. Class says what is shed first when the ring is
// full, or the directory nearly at its cap: 0 goes first, 2 last; a record of a higher class takes the place of the
// oldest of the lowest class. Errors: ErrFull, ErrTooLarge, ErrBadLane, ErrClosed.
func (l *Log) Append(name string, class uint8, rec []byte) error {
	if len(rec) > MaxRecord {
		return ErrTooLarge
	}
	if class >= Classes {
		return ErrBadLane
	}
	at := l.wall().UnixMilli()
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	ln := l.lane(name)
	if ln == nil {
		l.mu.Unlock()
		return ErrBadLane
	}
	l.counts.appended[class]++
	if class < l.refused {
		l.counts.addShed(class, ShedCapBytes, 1)
		l.mu.Unlock()
		return ErrFull
	}
	before := l.ring.bytes
	evicted, ok := l.ring.add(entry{lane: ln, data: rec, at: at, class: class})
	if !ok || evicted != [Classes]uint64{} {
		l.shedLocked(class, ok, evicted)
	}
	due := ok && (before == 0 || before < l.opt.GroupBytes && l.ring.bytes >= l.opt.GroupBytes)
	l.mu.Unlock()
	if due {
		nudge(l.wake)
	}
	if !ok {
		return ErrFull
	}
	return nil
}

// shedLocked counts what the full ring has cost.
func (l *Log) shedLocked(class uint8, accepted bool, evicted [Classes]uint64) {
	cause := l.trouble.shedCause()
	if !accepted {
		l.counts.addShed(class, cause, 1)
	}
	for c, n := range evicted {
		l.counts.addShed(uint8(c), cause, n)
	}
	l.signalFlushLocked()
}

// Flush returns nil once every record that was appended before the call is
// durable or was shed. It waits for the group commit; it does not hurry it. It
// returns ctx's error when ctx ends first, and ErrClosed when Close came first
// and had to drop records.
func (l *Log) Flush(ctx context.Context) error {
	l.mu.Lock()
	target := l.ring.order
	for {
		if l.oldestPendingLocked() > target {
			dropped := l.counts.lost[LostAtClose] > 0
			l.mu.Unlock()
			if dropped {
				return ErrClosed
			}
			return nil
		}
		if l.flushed == nil {
			l.flushed = make(chan struct{})
		}
		wait := l.flushed
		l.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		case <-l.finished:
			return ErrClosed
		}
		l.mu.Lock()
	}
}

func (l *Log) oldestPendingLocked() uint64 {
	if l.group != nil {
		return l.group.oldest
	}
	return l.ring.oldest()
}

func (l *Log) signalFlushLocked() {
	if l.flushed != nil {
		close(l.flushed)
		l.flushed = nil
	}
}

// Lanes returns the names of all lanes that the log knows, sorted, also those
// that nobody appends to any more.
func (l *Log) Lanes() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	names := make([]string, 0, len(l.lanes))
	for name := range l.lanes {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// nudge signals a channel of capacity one without waiting.
func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func genName(n uint64) string { return generationPrefix + strconv.FormatUint(n, 10) }
