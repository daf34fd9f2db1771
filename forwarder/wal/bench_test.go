//go:build linux

package wal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/intilery/caddy-intilery/forwarder/queue"
)

const benchEvents = 8192

// benchRound is how many events go one way before they go the other: short
// enough that both meet the machine in the same mood.
const benchRound = 100_000

// BenchmarkDurable appends as fast as the buffer takes events, in 8 lanes, until
// all are durable; and, in turns, appends the same events to a plain file with
// a sync for each group, in groups of the size that the log made: the machine's
// limit, which is not part of the time measured.
func BenchmarkDurable(b *testing.B) {
	evs := events(benchEvents)
	b.ReportAllocs()
	b.SetBytes(int64(len(evs[0])))
	l := New(Options{Dir: b.TempDir()})
	var groups syncs
	groups.use(l)
	l.Start()
	defer l.Close()
	waitOpen(b, l)
	groups.n.Store(0)
	lanes := make([]*Lane, 8)
	for i := range lanes {
		lanes[i] = l.Lane(fmt.Sprint("default/", i))
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
			for errors.Is(lanes[i%8].Append(1, ev), queue.ErrFull) {
				time.Sleep(100 * time.Microsecond)
			}
		}
		if err := l.Flush(context.Background()); err != nil {
			b.Fatal(err)
		}
		done += n
		b.StopTimer()
		disk += written(b) - start
		raw += rawAppend(b, f, evs, n, done/groups.count())
		b.StartTimer()
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(disk)/float64(payload), "disk-B/B")
	b.ReportMetric(float64(b.N)/float64(groups.count()), "events/group")
	b.ReportMetric(raw.Seconds()/b.Elapsed().Seconds(), "of-raw")
}

// BenchmarkCommit commits groups of 240 events of 1 KB, spread over some lanes, by
// what is pending in the log. One operation is a group. While a group is made
// durable, cursors move, as they do while events are delivered.
func BenchmarkCommit(b *testing.B) {
	for _, gib := range []uint64{0, 10, 50} {
		for _, lanes := range []int{8, 80, 800} {
			b.Run(fmt.Sprintf("backlog=%dGiB/lanes=%d", gib, lanes), func(b *testing.B) { commit(b, gib, lanes) })
		}
	}
}

func commit(b *testing.B, gib uint64, n int) {
	const group = 240
	evs := events(benchEvents)
	dir := b.TempDir()
	if gib > 0 {
		backlog(b, dir, gib<<30/(16<<20), uint32(n))
	}
	one := entry{data: evs[0]}
	l := New(Options{Dir: dir, GroupBytes: group * one.cost(), MaxBytes: 1 << 50, MaxAge: 1 << 60})
	lanes := make([]*Lane, n)
	for i := range lanes {
		lanes[i] = l.Lane(laneOf(i))
	}
	l.Start()
	defer l.Close()
	waitOpen(b, l)
	at := 0
	cpu := ownCPU(b)
	for b.Loop() {
		for range group {
			ln := lanes[at%n]
			if err := ln.Append(1, evs[at%benchEvents]); err != nil {
				b.Fatal(err)
			}
			at++
		}
		if err := l.Flush(context.Background()); err != nil {
			b.Fatal(err)
		}
		ln := lanes[at%n]
		if gib == 0 {
			ln.Acknowledge(ln.End())
		} else {
			at := ln.Acknowledged().Offset(l.index.incarnation)
			ln.Acknowledge(queue.At(l.index.incarnation, at+1))
		}
	}
	b.ReportMetric(float64((ownCPU(b)-cpu).Microseconds())/float64(b.N), "cpu-µs/op")
}

// ownCPU is the user and system time of this process.
func ownCPU(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
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
