package wal

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDirEnv); dir != "" {
		crashChild(dir)
		return
	}
	if dir := os.Getenv(paceDirEnv); dir != "" {
		paceChild(dir)
		return
	}
	if dir := os.Getenv(holdDirEnv); dir != "" {
		holdChild(dir)
		return
	}
	if dir := os.Getenv(damageDirEnv); dir != "" {
		damageChild(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// quick are options that make tests reach the edges soon.
func quick(dir string) Options {
	return Options{Dir: dir, GroupDelay: time.Millisecond}
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
		t.Fatalf("flush: %v", err)
	}
}

func mustAppend(t testing.TB, l *Log, lane string, class uint8, rec string) {
	t.Helper()
	if err := l.Append(lane, class, []byte(rec)); err != nil {
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

// drain reads lane after the given sequence to its end.
func drain(t testing.TB, l *Log, lane string, after uint64) []Record {
	t.Helper()
	var all []Record
	for {
		recs, err := l.Read(lane, after, 1<<20)
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		if len(recs) == 0 {
			return all
		}
		for _, r := range recs {
			if r.Seq <= after {
				t.Fatalf("lane %s: sequence %d follows %d", lane, r.Seq, after)
			}
			after = r.Seq
		}
		all = append(all, recs...)
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
		return c == OK || c == Degraded
	})
}

// disk is a free space that a test sets.
type disk struct{ free atomic.Int64 }

func newDisk() *disk {
	d := new(disk)
	d.free.Store(math.MaxInt64)
	return d
}

func (d *disk) use(l *Log) { l.freeSpace = func(string) (int64, error) { return d.free.Load(), nil } }

// clock is the time of day with a shift that a test sets.
type clock struct{ shift atomic.Int64 }

func (c *clock) use(l *Log) {
	l.wall = func() time.Time { return time.Now().Add(time.Duration(c.shift.Load())) }
}

// generations lists the directories of dir that match.
func generations(t testing.TB, dir, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func sum(m map[ShedCause]uint64) (n uint64) {
	for _, v := range m {
		n += v
	}
	return n
}

// savedLedger and restoreLedger bring a directory's ledger back to a moment,
// as a crash at that moment would have left it.
func savedLedger(t testing.TB, dir string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "ledger"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func restoreLedger(t testing.TB, dir string, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "ledger"), b, 0o600); err != nil {
		t.Fatal(err)
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
