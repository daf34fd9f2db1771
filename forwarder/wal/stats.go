package wal

import (
	"maps"
	"os"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/internal/durations"
)

// ShedCause says why the ring was full when a record was shed.
type ShedCause string

// The causes of shedding.
const (
	ShedRingFull  ShedCause = "ring_full"  // records came faster than the disk takes them
	ShedNotOpen   ShedCause = "not_open"   // the directory cannot be opened (yet)
	ShedDiskFull  ShedCause = "disk_full"  // free space is below the floor
	ShedDiskError ShedCause = "disk_error" // commits fail
	ShedCapBytes  ShedCause = "cap_bytes"  // the directory is nearly at MaxBytes
)

// LossCause says how records came to be lost that the log had accepted.
type LossCause string

// The causes of loss.
const (
	LostMissing     LossCause = "missing"     // synced once, and not on disk any more
	LostCorrupt     LossCause = "corrupt"     // on disk, but its checksum is wrong
	LostQuarantined LossCause = "quarantined" // in a generation that cannot be opened or read
	LostCapBytes    LossCause = "cap_bytes"   // dropped with the oldest generation, at MaxBytes
	LostExpired     LossCause = "expired"     // dropped unacknowledged at MaxAge
	LostAtClose     LossCause = "closed"      // still in the ring when Close had to give up
)

// Condition is the state of a log in one word.
type Condition string

// The conditions of a log.
const (
	Opening  Condition = "opening"  // not open yet; records are held in memory
	OK       Condition = "ok"       // commits work
	Held     Condition = "held"     // free space is below the floor; records are held in memory
	Failing  Condition = "failing"  // commits fail and are tried again; records are held in memory
	Degraded Condition = "degraded" // commits work, but a generation is in quarantine
	Closed   Condition = "closed"
)

// Stats is a snapshot of a log. Counters run from New and never fall. Once
// nothing is in the ring, Appended = Committed + Shed + Erased +
// Lost[LostAtClose], the sums taken over all classes and causes.
type Stats struct {
	Appended                 [Classes]uint64               // records offered, by class, shed ones included
	Committed                uint64                        // records made durable
	Shed                     [Classes]map[ShedCause]uint64 // records that the full ring refused or evicted
	Lost                     map[LossCause]uint64          // records accepted that can never be read
	Erased                   [Classes]uint64               // records removed by DropHeld, by class
	Dropped                  [Classes]map[LossCause]uint64 // what of Lost was dropped on purpose, by class
	CommitDurations          durations.Snapshot            // how long group commits took, failed ones included
	Reads                    uint64                        // how often a generation was read from
	Lanes                    map[string]LaneStats          // by name
	Condition                Condition                     // the state in one word
	Reason                   string                        // for a person; empty when the condition is OK
	RingBytes                int64                         // memory taken by records not yet committed
	DiskBytes                int64                         // blocks allocated to generations
	FreeBytes                int64                         // free space of the file system; 0 when unknown
	Backlog                  uint64                        // records committed and not acknowledged
	OldestAge                time.Duration                 // age of the oldest record not acknowledged, about; 0 when none
	Quarantined, Generations int                           // directories
}

// LaneStats is the state of one lane, as sequences.
type LaneStats struct{ Committed, Acked uint64 }

// counters are the counts behind Stats. Log.mu guards them.
type counters struct {
	appended    [Classes]uint64
	committed   uint64
	shed        [Classes]map[ShedCause]uint64
	lost        map[LossCause]uint64
	dropped     [Classes]map[LossCause]uint64
	erased      [Classes]uint64
	quarantined int
}

func (c *counters) addShed(class uint8, cause ShedCause, n uint64) {
	if n == 0 {
		return
	}
	if c.shed[class] == nil {
		c.shed[class] = make(map[ShedCause]uint64)
	}
	c.shed[class][cause] += n
}

func (c *counters) addDropped(class uint8, cause LossCause, n uint64) {
	if n == 0 {
		return
	}
	if c.dropped[class] == nil {
		c.dropped[class] = make(map[LossCause]uint64)
	}
	c.dropped[class][cause] += n
	c.addLost(cause, n)
}

func (c *counters) addLost(cause LossCause, n uint64) {
	if n == 0 {
		return
	}
	if c.lost == nil {
		c.lost = make(map[LossCause]uint64)
	}
	c.lost[cause] += n
}

// Stats returns a snapshot. It asks the file system for sizes, but does not
// wait for writes.
func (l *Log) Stats() Stats {
	free, err := l.freeSpace(l.opt.Dir)
	if err != nil {
		free = 0
	}
	l.mu.Lock()
	s := Stats{
		Appended:  l.counts.appended,
		Committed: l.counts.committed,
		Lost:      maps.Clone(l.counts.lost),
		Lanes:     make(map[string]LaneStats, len(l.lanes)),
		RingBytes: l.ring.bytes,
		FreeBytes: free,
		Erased:    l.counts.erased,
		Reads:     l.reads.Load(),

		CommitDurations: l.commits.Read(),
		Quarantined:     l.counts.quarantined,
		Generations:     len(l.gens),
	}
	for c, m := range l.counts.shed {
		s.Shed[c] = maps.Clone(m)
		s.Dropped[c] = maps.Clone(l.counts.dropped[c])
	}
	s.Condition, s.Reason = l.conditionLocked()
	oldest := l.ring.oldestTime()
	if l.group != nil {
		oldest = l.group.at
	}
	for name, ln := range l.lanes {
		s.Lanes[name] = LaneStats{Committed: ln.synced, Acked: ln.acked}
		s.Backlog += ln.backlog()
		if ln.head != 0 && (oldest == 0 || ln.head < oldest) {
			oldest = ln.head
		}
	}
	if oldest != 0 {
		s.OldestAge = max(0, l.wall().Sub(time.UnixMilli(oldest)))
	}
	dirs := make([]string, len(l.gens))
	for i, g := range l.gens {
		dirs[i] = g.dir
	}
	l.mu.Unlock()
	for _, dir := range dirs {
		s.DiskBytes += dirBytes(dir)
	}
	return s
}

// dirBytes returns the bytes allocated to the files in dir.
func dirBytes(dir string) int64 {
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	var n int64
	for _, f := range files {
		if fi, err := f.Info(); err == nil {
			n += allocated(fi)
		}
	}
	return n
}
