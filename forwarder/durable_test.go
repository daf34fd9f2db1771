package forwarder

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
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
		if err := first.Capture("main", &Event{Type: Track, Name: want[i], AnonymousID: "v"}); err != nil {
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
	if s := second.Stats(); s.Log.Backlog != 0 || len(events) != 0 {
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
			if err := first.Capture("main", &Event{Type: Track, Name: "e", AnonymousID: v}); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, err := first.Erase(t.Context(), Subject{AnonymousID: secretID})
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
