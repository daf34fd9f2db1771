//go:build linux

package queue

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/bench/internal/events"
	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/forwarder/wal"
	"github.com/intilery/caddy-intilery/internal/seal"
)

// BenchmarkWAL is our log in lock step.
func BenchmarkWAL(b *testing.B) {
	lockStep(b, func(b *testing.B, dir string, group int) store {
		return openWAL(b, wal.Options{Dir: dir, GroupBytes: int64(group) * cost(b, dir)})
	})
}

// BenchmarkWALStream is our log as it is used: nobody waits for a commit but the
// buffer, when it is full. With its defaults first, then under each other sync
// policy, then encrypted. Its x-raw is to groups of 900.
func BenchmarkWALStream(b *testing.B) {
	keys, err := seal.New([][]byte{make([]byte, seal.KeySize)})
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		opt  wal.Options
	}{
		{"sync=group", wal.Options{}},
		{"sync=interval", wal.Options{Sync: wal.SyncInterval}},
		{"sync=os", wal.Options{Sync: wal.SyncOS}},
		{"encrypted", wal.Options{Keys: keys}},
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
// second: while a reader takes them, as with Intilery up, and while none does.
// Its groups are small, so an event costs more CPU and more disk than at full
// speed; its events/s is the pace and says nothing. It should run for 30 s, or
// nothing is written out and removed.
func BenchmarkWALPaced(b *testing.B) {
	b.Run("read", func(b *testing.B) { paced(b, true) })
	b.Run("unread", func(b *testing.B) { paced(b, false) })
}

func paced(b *testing.B, read bool) {
	const perSecond = 2000
	dir := b.TempDir()
	l := openWAL(b, wal.Options{Dir: dir})
	m := newMeter(b, dir, 900)
	m.start()
	stop, stopped := make(chan struct{}), make(chan error, 1)
	if read {
		go func() { stopped <- l.consume(stop) }()
	}
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
	if close(stop); read {
		if err := <-stopped; err != nil {
			b.Fatal(err)
		}
	}
	m.compare()
	m.report()
	if err := l.close(); err != nil {
		b.Fatal(err)
	}
}

const lanes = 8 // as many as a destination has

type ourLog struct {
	*wal.Log
	lane [lanes]*wal.Lane
	next int
}

func openWAL(b *testing.B, o wal.Options) *ourLog {
	b.Helper()
	l := &ourLog{Log: wal.New(o)}
	for i := range l.lane {
		l.lane[i] = l.Lane(fmt.Sprint("default/", i))
	}
	l.Start()
	<-l.Opened()
	return l
}

// append takes events as a site's visitors send them, now in one lane, now in
// another. When the buffer is full it waits.
func (l *ourLog) append(evs [][]byte) error {
	for _, e := range evs {
		lane := l.lane[l.next%lanes]
		l.next++
		err := lane.Append(1, e)
		for ; errors.Is(err, queue.ErrFull); err = lane.Append(1, e) {
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

// consume reads and acknowledges what is there four times a second, in batches
// as they are sent, until stop is closed.
func (l *ourLog) consume(stop <-chan struct{}) error {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-stop:
			return nil
		}
		for _, lane := range l.lane {
			for {
				recs, err := lane.Read(lane.Acknowledged(), 950_000)
				if err != nil {
					return err
				}
				if len(recs) == 0 {
					break
				}
				lane.Acknowledge(recs[len(recs)-1].Position)
			}
		}
	}
}

func (l *ourLog) close() error { return l.Close() }

// cost is what one event takes of the buffer, by which the log counts groups.
func cost(b *testing.B, dir string) int64 {
	b.Helper()
	l := wal.New(wal.Options{Dir: dir}) // never started: it keeps what it gets
	if err := l.Lane("cost").Append(1, make([]byte, events.Size)); err != nil {
		b.Fatal(err)
	}
	n := l.Stats().BufferBytes
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	return n
}
