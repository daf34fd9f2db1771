package wal

import (
	"log/slog"
	"time"

	"github.com/intilery/caddy-intilery/internal/seal"
)

// SyncPolicy says when what is committed is also forced onto the disk. It
// decides what a loss of power costs; the end of the process costs the same
// under each: what is still in the buffer.
type SyncPolicy uint8

// The policies. On Windows, all of them are SyncGroup.
const (
	SyncGroup    SyncPolicy = iota // with each group: a loss of power costs what is in the buffer
	SyncInterval                   // every SyncEvery: it costs as much as that more
	SyncOS                         // when the system gets to it: about 30 s more on Linux
)

// Options configures a Log. A zero value of any field but Dir means its default.
type Options struct {
	// Dir is the directory of the log. It is created when it does not exist.
	Dir string
	// BufferBytes bounds the records held in memory until they are committed, in
	// bytes. Nothing is allocated ahead. Default: 32 MiB.
	BufferBytes int64
	// GroupBytes is the size in bytes at which a group is committed before
	// GroupDelay has passed. Default: 256 KiB.
	GroupBytes int64
	// GroupDelay is how long a record waits for others to share its commit. It is
	// also what a crash loses. Default: 20 ms.
	GroupDelay time.Duration
	// SegmentBytes is how many bytes of blocks a segment takes. As much disk is
	// reserved for it from the start on. Default: 16 MiB.
	SegmentBytes int64
	// SegmentAge is the age at which a new segment begins. Default: 1 h, but at
	// most a tenth of MaxAge.
	SegmentAge time.Duration
	// MaxBytes bounds the blocks allocated to the directory, quarantine included.
	// From 26/32 of it on, records of class 0 are refused, from 27/32 those below
	// class 3, from 28/32 those below class 4; at 30/32 the oldest quarantined segment
	// is removed, or else the oldest segment, delivered or not. It should be 16 times
	// SegmentBytes at least.
	// Default: 1 GiB.
	MaxBytes int64
	// MaxAge is the age at which a record is given up, counted as lost, if it is not
	// acknowledged. It is kept to within SegmentAge. Default: 72 h.
	MaxAge time.Duration
	// FreeSpaceFloor is the free space of Dir's file system, in bytes, below which
	// no segment is begun. Default: 64 MiB.
	FreeSpaceFloor int64
	// Sync says when commits are forced onto the disk. Default: SyncGroup.
	Sync SyncPolicy
	// SyncEvery is how often that happens under SyncInterval. Default: 1 s.
	SyncEvery time.Duration
	// Keys encrypt what is written from now on, with the first one, and open what
	// was written, with any. A log that finds a segment encrypted with another key
	// does not open and touches nothing. Default: nothing is encrypted.
	Keys *seal.Keyring
	// Logger receives what an operator should know. It never receives contents of
	// records. Default: nothing is logged.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	def := func(v *int64, to int64) {
		if *v <= 0 {
			*v = to
		}
	}
	defDuration := func(v *time.Duration, to time.Duration) {
		if *v <= 0 {
			*v = to
		}
	}
	def(&o.BufferBytes, 32<<20)
	def(&o.GroupBytes, 256<<10)
	defDuration(&o.GroupDelay, 20*time.Millisecond)
	def(&o.SegmentBytes, 16<<20)
	def(&o.MaxBytes, 1<<30)
	defDuration(&o.MaxAge, 72*time.Hour)
	defDuration(&o.SegmentAge, min(time.Hour, o.MaxAge/10))
	def(&o.FreeSpaceFloor, 64<<20)
	defDuration(&o.SyncEvery, time.Second)
	o.SegmentBytes = max(o.SegmentBytes, 2*maxGroup) // the largest group fits
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
