package harness

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// ID names an event: the number of its visitor, and its own number among the
// visitor's events, which rises by time. It is the event's messageId.
type ID struct {
	Visitor, N int
}

func (id ID) String() string { return fmt.Sprintf("v%d-%d", id.Visitor, id.N) }

// AnonymousID is a visitor's.
func AnonymousID(visitor int) string { return fmt.Sprint("visitor-", visitor) }

func parseID(s string) (id ID, err error) {
	visitor, n, ok := strings.Cut(strings.TrimPrefix(s, "v"), "-")
	if !ok {
		return id, fmt.Errorf("messageId %q", s)
	}
	if id.Visitor, err = strconv.Atoi(visitor); err != nil {
		return id, err
	}
	id.N, err = strconv.Atoi(n)
	return id, err
}

// Delivery is an event that the receiver has taken.
type Delivery struct {
	ID          ID
	AnonymousID string
	At          time.Time
	Request     int
}

// Reply is how the receiver answers a request.
type Reply struct {
	Status     int           // anything but 200: nothing is taken
	RetryAfter int           // seconds; 0: no such header
	Delay      time.Duration // before the answer; events are taken before it
	Drop       bool          // the events are taken, and the connection is closed
}

// OK takes all events of a request.
var OK = Reply{Status: http.StatusOK}

// Receiver stands for Intilery's Tracking API.
type Receiver struct {
	URL string

	mu         sync.Mutex
	answer     func(request int) Reply
	requests   []time.Time
	deliveries []Delivery
	first      map[ID]time.Time // of the first delivery
	problems   []string
}

// NewReceiver starts a receiver that takes all.
func NewReceiver(t *testing.T) *Receiver {
	t.Helper()
	v := &Receiver{answer: func(int) Reply { return OK }, first: map[ID]time.Time{}}
	s := httptest.NewServer(v)
	v.URL = s.URL
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
		for _, p := range v.problems {
			t.Error("receiver:", p)
		}
	})
	return v
}

// Answer changes how requests are answered, which are counted from 0. Nil: all are taken.
func (v *Receiver) Answer(how func(request int) Reply) {
	if how == nil {
		how = func(int) Reply { return OK }
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.answer = how
}

// AnswerAll answers all requests alike.
func (v *Receiver) AnswerAll(r Reply) { v.Answer(func(int) Reply { return r }) }

func (v *Receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Batch []struct {
			MessageID   string `json:"messageId"`
			AnonymousID string `json:"anonymousId"`
		} `json:"batch"`
	}
	err := json.NewDecoder(r.Body).Decode(&body)
	v.mu.Lock()
	n := len(v.requests)
	v.requests = append(v.requests, time.Now())
	reply := v.answer(n)
	if err != nil && r.Context().Err() == nil {
		v.problems = append(v.problems, fmt.Sprintf("%s %s: %v", r.Method, r.URL, err))
	}
	if err == nil && reply.Status == http.StatusOK {
		for _, e := range body.Batch {
			id, err := parseID(e.MessageID)
			if err != nil || e.AnonymousID != AnonymousID(id.Visitor) {
				v.problems = append(v.problems, fmt.Sprintf("event %q of %q: %v", e.MessageID, e.AnonymousID, err))
				continue
			}
			d := Delivery{ID: id, AnonymousID: e.AnonymousID, At: time.Now(), Request: n}
			v.deliveries = append(v.deliveries, d)
			if _, ok := v.first[id]; !ok {
				v.first[id] = d.At
			}
		}
	}
	v.mu.Unlock()
	if reply.Delay > 0 {
		select {
		case <-time.After(reply.Delay):
		case <-r.Context().Done():
			return
		}
	}
	if reply.Drop {
		panic(http.ErrAbortHandler)
	}
	if reply.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(reply.RetryAfter))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(reply.Status)
	if reply.Status == http.StatusOK {
		_, _ = w.Write([]byte(`{"success":true,"eventId":"e"}`))
		return
	}
	_, _ = w.Write([]byte(`{"success":false,"message":"refused by the test"}`))
}

// Requests are the times of all requests so far.
func (v *Receiver) Requests() []time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.requests)
}

// Deliveries are the events taken so far, in the order in which they came.
func (v *Receiver) Deliveries() []Delivery {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.deliveries)
}

// Has reports whether an event was taken.
func (v *Receiver) Has(id ID) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, ok := v.first[id]
	return ok
}

// Missing counts the events that were not taken.
func (v *Receiver) Missing(of []ID) (n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, id := range of {
		if _, ok := v.first[id]; !ok {
			n++
		}
	}
	return n
}

// Report is what became of events.
type Report struct {
	Committed  int // events that had to be delivered
	Delivered  int // different events that were
	Lost       int // of those committed
	Repeats    int // deliveries after an event's first
	OutOfOrder int // first deliveries after that of a later event of the visitor
	Examples   []string
}

func (r Report) String() string {
	s := fmt.Sprintf("committed %d, delivered %d, lost %d, repeats %d, out of order %d", r.Committed, r.Delivered, r.Lost, r.Repeats, r.OutOfOrder)
	if len(r.Examples) > 0 {
		s += "\n\t" + strings.Join(r.Examples, "\n\t")
	}
	return s
}

// Report tells what became of the events that nodes had said to be durable.
func (v *Receiver) Report(committed []ID) Report {
	list := v.Deliveries()
	r := Report{Committed: len(committed)}
	example := func(format string, args ...any) {
		if len(r.Examples) < 20 {
			r.Examples = append(r.Examples, fmt.Sprintf(format, args...))
		}
	}
	seen, highest := make(map[ID]bool, len(list)), map[int]ID{}
	for _, d := range list {
		switch last, ok := highest[d.ID.Visitor]; {
		case seen[d.ID]:
			r.Repeats++
			continue
		case ok && last.N > d.ID.N:
			r.OutOfOrder++
			example("%v came after %v, in request %d at %v", d.ID, last, d.Request, d.At.Format("15:04:05.000"))
		default:
			highest[d.ID.Visitor] = d.ID
		}
		seen[d.ID] = true
	}
	r.Delivered = len(seen)
	for _, id := range committed {
		if !seen[id] {
			r.Lost++
			example("%v is lost", id)
		}
	}
	return r
}
