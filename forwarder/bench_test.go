package forwarder

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/wal"
)

// sink is a Log that keeps nothing.
type sink struct{ memLog }

func (s *sink) Append(string, uint8, []byte) error { return nil }

func captured() *Event {
	e := pageEvent()
	e.MessageID, e.Timestamp, e.Properties = "", time.Time{}, nil
	return e
}

func sinkForwarder(tb testing.TB) *Forwarder {
	tb.Helper()
	f := newForwarder(tb.TempDir(), func(string, Settings, *slog.Logger) Log {
		return &sink{memLog{lanes: make(map[string]*memLane)}}
	})
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
	e := captured()
	n := testing.AllocsPerRun(1000, func() {
		if err := f.Capture("main", e); err != nil {
			t.Fatal(err)
		}
	})
	if n > 6 {
		t.Errorf("Capture of a page event makes %v allocations, want at most 6", n)
	}
}

// TestEncodeAllocations is a budget: none beyond the buffer.
func TestEncodeAllocations(t *testing.T) {
	e := pageEvent()
	if n := testing.AllocsPerRun(1000, func() { e.AppendJSON(make([]byte, 0, e.sizeHint()), "1.0") }); n > 1 {
		t.Errorf("encoding makes %v allocations, want 1", n)
	}
}

func BenchmarkCapture(b *testing.B) {
	f := sinkForwarder(b)
	e := captured()
	b.ReportAllocs()
	for b.Loop() {
		if err := f.Capture("main", e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	e := pageEvent()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = e.AppendJSON(buf[:0], "1.0")
	}
	b.SetBytes(int64(len(buf)))
}

// BenchmarkBatch makes the body of a full request.
func BenchmarkBatch(b *testing.B) {
	rec := pageEvent().AppendJSON(nil, "1.0")
	events := make([]Record, maxBody/sentBytes(rec))
	for i := range events {
		events[i] = Record{Seq: uint64(i + 1), Data: rec}
	}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = appendBatch(buf[:0], events, when)
	}
	b.SetBytes(int64(len(buf)))
}

// backlog is a Log with a given number of events in each lane.
type backlog struct {
	rec   []byte
	size  uint64
	acked [lanesPerDestination]uint64 // each used by one lane only
	done  chan struct{}
}

func (l *backlog) Start()           {}
func (l *backlog) Stats() wal.Stats { return wal.Stats{} }
func (l *backlog) Close() error     { return nil }

func (l *backlog) n(lane string) int { return int(lane[len(lane)-1] - '0') }

func (l *backlog) Acked(lane string) uint64                                 { return l.acked[l.n(lane)] }
func (*backlog) DropHeld(func(string, []byte) bool) (n [wal.Classes]uint64) { return n }

func (*backlog) Flush(context.Context) error { return nil }

func (l *backlog) Wait(string) <-chan struct{}        { return nil }
func (l *backlog) Append(string, uint8, []byte) error { return nil }
func (l *backlog) Read(_ string, after uint64, maxBytes int) ([]Record, error) {
	var recs []Record
	for after < l.size && maxBytes > 0 {
		after++
		maxBytes -= len(l.rec)
		recs = append(recs, Record{Seq: after, Data: l.rec})
	}
	return recs, nil
}

func (l *backlog) Ack(lane string, seq uint64) {
	if l.acked[l.n(lane)] = seq; seq == l.size {
		l.done <- struct{}{}
	}
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
	rec := pageEvent().AppendJSON(nil, "1.0")
	const perLane = 10_000
	b.SetBytes(lanesPerDestination * perLane * int64(len(rec)))
	for b.Loop() {
		l := &backlog{rec: rec, size: perLane, done: make(chan struct{}, lanesPerDestination)}
		f := newForwarder(b.TempDir(), func(string, Settings, *slog.Logger) Log { return l })
		err := f.Start("bench", Settings{Destinations: []Destination{{Name: "main", ClientID: "c", Transport: discard{}, Rate: 1e9,
			Token: func() (string, error) { return "t", nil }}}})
		if err != nil {
			b.Fatal(err)
		}
		for range lanesPerDestination {
			<-l.done
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*lanesPerDestination*perLane)/b.Elapsed().Seconds(), "events/s")
}
