package queue

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// ShedCause says why there was no room when a record was shed.
type ShedCause string

// The causes of shedding.
const (
	ShedBufferFull ShedCause = "buffer_full" // records came faster than the disk takes them
	ShedNotOpen    ShedCause = "not_open"    // the log cannot be opened (yet)
	ShedDiskFull   ShedCause = "disk_full"   // the disk is full
	ShedQuota      ShedCause = "quota"       // the disk quota is used up
	ShedInodes     ShedCause = "inodes"      // the file system takes no more files
	ShedDiskError  ShedCause = "disk_error"  // writes fail
	ShedMaxSize    ShedCause = "max_size"    // the log is near its maximum size
)

// LossCause says how records came to be lost that the log had accepted.
type LossCause string

// The causes of loss.
const (
	LostMissing  LossCause = "missing"  // durable once, and not on disk any more
	LostCorrupt  LossCause = "corrupt"  // on disk, but damaged
	LostMaxSize  LossCause = "max_size" // given up with the oldest part of the log, at its maximum size
	LostExpired  LossCause = "expired"  // given up at the maximum age
	LostShutdown LossCause = "shutdown" // in memory when the process stopped and the disk took no more
)

// Condition is the state of a log in one word.
type Condition string

// The conditions of a log. In all but OK and Degraded, records are buffered in
// memory.
const (
	Opening    Condition = "opening"     // not open yet
	OK         Condition = "ok"          // records reach the disk
	Degraded   Condition = "degraded"    // the same, but a damaged part was set aside
	DiskFull   Condition = "disk_full"   // too little free space
	QuotaFull  Condition = "quota_full"  // the disk quota is used up
	InodesFull Condition = "inodes_full" // the file system takes no more files
	Failing    Condition = "failing"     // writes fail and are tried again
	Closed     Condition = "closed"
)

// Stats is a snapshot of a log. Counters begin at zero with the process and
// never fall. Once nothing is buffered, Offered = Committed + Shed + Erased +
// Lost[LostShutdown], the sums taken over classes and causes.
type Stats struct {
	Condition Condition
	Reason    string // for a person; empty when the condition is OK

	Offered   [Classes]uint64               // records offered, by class, shed ones included
	Committed uint64                        // records made durable
	Shed      [Classes]map[ShedCause]uint64 // records refused, or evicted for others, by class
	Erased    [Classes]uint64               // records removed from memory by Drop, by class
	Lost      map[LossCause]uint64          // records accepted that can never be read

	Pending map[string]uint64 // records durable and not ended, by lane
	Oldest  time.Duration     // about the age of the oldest pending or buffered record; 0 when there is none

	BufferBytes           int64 // memory of records that are not durable yet
	DiskBytes             int64 // blocks allocated to the log
	FreeBytes             int64 // free space of its file system; 0 when it is not known
	Segments, Quarantined int   // parts of the log on disk; those set aside

	CommitDurations Histogram // how long groups of records took to become durable, failed ones included
	Reads           uint64    // how often records were read from disk
}

// TotalPending is the number of pending records of all lanes.
func (s Stats) TotalPending() (n uint64) {
	for _, m := range s.Pending {
		n += m
	}
	return n
}

// Histogram is a snapshot of how long something took, in seconds. Buckets count
// cumulatively, by their upper bound.
type Histogram struct {
	Count   uint64
	Sum     float64
	Buckets map[float64]uint64
}

// NewHistogram returns a collector of durations from 1 ms to 30 s.
func NewHistogram() prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	})
}

// ReadHistogram returns what h has collected.
func ReadHistogram(h prometheus.Histogram) Histogram {
	var m dto.Metric
	if h.Write(&m) != nil {
		return Histogram{}
	}
	s := Histogram{m.Histogram.GetSampleCount(), m.Histogram.GetSampleSum(), make(map[float64]uint64)}
	for _, b := range m.Histogram.GetBucket() {
		s.Buckets[b.GetUpperBound()] = b.GetCumulativeCount()
	}
	return s
}

// Add returns the sum of two snapshots.
func (h Histogram) Add(o Histogram) Histogram {
	s := Histogram{h.Count + o.Count, h.Sum + o.Sum, make(map[float64]uint64, len(h.Buckets))}
	for _, b := range []map[float64]uint64{h.Buckets, o.Buckets} {
		for bound, n := range b {
			s.Buckets[bound] += n
		}
	}
	return s
}
