package forwarder

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// sink is an eventLog that keeps nothing.
type sink struct{ *memLog }

func (s sink) Lane(name string) logLane { return sinkLane{s.memLog.Lane(name).(*memLane)} }

type sinkLane struct{ *memLane }

func (sinkLane) AppendWith(*queue.Receipt, queue.Class, []byte) error { return nil }

func pageView() *event.Event {
	return &event.Event{
		Type: event.Page, Name: "Product", AnonymousID: "7e0f6c1e-8e0a-4f46-9d86-3a7f1c6ee0a1", UserID: "42",
		Properties: []byte(`{"sku":"K-1"}`),
		Context: event.Context{
			IP: "203.0.113.7", UserAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36", Locale: "de-DE",
			Page: event.PageContext{Path: "/p/1", Referrer: "https://www.example.org/", Search: "?q=a", Title: "", URL: "https://shop.example.com/p/1?q=a"},
		},
	}
}

func sinkForwarder(tb testing.TB) *Forwarder {
	tb.Helper()
	f := newForwarder(tb.TempDir(), func(string, Settings, *slog.Logger) eventLog { return sink{newMemLog()} })
	err := f.Start("bench", Settings{Version: "1.0", Destinations: []Destination{{
		Name: "main", ClientID: "c", Token: func() (string, error) { return "t", nil }, Transport: http.DefaultTransport}}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := f.Close(); err != nil {
			tb.Error(err)
		}
	})
	return f
}

// TestCaptureAllocations is a budget: the messageId and the record.
func TestCaptureAllocations(t *testing.T) {
	f := sinkForwarder(t)
	e := pageView()
	n := testing.AllocsPerRun(1000, func() {
		if err := f.Capture("main", e); err != nil {
			t.Fatal(err)
		}
	})
	if n > 4 {
		t.Errorf("Capture of a page event makes %v allocations, want at most 4", n)
	}
}

func BenchmarkCapture(b *testing.B) {
	f := sinkForwarder(b)
	e := pageView()
	b.ReportAllocs()
	for b.Loop() {
		if err := f.Capture("main", e); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBatch makes the body of a full request.
func BenchmarkBatch(b *testing.B) {
	rec, err := pageView().Store("1.0")
	if err != nil {
		b.Fatal(err)
	}
	batch := make([]entry, maxBody/(rec.SentBytes()+1))
	for i := range batch {
		batch[i].Data = rec
	}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = appendBatch(buf[:0], batch, time.Now())
	}
	b.SetBytes(int64(len(buf)))
}

// backlog is an eventLog with a given number of events in each lane.
type backlog struct {
	*memLog
	rec  []byte
	size uint64 // events of a lane
	done chan struct{}
}

type backlogLane struct {
	of    *backlog
	acked queue.Position
}

func (l *backlog) Lane(string) logLane { return &backlogLane{of: l} }

func (l *backlog) Ends() map[string]queue.Position {
	ends := make(map[string]queue.Position)
	for n := range lanes {
		ends[laneName("main", n)] = queue.At(1, l.size)
	}
	return ends
}

func (*backlogLane) AppendWith(*queue.Receipt, queue.Class, []byte) error { return nil }
func (*backlogLane) Release()                                             {}

func (l *backlogLane) Acknowledged() queue.Position { return l.acked }

func (l *backlogLane) Await(after queue.Position, _ int, f func()) {
	if after.Offset(1) < l.of.size {
		f()
	}
}

func (l *backlogLane) Read(after queue.Position, maxBytes int) ([]queue.Record, error) {
	var recs []queue.Record
	for at := after.Offset(1) + 1; at <= l.of.size && maxBytes > 0; at++ {
		maxBytes -= len(l.of.rec)
		recs = append(recs, queue.Record{Position: queue.At(1, at), Data: l.of.rec})
	}
	return recs, nil
}

func (l *backlogLane) Acknowledge(upto queue.Position) (from queue.Position) {
	from, l.acked = l.acked, upto
	if from != upto && upto.Offset(1) == l.of.size {
		l.of.done <- struct{}{}
	}
	return from
}

// discard is a receiver that takes everything at once.
type discard struct{}

func (discard) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: 200, Body: io.NopCloser(bytes.NewReader([]byte(`{"success":true}`)))}, nil
}

// BenchmarkDrain delivers backlogs of 80,000 events without a limit of the rate.
// One operation is one such backlog.
func BenchmarkDrain(b *testing.B) {
	rec, err := pageView().Store("1.0")
	if err != nil {
		b.Fatal(err)
	}
	const perLane = 10_000
	b.SetBytes(lanes * perLane * int64(len(rec)))
	for b.Loop() {
		l := &backlog{memLog: newMemLog(), rec: rec, size: perLane, done: make(chan struct{}, lanes)}
		f := newForwarder(b.TempDir(), func(string, Settings, *slog.Logger) eventLog { return l })
		err := f.Start("bench", Settings{Destinations: []Destination{{Name: "main", ClientID: "c", Transport: discard{}, Rate: 1e9,
			Token: func() (string, error) { return "t", nil }}}})
		if err != nil {
			b.Fatal(err)
		}
		for range lanes {
			<-l.done
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*lanes*perLane)/b.Elapsed().Seconds(), "events/s")
}
