package forwarder

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/internal/faketime"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const deadLetterFile = "dead-letters.jsonl"

// receiver stands for Intilery, as an http.RoundTripper, so that it works in a
// synctest bubble.
type receiver struct {
	answer func(r *request) reply

	mu       sync.Mutex
	requests []*request
}

type request struct {
	n     int // from 0
	at    time.Time
	token string
	path  string
	bytes int
	calls []call
	// The answer, as far as it was given.
	status  int
	refused bool      // not what Intilery says when it has taken a batch
	done    time.Time // when it was given
}

type call struct {
	Type, Event, AnonymousID, UserID, MessageID string
	Timestamp, SentAt                           time.Time
}

// reply is what the receiver does: an answer, an error, or nothing at all.
type reply struct {
	status int
	body   string
	header http.Header
	delay  time.Duration
	err    error
	hang   bool
}

var ok = reply{status: 200, body: `{"success":true,"eventId":"e"}`}

// late is ok after a time.
func late(d time.Duration) reply {
	r := ok
	r.delay = d
	return r
}

func status(n int) reply { return reply{status: n} }

func always(r reply) func(*request) reply { return func(*request) reply { return r } }

// first answers the first requests with rs and all later ones with ok.
func first(rs ...reply) func(*request) reply {
	return func(r *request) reply {
		if r.n < len(rs) {
			return rs[r.n]
		}
		return ok
	}
}

func (v *receiver) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var parsed struct{ Batch []call }
	if err := json.Unmarshal(body, &parsed); err != nil {
		return nil, fmt.Errorf("body is not JSON: %w", err)
	}
	v.mu.Lock()
	req := &request{n: len(v.requests), at: time.Now(), token: r.Header.Get("auth-token"), path: r.URL.Path, bytes: len(body), calls: parsed.Batch}
	v.requests = append(v.requests, req)
	rep := v.answer(req)
	v.mu.Unlock()
	if rep.hang {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if !pause(r.Context(), rep.delay, nil) {
		return nil, r.Context().Err()
	}
	if rep.err != nil {
		return nil, rep.err
	}
	v.mu.Lock()
	req.status, req.done, req.refused = rep.status, time.Now(), rep.body != ok.body
	v.mu.Unlock()
	return &http.Response{StatusCode: rep.status, Header: rep.header, Body: io.NopCloser(strings.NewReader(rep.body))}, nil
}

// becomes changes how the receiver answers.
func (v *receiver) becomes(answer func(*request) reply) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.answer = answer
}

// list returns the requests so far.
func (v *receiver) list() []*request {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]*request(nil), v.requests...)
}

// accepted returns the names of the events in accepted requests, in order.
func (v *receiver) accepted() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var names []string
	for _, r := range v.requests {
		if r.status/100 == 2 && !r.refused {
			for _, c := range r.calls {
				names = append(names, c.Event)
			}
		}
	}
	return names
}

var errNetwork = errors.New("connection refused")

// rig is a forwarder with one destination "main" and its receiver, in a bubble.
type rig struct {
	*Forwarder
	t   *testing.T
	log *memLog
	rec *receiver
	out *logBuffer
	set Settings

	noBalance bool // accounts were given back
}

// bubble runs test with a started rig and closes it. It fails if events are
// unaccounted for at the end.
func bubble(t *testing.T, answer func(*request) reply, test func(r *rig)) {
	t.Helper()
	faketime.Test(t, func(t *testing.T) {
		r := &rig{t: t, log: newMemLog(), rec: &receiver{answer: answer}, out: &logBuffer{}}
		r.Forwarder = newForwarder(t.TempDir(), r.log.opener)
		r.set = Settings{Logger: testLogger(r.out), Version: "1.0", Destinations: []Destination{r.destination("main")}}
		// Also when the test stops early: lanes that retry would keep the bubble alive.
		defer func() {
			if err := r.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}()
		r.start()
		test(r)
		synctest.Wait()
		r.balance()
	})
}

func (r *rig) start() {
	r.t.Helper()
	if err := r.Start("test", r.set); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) destination(name string) Destination {
	return Destination{Name: name, ClientID: "acme", Token: func() (string, error) { return "t0k3n", nil }, Transport: r.rec}
}

func key(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

// ordered puts what the test has read of the workers before what they do next: both
// take these locks.
func (r *rig) ordered() {
	r.log.backlog()
	for _, d := range *r.destinations.Load() {
		d.breaker.state()
	}
}

// capture captures an event for the destination "main".
func (r *rig) capture(e event.Event) {
	r.t.Helper()
	if err := r.Capture("main", &e); err != nil {
		r.t.Fatal(err)
	}
}

// track captures a track event of a visitor.
func (r *rig) track(visitor, name string) {
	r.t.Helper()
	r.capture(event.Event{Type: event.Track, Name: name, AnonymousID: visitor})
}

// stored is an event in its stored form.
func stored(t *testing.T) event.Stored {
	t.Helper()
	ev, err := (&event.Event{Type: event.Track, Name: "stored", AnonymousID: "v"}).Store("1.0")
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

// laneOf is the lane of an event.
func laneOf(e *event.Event) int { return event.Lane(e.AnonymousID, e.UserID, lanes) }

// mainLane is the name of a visitor's lane in the destination "main".
func mainLane(visitor string) string { return laneName("main", event.Lane(visitor, "", lanes)) }

// after waits until d has passed and everything is at rest.
func (r *rig) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (r *rig) main() DestinationStats { return r.Stats().Destinations["main"] }

// balance checks that each captured event is accounted for.
func (r *rig) balance() {
	r.t.Helper()
	if r.noBalance {
		return
	}
	if err := balance(r.Stats(), 0); err != nil {
		r.t.Error(err)
	}
}

// balance checks the equation that Stats documents.
func balance(s Stats, before uint64) error {
	in, out := before, s.Log.TotalPending()
	for _, d := range s.Destinations {
		in += d.Captured.Sum()
		out += d.Acknowledged.Sum() + d.DeadLettered.Sum() + d.Erased.Sum()
		for _, n := range d.Lost {
			out += n
		}
	}
	for _, m := range s.Log.Shed {
		for _, n := range m {
			out += n
		}
	}
	for _, n := range s.Log.Lost {
		out += n
	}
	for _, n := range s.Log.Erased {
		out += n
	}
	if in != out {
		return fmt.Errorf("%d events came in, %d are accounted for: %+v", in, out, s)
	}
	return nil
}

// logBuffer collects log lines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// count is the number of lines that hold all the parts.
func (l *logBuffer) count(parts ...string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
next:
	for line := range strings.Lines(l.b.String()) {
		for _, p := range parts {
			if !strings.Contains(line, p) {
				continue next
			}
		}
		n++
	}
	return n
}

func testLogger(out *logBuffer) *slog.Logger { return slog.New(slog.NewTextHandler(out, nil)) }
