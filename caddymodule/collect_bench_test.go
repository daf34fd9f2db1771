//go:build unix

package caddymodule

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/intilery/caddy-intilery/forwarder"
)

// benchClient sends one body again and again, with other messageIds.
type benchClient struct {
	body []byte
	ids  []int // where they are in the body
	read *bytes.Reader
	r    *http.Request
	w    *counted
}

// counted is a discard that knows the status.
type counted struct {
	discard
	status int
}

func (c *counted) WriteHeader(status int) { c.status = status }

// SetReadDeadline is what a server's writer has.
func (*counted) SetReadDeadline(time.Time) error { return nil }

const idDigits = 12

func newBenchClient(b *testing.B, n int, cookies []string) *benchClient {
	one := `{"type":"track","event":"Product Viewed","anonymousId":"` + otherID + `","messageId":"ajs-next-000000000000","timestamp":"2026-03-01T12:00:00.000Z",` +
		`"properties":{"sku":"A-100","price":19.5,"list":[1,2,3],"note":"` + note + `"},"integrations":{},` +
		`"context":{"page":{"path":"/p","referrer":"","search":"","title":"T","url":"https://shop.example.com/p"},"userAgent":"Mozilla/5.0","locale":"en","library":{"name":"analytics.js","version":"next"}}}`
	c := &benchClient{body: []byte(`{"writeKey":"public","batch":[` + strings.TrimSuffix(strings.Repeat(one+",", n), ",") + `]}`)}
	for at := range c.body {
		if bytes.HasPrefix(c.body[at:], []byte("ajs-next-")) {
			c.ids = append(c.ids, at+len("ajs-next-"))
		}
	}
	c.r = request(b, "empty", cookies)
	c.r.Method, c.r.URL.Path = http.MethodPost, "/in/b" // of the original request too
	c.r.Header.Set("Sec-Fetch-Site", "same-origin")
	c.r.Header.Set("Sec-Fetch-Mode", "cors")
	c.read = bytes.NewReader(c.body)
	c.r.Body, c.r.ContentLength = io.NopCloser(c.read), int64(len(c.body))
	c.w = &counted{discard: discard{h: make(http.Header)}}
	return c
}

// post sends the events whose numbers end with last.
func (c *benchClient) post(h *Handler, last int64) bool {
	for i, at := range c.ids {
		number := last - int64(i)
		for digit := at + idDigits - 1; digit >= at; digit-- {
			c.body[digit] = byte('0' + number%10)
			number /= 10
		}
	}
	c.read.Reset(c.body)
	clear(c.w.h)
	return h.ServeHTTP(c.w, c.r, nil) == nil && c.w.status == http.StatusOK
}

var note = strings.Repeat("x", 300)

// BenchmarkCollect sends bodies of 1, 10 and 100 events of about 750 bytes to the
// handler, from many clients that wait for the commit. The log is a real one, on disk;
// delivery waits, since the receiver is not there. The CPU time and the allocations
// are those of the whole process: reading, checking, sealing cookies, encoding,
// compressing and writing.
func BenchmarkCollect(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := newBenchHandler(b)
			h.app.queue = newPooled(forwarder.New(b.TempDir()))
			if err := h.app.queue.Start(h.app, forwarder.Settings{Destinations: []forwarder.Destination{{
				Name: "default", Endpoint: "http://127.0.0.1:1", ClientID: "acme", Token: func() (string, error) { return "x", nil },
			}}}); err != nil {
				b.Fatal(err)
			}
			defer h.app.queue.Close()
			<-h.app.queue.Opened()
			h.Collect = &Collect{Path: "/in", Keys: []string{"public"}, Rate: 1e9}
			if err := h.Collect.provision(caddy.NewReplacer(), zap.NewNop()); err != nil {
				b.Fatal(err)
			}
			h.provisionParse()
			h.app.Destinations = map[string]*Destination{"default": {ClientID: "acme", writeKey: "own"}}
			cookies := func() []string {
				first := httptest.NewRecorder()
				if err := h.ServeHTTP(first, request(b, "document", nil), answer(document)); err != nil {
					b.Fatal(err)
				}
				return first.Result().Header["Set-Cookie"]
			}()
			var count, failed atomic.Int64
			b.SetParallelism(64)
			b.ReportAllocs()
			before := processCPU(b)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				c := newBenchClient(b, n, cookies)
				for pb.Next() {
					if !c.post(h, count.Add(int64(n))) {
						failed.Add(1)
					}
				}
			})
			b.StopTimer()
			events := float64(count.Load())
			b.ReportMetric((processCPU(b)-before).Seconds()*1e6/events, "cpu-µs/event")
			b.ReportMetric(events/b.Elapsed().Seconds(), "events/s")
			if n := failed.Load(); n > 0 {
				b.Errorf("%d requests failed", n)
			}
		})
	}
}

func processCPU(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
