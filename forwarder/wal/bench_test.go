//go:build linux

package wal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const benchEvents = 8192

// benchRound is how many events go one way before they go the other: short
// enough that both meet the machine in the same mood.
const benchRound = 100_000

// BenchmarkDurable appends as fast as the ring takes events, in 8 lanes, until
// all are durable; and, in turns, appends the same events to a plain file with
// a sync for each group, in groups of the size that the log made: the machine's
// limit, which is not part of the time measured.
func BenchmarkDurable(b *testing.B) {
	evs := events(benchEvents)
	b.ReportAllocs()
	b.SetBytes(int64(len(evs[0])))
	l := New(Options{Dir: b.TempDir()})
	var groups atomic.Int64
	l.fsync = func(path string) error {
		err := syncFile(path)
		if err == nil {
			groups.Add(1)
		}
		return err
	}
	l.Start()
	defer l.Close()
	waitOpen(b, l)
	groups.Store(0)
	lanes := make([]string, 8)
	for i := range lanes {
		lanes[i] = fmt.Sprint("default/", i)
	}
	f, err := os.Create(filepath.Join(b.TempDir(), "raw"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	var raw time.Duration
	var payload, disk int64
	b.ResetTimer()
	for done := 0; done < b.N; {
		n := min(benchRound, b.N-done)
		start := written(b)
		for i := range n {
			ev := evs[i%benchEvents]
			payload += int64(len(ev))
			for l.Append(lanes[i%8], 1, ev) == ErrFull {
				time.Sleep(100 * time.Microsecond)
			}
		}
		if err := l.Flush(context.Background()); err != nil {
			b.Fatal(err)
		}
		done += n
		b.StopTimer()
		disk += written(b) - start
		raw += rawAppend(b, f, evs, n, done/int(groups.Load()))
		b.StartTimer()
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(disk)/float64(payload), "disk-B/B")
	b.ReportMetric(float64(b.N)/float64(groups.Load()), "events/group")
	b.ReportMetric(raw.Seconds()/b.Elapsed().Seconds(), "of-raw")
}

// rawAppend is how long n events take, appended and synced in groups.
func rawAppend(b *testing.B, f *os.File, evs [][]byte, n, group int) time.Duration {
	start := time.Now()
	var buf []byte
	for i := range n {
		buf = append(buf, evs[i%benchEvents]...)
		if (i+1)%group != 0 && i != n-1 {
			continue
		}
		if _, err := f.Write(buf); err != nil {
			b.Fatal(err)
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
		buf = buf[:0]
	}
	return time.Since(start)
}
