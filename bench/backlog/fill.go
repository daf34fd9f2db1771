//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/intilery/caddy-intilery/bench/internal/events"
	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/forwarder/wal"
)

const (
	mib       = 1 << 20
	lanes     = 8 // as many as a destination has
	different = 65_536
)

// fill makes a log of at least size bytes on disk and returns how many events
// it holds.
func fill(ctx context.Context, dir string, size int64) (count int, err error) {
	evs, err := events.Make(different)
	if err != nil {
		return 0, err
	}
	l := wal.New(wal.Options{Dir: dir, MaxBytes: limit(size)})
	var lane [lanes]*wal.Lane
	for i := range lane {
		lane[i] = l.Lane(fmt.Sprint("default/", i))
	}
	l.Start()
	start := time.Now()
	for l.Stats().DiskBytes < size {
		for range 8192 {
			if err := add(ctx, lane[count%lanes], evs[count%different]); err != nil {
				return 0, errors.Join(err, l.Close())
			}
			count++
		}
		if err := l.Flush(ctx); err != nil {
			return 0, errors.Join(err, l.Close())
		}
	}
	took, st := time.Since(start), l.Stats()
	fmt.Printf("backlog: %d events, %d MiB, %d MiB on disk in %d segments, made in %.1f s\n",
		count, int64(count)*events.Size/mib, st.DiskBytes/mib, st.Segments, took.Seconds())
	return count, l.Close()
}

// limit is max_size in bytes, far enough above a backlog of that size that
// nothing of it is refused.
func limit(size int64) int64 { return max(1<<30, 2*size) }

// add appends a copy of the event, because the log keeps what it is given. A
// full buffer is waited for.
func add(ctx context.Context, lane *wal.Lane, event []byte) error {
	rec := []byte(strings.Clone(string(event)))
	for {
		err := lane.Append(1, rec)
		if !errors.Is(err, queue.ErrFull) {
			return err
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
