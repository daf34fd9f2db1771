//go:build linux

package queue

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/intilery/caddy-intilery/bench/internal/events"
	"github.com/intilery/caddy-intilery/bench/internal/measure"
)

// groups are the numbers of events in one sync: a quiet site's, the size at
// which our log commits before its delay is over, and the most that it commits
// at once under load.
var groups = []int{64, 240, 900}

const different = 8192 // events, repeated as often as needed

// store is a system under test.
type store interface {
	// put takes events, all of one group, and returns once they are durable.
	put(group [][]byte) error
	close() error
}

// BenchmarkRaw is the machine's limit: one file, append and fdatasync.
func BenchmarkRaw(b *testing.B) {
	lockStep(b, func(b *testing.B, dir string, _ int) store { return newRaw(b, dir) })
}

// lockStep measures a system in groups of each size.
func lockStep(b *testing.B, open func(b *testing.B, dir string, group int) store) {
	for _, group := range groups {
		b.Run(fmt.Sprint("group=", group), func(b *testing.B) {
			dir := b.TempDir()
			s := open(b, dir, group)
			m := newMeter(b, dir, group)
			for done := 0; done < b.N; {
				// Long enough to mean something, short enough to compare like with like.
				for until := m.start(); done < b.N && time.Now().Before(until); {
					n := min(group, b.N-done)
					if err := s.put(m.next(n)); err != nil {
						b.Fatal(err)
					}
					done += n
				}
				m.stop()
				m.compare()
			}
			m.report()
			if err := s.close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// slice is how long a system runs between two looks at the raw file.
const slice = 250 * time.Millisecond

// meter gives out events and keeps the accounts of one benchmark.
type meter struct {
	b       *testing.B
	dir     string
	group   int
	events  [][]byte
	at      int
	payload int64
	// Of the system, of slices that have ended, and at the start of the slice.
	written, writtenBefore int64 // disk bytes
	cpu, cpuBefore         time.Duration

	raw     *raw
	rawN    int
	rawTime time.Duration
}

func newMeter(b *testing.B, dir string, group int) *meter {
	b.Helper()
	evs, err := events.Make(different)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(events.Size)
	b.ReportAllocs()
	m := &meter{b: b, dir: dir, group: group, events: evs, raw: newRaw(b, b.TempDir())}
	b.ResetTimer()
	b.StopTimer()
	return m
}

// start starts the clock and says when the slice should end.
func (m *meter) start() time.Time {
	m.writtenBefore, m.cpuBefore = m.disk(), m.ownCPU()
	m.b.StartTimer()
	return time.Now().Add(slice)
}

func (m *meter) stop() {
	m.b.StopTimer()
	m.written += m.disk() - m.writtenBefore
	m.cpu += m.ownCPU() - m.cpuBefore
}

// next returns the n events that come next; n is at most different.
func (m *meter) next(n int) [][]byte {
	if m.at+n > len(m.events) {
		m.at = 0
	}
	out := m.events[m.at : m.at+n]
	m.at += n
	m.payload += int64(n) * events.Size
	return out
}

// compare lets the raw file have a slice, while the clock stands.
func (m *meter) compare() {
	start := time.Now()
	for time.Since(start) < slice {
		at := m.rawN % (different - m.group + 1)
		if err := m.raw.put(m.events[at : at+m.group]); err != nil {
			m.b.Fatal(err)
		}
		m.rawN += m.group
	}
	m.rawTime += time.Since(start)
	if err := m.raw.reset(); err != nil {
		m.b.Fatal(err)
	}
}

func (m *meter) report() {
	m.b.Helper()
	var blocks int64
	err := filepath.WalkDir(m.dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			blocks += st.Blocks * 512
		}
		return nil
	})
	if err != nil {
		m.b.Fatal(err)
	}
	rate := float64(m.b.N) / m.b.Elapsed().Seconds()
	raw := float64(m.rawN) / m.rawTime.Seconds()
	m.b.ReportMetric(rate, "events/s")
	m.b.ReportMetric(raw, "raw/s")
	m.b.ReportMetric(rate/raw, "x-raw")
	m.b.ReportMetric(float64(m.cpu.Nanoseconds())/1000/float64(m.b.N), "cpu-µs/event")
	m.b.ReportMetric(float64(m.written)/float64(m.payload), "disk-B/B")
	m.b.ReportMetric(float64(blocks)/float64(m.payload), "alloc-B/B")
	m.b.ReportMetric(0, "ns/op") // says the same as events/s
}

func (m *meter) disk() int64 {
	n, err := measure.Written(os.Getpid())
	if err != nil {
		m.b.Fatal(err)
	}
	return n
}

// ownCPU is the user and system time of this process. It is not rounded as
// that of /proc is, so it can be asked for at each slice.
func (m *meter) ownCPU() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		m.b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// raw is a file that is appended to and synced.
type raw struct {
	f   *os.File
	buf []byte
}

func newRaw(b *testing.B, dir string) *raw {
	b.Helper()
	f, err := os.Create(filepath.Join(dir, "raw"))
	if err != nil {
		b.Fatal(err)
	}
	return &raw{f: f}
}

func (r *raw) put(group [][]byte) error {
	r.buf = r.buf[:0]
	for _, e := range group {
		r.buf = append(r.buf, e...)
	}
	if _, err := r.f.Write(r.buf); err != nil {
		return err
	}
	return unix.Fdatasync(int(r.f.Fd()))
}

// reset begins anew, so that the file does not fill the disk.
func (r *raw) reset() error {
	if err := r.f.Truncate(0); err != nil {
		return err
	}
	_, err := r.f.Seek(0, 0)
	return err
}

func (r *raw) close() error { return r.f.Close() }
