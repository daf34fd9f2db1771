//go:build linux

package queue

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/bench/internal/events"
	"github.com/intilery/caddy-intilery/forwarder/wal"
)

// BenchmarkWAL is our log in lock step.
func BenchmarkWAL(b *testing.B) {
	lockStep(b, func(b *testing.B, dir string, group int) store {
		return openWAL(b, wal.Options{Dir: dir, GroupBytes: int64(group) * cost(b, dir)})
	})
}

// BenchmarkWALStream is our log as it is used: nobody waits for a commit but the
// ring, when it is full. With its defaults first, then under each other sync
// policy, then sealed. Its x-raw is to groups of 900.
func BenchmarkWALStream(b *testing.B) {
	for _, c := range []struct {
		name string
		opt  wal.Options
	}{
		{"sync=group", wal.Options{}},
		{"sync=interval", wal.Options{Sync: wal.SyncInterval}},
		{"sync=os", wal.Options{Sync: wal.SyncOS}},
		{"sealed", wal.Options{Keys: [][]byte{make([]byte, wal.KeySize)}}},
	} {
		b.Run(c.name, func(b *testing.B) { stream(b, c.opt) })
	}
}

func stream(b *testing.B, o wal.Options) {
	const burst = 1 << 16 // then all is waited for, so that raw has its turn
	o.Dir = b.TempDir()
	l := openWAL(b, o)
	m := newMeter(b, o.Dir, 900)
	for done := 0; done < b.N; {
		m.start()
		for left := min(burst, b.N-done); left > 0; {
			n := min(1024, left)
			if err := l.append(m.next(n)); err != nil {
				b.Fatal(err)
			}
			left -= n
			done += n
		}
		if err := l.Flush(context.Background()); err != nil {
			b.Fatal(err)
		}
		m.stop()
		m.compare()
	}
	m.report()
	if err := l.close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkWALPaced is our log with its defaults on a busy site, 2,000 events a
// second. Its groups are small, so an event costs more CPU and more disk than at
// full speed; its events/s is the pace and says nothing.
func BenchmarkWALPaced(b *testing.B) {
	const perSecond = 2000
	dir := b.TempDir()
	l := openWAL(b, wal.Options{Dir: dir})
	m := newMeter(b, dir, 900)
	m.start()
	start := time.Now()
	for done := range b.N {
		time.Sleep(time.Until(start.Add(time.Duration(done) * time.Second / perSecond)))
		if err := l.append(m.next(1)); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
	m.stop()
	m.compare()
	m.report()
	if err := l.close(); err != nil {
		b.Fatal(err)
	}
}

const lanes = 8 // as many as a destination has

type ourLog struct {
	*wal.Log
	lane [lanes]string
	next int
}

func openWAL(b *testing.B, o wal.Options) *ourLog {
	b.Helper()
	l := &ourLog{Log: wal.New(o)}
	for i := range l.lane {
		l.lane[i] = fmt.Sprint("default/", i)
	}
	l.Start()
	for l.Stats().Condition != wal.OK {
		time.Sleep(time.Millisecond)
	}
	return l
}

// append takes events as a site's visitors send them, now in one lane, now in
// another. When the ring is full it waits.
func (l *ourLog) append(evs [][]byte) error {
	for _, e := range evs {
		lane := l.lane[l.next%lanes]
		l.next++
		err := l.Append(lane, 1, e)
		for ; errors.Is(err, wal.ErrFull); err = l.Append(lane, 1, e) {
			time.Sleep(100 * time.Microsecond)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *ourLog) put(group [][]byte) error {
	if err := l.append(group); err != nil {
		return err
	}
	return l.Flush(context.Background())
}

func (l *ourLog) close() error { return l.Close() }

// cost is what one event takes of the ring, by which the log counts groups.
func cost(b *testing.B, dir string) int64 {
	b.Helper()
	l := wal.New(wal.Options{Dir: dir}) // never started: it keeps what it gets
	if err := l.Append("cost", 1, make([]byte, events.Size)); err != nil {
		b.Fatal(err)
	}
	n := l.Stats().RingBytes
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	return n
}
