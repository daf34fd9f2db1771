package forwarder

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/event"
)

// TestSoak runs events through the real log at a steady pace, and then leaves
// it idle: what was drained takes neither disk nor memory, and is not read
// again. INTILERY_SOAK is how long; the default is enough to see the log
// drained once, an hour is what the docs speak of.
func TestSoak(t *testing.T) {
	long := 2 * time.Second
	if s := os.Getenv("INTILERY_SOAK"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatalf("INTILERY_SOAK: %v", err)
		}
		long = d
	}
	f := New(t.TempDir())
	defer f.Close()
	if err := f.Start("soak", Settings{Destinations: []Destination{{
		Name: "main", Endpoint: "http://127.0.0.1:1", ClientID: "c", Rate: 1000, Burst: 1000, Transport: accepting{},
		Token: func() (string, error) { return "t", nil },
	}}}); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2)) // text that does not pack to nothing
	captured := uint64(0)
	// spend captures 500 events every 100 ms until the deadline.
	spend := func(d time.Duration) {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for end := time.Now().Add(d); time.Now().Before(end); <-tick.C {
			for range 500 {
				id := fmt.Sprintf("00000000-0000-4000-8000-%012d", captured%997)
				var text [350]byte
				for i := range text {
					text[i] = byte(random.Uint32())
				}
				properties := fmt.Appendf(nil, `{"text":"%x"}`, text)
				if err := f.Capture("main", &event.Event{Type: event.Track, Name: "Soaked", AnonymousID: id, Properties: properties}); err != nil {
					t.Fatal(err)
				}
				captured++
			}
		}
	}
	drained := func() Stats {
		t.Helper()
		for range 3000 {
			s := f.Stats()
			// A destination counts an answer before its log is told of it.
			if s.Destinations["main"].Acknowledged.Track == captured && s.Log.TotalPending() == 0 {
				return s
			}
			time.Sleep(10 * time.Millisecond) // polls a state of real disk
		}
		t.Fatalf("not drained: %+v", f.Stats())
		return Stats{}
	}

	spend(long / 2)
	drained()
	before, goroutines := heap(), runtime.NumGoroutine()
	spend(long / 2)
	s := drained()
	// A segment that has just ended may still be on its way out, with its
	// memory and its goroutines; what leaks stays.
	for range 3000 {
		if runtime.NumGoroutine() <= goroutines+2 && f.Stats().Log.Segments <= 3 {
			break
		}
		time.Sleep(10 * time.Millisecond) // polls a state of real disk
	}
	if n := runtime.NumGoroutine(); n > goroutines+2 { // a timer's or the janitor's own may be about
		t.Errorf("%d goroutines, %d before", n, goroutines)
	}
	if after := heap(); after > before+16<<20 {
		t.Errorf("the heap grew from %d to %d bytes", before, after)
	}
	if s = f.Stats(); s.Log.DiskBytes > 128<<20 || s.Log.Segments > 3 {
		t.Errorf("%d bytes in %d segments after all was drained", s.Log.DiskBytes, s.Log.Segments)
	}
	if len(s.Log.Lost) != 0 || s.Log.TotalPending() != 0 {
		t.Errorf("lost %v, backlog %d", s.Log.Lost, s.Log.TotalPending())
	}
	// Idle: the lanes wait for news and read nothing.
	reads := f.Stats().Log.Reads
	time.Sleep(long / 4)
	if got := f.Stats().Log.Reads; got != reads {
		t.Errorf("%d reads while idle", got-reads)
	}
	t.Logf("%d events, %d bytes on disk in %d segments, %d reads", captured, s.Log.DiskBytes, s.Log.Segments, reads)
}

// heap is the size of what lives on the heap.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // the first only moves pools aside
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// accepting is Intilery on a good day.
type accepting struct{}

func (accepting) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return nil, err
	}
	r.Body.Close()
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{}, Request: r,
		Body: io.NopCloser(strings.NewReader(`{"success":true,"eventId":"e"}`)),
	}, nil
}
