package forwarder

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
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
