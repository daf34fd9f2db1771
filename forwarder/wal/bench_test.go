//go:build linux

package wal

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

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

const benchEvents = 8192

// BenchmarkDurableAppend appends as fast as the ring takes events, in 8 lanes,
// and ends when all are durable.
func BenchmarkDurableAppend(b *testing.B) {
	dir := b.TempDir()
	l := New(Options{Dir: dir})
	l.Start()
	defer l.Close()
	waitOpen(b, l)
	evs := events(benchEvents)
	lanes := make([]string, 8)
	for i := range lanes {
		lanes[i] = fmt.Sprint("default/", i)
	}
	start := written(b)
	b.SetBytes(int64(len(evs[0])))
	b.ReportAllocs()
	var payload int64
	groups := 0
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		ev := evs[i%benchEvents]
		payload += int64(len(ev))
		for l.Append(lanes[i%8], 1, ev) == ErrFull {
			time.Sleep(100 * time.Microsecond)
		}
	}
	if err := l.Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	l.ledger.mu.Lock()
	groups = int(l.ledger.epoch)
	l.ledger.mu.Unlock()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(written(b)-start)/float64(payload), "disk-B/B")
	b.ReportMetric(float64(b.N)/float64(max(groups, 1)), "events/group")
}

// BenchmarkRawAppendFdatasync is the machine's limit: the same events appended
// to one file with a sync for each group.
func BenchmarkRawAppendFdatasync(b *testing.B) {
	evs := events(benchEvents)
	for _, group := range []int{256, 1024} {
		b.Run(fmt.Sprint("group=", group), func(b *testing.B) {
			f, err := os.Create(filepath.Join(b.TempDir(), "raw"))
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			b.SetBytes(int64(len(evs[0])))
			var buf []byte
			b.ResetTimer()
			for i := 0; i < b.N; i++ {
				buf = append(buf, evs[i%benchEvents]...)
				if (i+1)%group != 0 && i != b.N-1 {
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
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// written returns the bytes that this process has had written to disks, as
// Linux counts them; 0 elsewhere.
func written(b *testing.B) (n int64) {
	b.Helper()
	s, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	var x [7]int64
	if _, err := fmt.Sscanf(string(s), "rchar: %d\nwchar: %d\nsyscr: %d\nsyscw: %d\nread_bytes: %d\nwrite_bytes: %d", &x[0], &x[1], &x[2], &x[3], &x[4], &n); err != nil {
		b.Logf("no account of bytes written: %v", err)
	}
	return n
}
