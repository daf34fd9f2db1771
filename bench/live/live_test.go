//go:build linux

// Package live measures the whole queue as a busy site uses it: events are
// captured at a steady pace, made durable, and sent in batches to a receiver in
// the same process that takes each batch at once.
//
//	go test -run '^$' -bench Live -benchtime 60000x ./live
//	./live/turns.sh <revision>    in turn with an earlier revision
//
//	cpu-µs/event  user and system time of the process for each event
//	disk-B/B      bytes that the process caused to be written to disk for each
//	              byte of the events, as they are sent
//
// It says nothing of HTTP or TLS, which cost the same whatever the queue does.
package live

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/intilery/caddy-intilery/bench/internal/measure"
)

// fields are what an event is made of, without the types of a revision.
type fields struct {
	anonymousID, userID, userAgent, ip, path, search string
	properties                                       []byte
}

// views returns n product views of a thousand visitors, of about 1 KB each.
func views(n int) []fields {
	r := rand.New(rand.NewPCG(1, 2))
	visitors := make([]string, 1000)
	for i := range visitors {
		visitors[i] = fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", r.Uint32(), r.IntN(1<<16), r.IntN(1<<12), r.IntN(1<<12), r.Uint64N(1<<48))
	}
	list := make([]fields, n)
	for i := range list {
		var ref [180]byte
		for j := range ref {
			ref[j] = "0123456789abcdefghijklmnopqrstuvwxyz"[r.IntN(36)]
		}
		list[i] = fields{
			anonymousID: visitors[r.IntN(len(visitors))], userID: fmt.Sprint(r.IntN(1e6)),
			userAgent: fmt.Sprintf("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36", 100+r.IntN(40)),
			ip:        fmt.Sprintf("203.0.%d.%d", r.IntN(256), r.IntN(256)),
			path:      fmt.Sprintf("/shop/outerwear/jacket-%d", i), search: fmt.Sprintf("?utm_source=newsletter&utm_campaign=%08x", r.Uint32()),
			properties: fmt.Appendf(nil, `{"sku":"SKU-%07d","price":%d.%02d,"currency":"GBP","ref":"%s"}`, r.IntN(1e7), r.IntN(300), r.IntN(100), ref),
		}
	}
	return list
}

func BenchmarkLive(b *testing.B) {
	for _, rate := range []int{2_000, 10_000} {
		b.Run(fmt.Sprint("rate=", rate), func(b *testing.B) { live(b, rate) })
	}
}

func live(b *testing.B, rate int) {
	const perTick = 10 * time.Millisecond
	var rec receiver
	q := open(b, b.TempDir(), &rec, views(8192))
	q.capture(b, 0)
	wait(b, q, 1) // it is open
	n := int64(1)
	cpu, disk, payload := ownCPU(b), written(b), rec.bytes.Load()
	b.ResetTimer()
	tick := time.NewTicker(perTick)
	defer tick.Stop()
	for start := time.Now(); n <= int64(b.N); <-tick.C {
		for due := 1 + int64(time.Since(start).Seconds()*float64(rate)); n <= min(due, int64(b.N)); n++ {
			q.capture(b, int(n))
		}
	}
	wait(b, q, n)
	b.StopTimer()
	b.ReportMetric(float64((ownCPU(b)-cpu).Nanoseconds())/1000/float64(b.N), "cpu-µs/event")
	b.ReportMetric(float64(written(b)-disk)/float64(rec.bytes.Load()-payload), "disk-B/B")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(0, "ns/op") // says the pace
	q.close(b)
}

// wait waits until n events are acknowledged.
func wait(b *testing.B, q *queue, n int64) {
	b.Helper()
	for end := time.Now().Add(time.Minute); q.acknowledged() < n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("%d of %d events were acknowledged", q.acknowledged(), n)
		}
	}
}

// receiver is Intilery as far as the queue is concerned.
type receiver struct{ bytes atomic.Int64 }

func (v *receiver) RoundTrip(r *http.Request) (*http.Response, error) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return nil, err
	}
	v.bytes.Add(n)
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"success":true}`))}, nil
}

func ownCPU(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func written(b *testing.B) int64 {
	n, err := measure.Written(os.Getpid())
	if err != nil {
		b.Fatal(err)
	}
	return n
}
