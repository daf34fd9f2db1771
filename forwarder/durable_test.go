package forwarder

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/deadletter"
	"github.com/intilery/caddy-intilery/forwarder/erasure"
	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// TestRestartOnDisk uses the real log and real sockets: what one process could
// not deliver the next one does.
func TestRestartOnDisk(t *testing.T) {
	const n = 200
	var up atomic.Bool
	refused, events := make(chan struct{}, 1000), make(chan string, 10*n)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Batch []call }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		if !up.Load() {
			w.WriteHeader(http.StatusForbidden)
			refused <- struct{}{}
			return
		}
		for _, c := range body.Batch {
			events <- c.Event
		}
		fmt.Fprint(w, `{"success":true,"eventId":"e"}`)
	}))
	defer srv.Close()
	dir := t.TempDir()
	set := Settings{Version: "1.0", Destinations: []Destination{{
		Name: "main", Endpoint: srv.URL, ClientID: "c", Token: func() (string, error) { return "t", nil },
	}}}

	first := New(dir)
	if err := first.Start("a", set); err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range n {
		want = append(want, fmt.Sprintf("e%03d", i))
		if err := first.Capture("main", &event.Event{Type: event.Track, Name: want[i], AnonymousID: "v"}); err != nil {
			t.Fatal(err)
		}
	}
	<-refused
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := balance(first.Stats(), 0); err != nil {
		t.Error(err)
	}

	up.Store(true)
	second := New(dir)
	if err := second.Start("b", set); err != nil {
		t.Fatal(err)
	}
	var got []string
	for range n {
		got = append(got, <-events)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	if s := second.Stats(); s.Log.TotalPending() != 0 || len(events) != 0 {
		t.Errorf("stats %+v, %d events twice", s, len(events))
	}
	if err := balance(second.Stats(), n); err != nil {
		t.Error(err)
	}
}

// TestEraseOnDisk: with the real log, sealed, an erasure right after capture
// finds each event in memory or on disk, and holds in the next process. With a
// wrong key nothing is sent, and nothing is touched.
func TestEraseOnDisk(t *testing.T) {
	const n = 50
	var up atomic.Bool
	events := make(chan string, 10*n)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Batch []call }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		if !up.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		for _, c := range body.Batch {
			events <- c.AnonymousID
		}
		fmt.Fprint(w, `{"success":true}`)
	}))
	defer srv.Close()
	dir := t.TempDir()
	start := func(keys ...[]byte) *Forwarder {
		f := New(dir)
		if err := f.Start("a", Settings{EncryptionKeys: keys, Destinations: []Destination{{
			Name: "main", Endpoint: srv.URL, ClientID: "c", Token: func() (string, error) { return "t", nil },
		}}}); err != nil {
			t.Fatal(err)
		}
		return f
	}
	stop := func(f *Forwarder) {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	first := start(key(1))
	for range n {
		for _, v := range []string{secretID, "kept"} {
			if err := first.Capture("main", &event.Event{Type: event.Track, Name: "e", AnonymousID: v}); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, err := first.Erase(t.Context(), erasure.Subject{AnonymousID: secretID})
	if err != nil || got.Memory+got.Log != n {
		t.Errorf("%+v, %v", got, err)
	}
	if err := balance(first.Stats(), 0); err != nil {
		t.Error(err)
	}
	stop(first)

	up.Store(true)
	wrong := start(key(2))
	for end := time.Now().Add(30 * time.Second); !strings.Contains(wrong.Stats().Log.Reason, "key"); time.Sleep(time.Millisecond) {
		if s := wrong.Stats().Log; time.Now().After(end) {
			t.Fatalf("%s: %s", s.Condition, s.Reason)
		}
	}
	stop(wrong)
	if len(events) > 0 {
		t.Error("sent with a wrong key")
	}

	last := start(key(2), key(1))
	for range n {
		if v := <-events; v != "kept" {
			t.Errorf("sent %s", v)
		}
	}
	stop(last)
	if len(events) > 0 {
		t.Errorf("%d events too many", len(events))
	}
}

// TestWithdrawWhileCapturing: with the real log, whatever is captured while a
// visitor is erased over and over, the last withdrawal leaves nothing, also for
// the next process.
func TestWithdrawWhileCapturing(t *testing.T) {
	const n, rounds = 2000, 90 // within withdrawBurst
	s, taken := local(t)
	down := s
	down.Destinations = slices.Clone(s.Destinations)
	down.Destinations[0].Transport = &receiver{answer: always(status(503))}
	dir := t.TempDir()
	first := New(dir)
	if err := first.Start("a", down); err != nil {
		t.Fatal(err)
	}
	capture := func(visitor, name string) {
		if err := first.Capture("main", &event.Event{Type: event.Track, Name: name, AnonymousID: visitor}); err != nil {
			t.Error(err)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for range n {
			capture(secretID, "gone")
		}
	})
	wg.Go(func() {
		for range rounds {
			if _, err := first.Withdraw(t.Context(), secretID); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	if _, err := first.Withdraw(t.Context(), secretID); err != nil {
		t.Fatal(err)
	}
	capture(laneMate(&event.Event{AnonymousID: secretID}).AnonymousID, "kept")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := New(dir)
	if err := second.Start("b", s); err != nil {
		t.Fatal(err)
	}
	if got := <-taken; got != "kept" {
		t.Errorf("sent %s", got)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	if len(taken) > 0 {
		t.Errorf("%d events too many", len(taken))
	}
}

// local returns settings with the destination "main", which takes everything, and
// the names of what it has taken.
func local(t *testing.T) (s Settings, taken chan string) {
	t.Helper()
	taken = make(chan string, 1000)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Batch []call }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		for _, c := range body.Batch {
			taken <- c.Event
		}
		fmt.Fprint(w, `{"success":true}`)
	}))
	t.Cleanup(srv.Close)
	return Settings{Destinations: []Destination{{Name: "main", Endpoint: srv.URL, ClientID: "c", Token: func() (string, error) { return "t", nil }}}}, taken
}

// In a rolling update two processes have one data directory for a moment. The
// second captures, changes nothing on disk, and takes over when the first ends.
func TestRollingUpdate(t *testing.T) {
	s, taken := local(t)
	dir := t.TempDir()
	capture := func(f *Forwarder, name string) {
		if err := f.Capture("main", &event.Event{Type: event.Track, Name: name, AnonymousID: "v"}); err != nil {
			t.Fatal(err)
		}
	}
	first := New(dir)
	if err := first.Start("a", s); err != nil {
		t.Fatal(err)
	}
	capture(first, "from the first")
	if got := <-taken; got != "from the first" {
		t.Errorf("taken %s", got)
	}
	second := New(dir)
	if err := second.Start("b", s); err != nil {
		t.Fatal(err)
	}
	capture(second, "from the second")
	if _, err := second.PurgeDeadLetters(t.Context(), deadletter.Filter{}); !errors.Is(err, ErrNotHeld) {
		t.Errorf("purge at the one that does not have the queue: %v", err)
	}
	if c := second.Stats().Log; c.Condition != queue.Opening || !strings.Contains(c.Reason, "process") {
		t.Errorf("it says %s: %s", c.Condition, c.Reason)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if got := <-taken; got != "from the second" {
		t.Errorf("taken %s", got)
	}
	if _, err := second.PurgeDeadLetters(t.Context(), deadletter.Filter{}); err != nil {
		t.Errorf("purge after it has taken over: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
}

// A log that was removed begins anew, and erasures of the old one do not match it.
func TestEraseThenRemovedLog(t *testing.T) {
	s, taken := local(t)
	dir := t.TempDir()
	for round := range 2 {
		f := New(dir)
		if err := f.Start("a", s); err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			if err := f.Capture("main", &event.Event{Type: event.Track, Name: fmt.Sprint(round, i), AnonymousID: "v", UserID: "u"}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 10 {
			if got, want := <-taken, fmt.Sprint(round, i); got != want {
				t.Fatalf("taken %s, want %s", got, want)
			}
		}
		if _, err := f.Erase(t.Context(), erasure.Subject{UserID: "u"}); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(dir, "wal")); err != nil {
			t.Fatal(err)
		}
	}
}
