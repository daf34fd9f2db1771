package wal

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/forwarder/wal/internal/segment"
	"github.com/intilery/caddy-intilery/internal/fsx"
)

// children are what the test binary does instead of testing, by the environment
// variable that says in which directory.
var children = map[string]func(dir string){
	crashDirEnv: crashChild, paceDirEnv: paceChild, holdDirEnv: holdChild, damageDirEnv: damageChild,
}

func TestMain(m *testing.M) {
	for env, child := range children {
		if dir := os.Getenv(env); dir != "" {
			child(dir)
			return
		}
	}
	goleak.VerifyTestMain(m,
		// Badger leaves these behind when it fails to open.
		goleak.IgnoreTopFunction("github.com/dgraph-io/badger/v4.(*DB).monitorCache"),
		goleak.IgnoreTopFunction("github.com/dgraph-io/ristretto/v2/z.(*AllocatorPool).freeupAllocators"))
}

// quick are options that make tests reach the edges soon.
func quick(dir string) Options {
	return Options{Dir: dir, GroupDelay: time.Millisecond, SegmentBytes: 1} // the least that it can be
}

// open starts a log and closes it with the test. The set functions run before Start.
func open(t testing.TB, o Options, set ...func(*Log)) *Log {
	t.Helper()
	l := New(o)
	for _, f := range set {
		f(l)
	}
	l.Start()
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return l
}

func mustClose(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

func mustFlush(t testing.TB, l *Log) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := l.Flush(ctx); err != nil {
		s := l.Stats()
		t.Fatalf("flush: %v; %s: %s", err, s.Condition, s.Reason)
	}
}

func mustAppend(t testing.TB, l *Log, lane string, class queue.Class, rec string) {
	t.Helper()
	if err := l.Lane(lane).Append(class, []byte(rec)); err != nil {
		t.Fatalf("append: %v", err)
	}
}

// fill appends and flushes n records that name their lane and position.
func fill(t testing.TB, l *Log, lane string, from, n int) {
	t.Helper()
	for i := from; i < from+n; i++ {
		mustAppend(t, l, lane, 1, fmt.Sprintf("%s %d", lane, i))
	}
	mustFlush(t, l)
}

// at is the position at an offset of l.
func at(l *Log, offset uint64) queue.Position {
	l.index.mu.Lock()
	defer l.index.mu.Unlock()
	return queue.At(l.index.incarnation, offset)
}

// offset is the inverse of at.
func offset(l *Log, p queue.Position) uint64 {
	l.index.mu.Lock()
	defer l.index.mu.Unlock()
	return p.Offset(l.index.incarnation)
}

// acked is a lane's cursor.
func acked(l *Log, lane string) uint64 { return offset(l, l.Lane(lane).Acknowledged()) }

func acknowledge(l *Log, lane string, upto uint64) { l.Lane(lane).Acknowledge(at(l, upto)) }

// rotate has the next group begin a new segment.
func rotate(l *Log) {
	l.index.mu.Lock()
	defer l.index.mu.Unlock()
	if l.index.active != nil {
		l.index.active.begun = l.index.active.begun.Add(-l.opt.SegmentAge)
	}
}

// drain reads lane behind an offset to its end.
func drain(t testing.TB, l *Log, lane string, after uint64) []queue.Record {
	t.Helper()
	var all []queue.Record
	for p := at(l, after); ; {
		recs, err := l.Lane(lane).Read(p, 1<<20)
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		if len(recs) == 0 {
			return all
		}
		for _, r := range recs {
			if r.Position.Compare(p) <= 0 {
				t.Fatalf("lane %s: position %v follows %v", lane, r.Position, p)
			}
			p = r.Position
		}
		all = append(all, recs...)
	}
}

// texts are the contents of records.
func texts(recs []queue.Record) []string {
	out := []string{}
	for _, r := range recs {
		out = append(out, string(r.Data))
	}
	return out
}

// wantTexts checks what records hold.
func wantTexts(t testing.TB, recs []queue.Record, want ...string) {
	t.Helper()
	if got := texts(recs); !slices.Equal(got, want) {
		t.Errorf("read %.200q, want %.200q", got, want)
	}
}

// until waits for cond by looking again and again; a condition that never comes
// fails the test.
func until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// waitOpen waits until l has read its directory and commits.
func waitOpen(t testing.TB, l *Log) {
	t.Helper()
	until(t, "the log opens", func() bool {
		c := l.Stats().Condition
		return c == queue.OK || c == queue.Degraded
	})
}

func waitCondition(t testing.TB, l *Log, c queue.Condition) {
	t.Helper()
	until(t, "the condition is "+string(c), func() bool { return l.Stats().Condition == c })
}

// wantLost checks what is counted as lost, by cause.
func wantLost(t testing.TB, l *Log, want map[queue.LossCause]uint64) {
	t.Helper()
	got := l.Stats().Lost
	for cause, n := range want {
		if got[cause] != n {
			t.Errorf("lost %v, want %v", got, want)
			return
		}
	}
	if len(got) != len(want) {
		t.Errorf("lost %v, want %v", got, want)
	}
}

// disk is a free space that a test sets.
type disk struct{ bytes atomic.Int64 }

func newDisk(bytes int64) *disk {
	d := new(disk)
	d.bytes.Store(bytes)
	return d
}

const plenty = math.MaxInt64

func (d *disk) use(l *Log) {
	l.free = func(string) (fsx.Space, error) { return fsx.Space{Bytes: d.bytes.Load(), Files: -1}, nil }
}

// clock is the time of day with a shift that a test sets.
type clock struct{ shift atomic.Int64 }

func (c *clock) use(l *Log) {
	l.wall = func() time.Time { return time.Now().Add(time.Duration(c.shift.Load())) }
}

// fault is an error that something fails with, once it is set.
type fault struct{ err atomic.Pointer[error] }

func (f *fault) set(err error) {
	if err == nil {
		f.err.Store(nil)
	} else {
		f.err.Store(&err)
	}
}

func (f *fault) get() error {
	if err := f.err.Load(); err != nil {
		return *err
	}
	return nil
}

// faults makes segments fail.
func faults(f *segment.Faults) func(*Log) { return func(l *Log) { l.segments.opt.Faults = f } }

// glob lists the entries of dir that match.
func glob(t testing.TB, dir, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// segmentDirs lists the segments of dir.
func segmentDirs(t testing.TB, dir string) []string {
	t.Helper()
	return slices.DeleteFunc(glob(t, dir, "seg-*"), func(name string) bool { return filepath.Ext(name) != "" })
}

func sum(m map[queue.ShedCause]uint64) (n uint64) {
	for _, v := range m {
		n += v
	}
	return n
}

// copyFiles copies the files of a directory, and what is below it.
func copyFiles(t testing.TB, from string) (to string) {
	t.Helper()
	to = filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// saved and restore bring a directory's manifest back to a moment, as a crash at
// that moment would have left it.
func saved(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	for _, path := range glob(t, dir, "manifest-*") {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[path] = b
	}
	return files
}

func restore(t testing.TB, files map[string][]byte) {
	t.Helper()
	for path, b := range files {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// noisy makes n records of that size which do not compress.
func noisy(n, size int) [][]byte {
	r := rand.NewChaCha8([32]byte{7})
	out := make([][]byte, n)
	for i := range out {
		out[i] = make([]byte, size)
		r.Read(out[i])
	}
	return out
}

// events makes n events of about 1 KB as a shop's site would send them.
func events(n int) [][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	out := make([][]byte, n)
	for i := range out {
		id := fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", r.Uint32(), r.IntN(1<<16), r.IntN(1<<12), r.IntN(1<<12), r.Uint64N(1<<48))
		out[i] = fmt.Appendf(nil, `{"type":"track","event":"Product Viewed","messageId":"%s","anonymousId":"%016x-%016x","userId":"u%d",`+
			`"timestamp":"2026-03-%02dT%02d:%02d:%02d.%03dZ","properties":{"sku":"SKU-%07d","name":"Waxed jacket no. %d","price":%d.%02d,"currency":"GBP",`+
			`"category":"outerwear/%d","quantity":%d,"coupon":"SPRING%04x","position":%d,"brand":"House %d"},"context":{"ip":"203.0.113.%d",`+
			`"userAgent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_%d) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.%d.%d Safari/537.36",`+
			`"locale":"en-GB","library":{"name":"caddy-intilery","version":"1.0.0"},"page":{"path":"/shop/outerwear/%d/jacket-%d",`+
			`"referrer":"https://www.example.com/search?q=%x","search":"?utm_source=newsletter&utm_campaign=%x","title":"Waxed jacket no. %d | The Shop",`+
			`"url":"https://shop.example.com/shop/outerwear/%d/jacket-%d?utm_source=newsletter"},"campaign":{"name":"%x","source":"newsletter","medium":"email"}}}`,
			id, r.Uint64(), r.Uint64(), r.IntN(1e6), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(1000),
			r.IntN(1e7), i, r.IntN(300), r.IntN(100), r.IntN(20), 1+r.IntN(4), r.IntN(1<<16), r.IntN(50), r.IntN(40), r.IntN(256),
			r.IntN(8), 100+r.IntN(40), r.IntN(9000), r.IntN(300), r.IntN(20), i, r.Uint64(), r.Uint32(), i, r.IntN(20), i, r.Uint32())
	}
	return out
}

// End is the position of the last durable record.
func (ln *Lane) End() queue.Position {
	x := ln.log.index
	x.mu.Lock()
	defer x.mu.Unlock()
	return queue.At(x.incarnation, ln.last)
}
