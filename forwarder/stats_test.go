package forwarder

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/fleet"
	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// What a fleet has counted of a destination is in its account, and what is kept after
// it was handed over is not pending.
func TestFleetDestinationStats(t *testing.T) {
	a := fleet.Account{HandedOver: 40, Dropped: 1, LostBroker: 2, LostExpired: 3, LostDamaged: 4}
	a.Erased[event.Track.Class()], a.Erased[event.Identify.Class()] = 5, 6
	d := newDestination("main", &shared{}, newForwarder("", nil).log)
	d.counts.erased[event.Track.Class()].Add(10)
	d.counts.unreadable.Add(1)
	d.workers[2] = newWorker(d, nil, "main/2", nil)
	backlog := map[string]uint64{"main/1": 7, "other/1": 9}
	s := d.stats(backlog, &fleet.Stats{
		Destinations: map[string]fleet.Account{"main": a, "other": {LostBroker: 100}},
		Streams:      map[string]uint64{"main/1": 50, "main/2": 20},
	})
	want := map[queue.LossCause]uint64{LostUnreadable: 2, LostBroker: 2, queue.LostExpired: 3, queue.LostCorrupt: 4}
	if diff := cmp.Diff(want, s.Lost); diff != "" {
		t.Errorf("lost: %s", diff)
	}
	if diff := cmp.Diff(ByType{Track: 15, Identify: 6}, s.Erased); diff != "" {
		t.Errorf("erased: %s", diff)
	}
	if s.Pending != 7 || s.Lanes[1] != 7 {
		t.Errorf("%d pending, by lane %v", s.Pending, s.Lanes)
	}
	if s.DrainETA != -1 {
		t.Errorf("nothing was delivered, and the streams are empty in %v", s.DrainETA)
	}
	if s = d.stats(backlog, &fleet.Stats{Streams: map[string]uint64{"main/1": 50}}); s.DrainETA != 0 {
		t.Errorf("nothing waits in its own lanes, and that takes %v", s.DrainETA)
	}
}

// A node whose broker is away keeps its account.
func TestFleetStatsApart(t *testing.T) {
	log := newMemLog()
	f := newForwarder(t.TempDir(), log.opener)
	t.Cleanup(func() {
		log.mu.Lock()
		for _, l := range log.lanes { // or Close would wait for the broker
			l.recs = nil
		}
		log.mu.Unlock()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	if f.Stats().Fleet != nil {
		t.Error("a fleet before there is one")
	}
	err := f.Start(t, Settings{
		Fleet:        &fleet.Options{Servers: []string{"127.0.0.1:1"}, Node: "web"},
		Destinations: []Destination{{Name: "main", ClientID: "acme", Token: func() (string, error) { return "t", nil }}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, visitor := range []string{"a", "b", "c"} {
		e := event.Event{Type: event.Track, Name: "e", AnonymousID: visitor, Timestamp: time.Now().Add(-time.Hour)}
		if err := f.Capture("main", &e); err != nil {
			t.Fatal(err)
		}
	}
	var s Stats
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		s = f.Stats()
		if s.Fleet != nil && s.Fleet.TotalBacklog() == 3 && s.Fleet.Reason != "" && !s.Fleet.Oldest.IsZero() {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", s.Fleet)
		}
	}
	if s.Fleet.Node != "web" || s.Fleet.Session {
		t.Errorf("node %q, session %v", s.Fleet.Node, s.Fleet.Session)
	}
	if s.Log.Oldest < time.Hour || !strings.Contains(s.Fleet.Reason, "not connected") {
		t.Errorf("the oldest event waits for %v: %s", s.Log.Oldest, s.Fleet.Reason)
	}
	if s.Destinations["main"].Pending != 3 {
		t.Errorf("%d pending", s.Destinations["main"].Pending)
	}
	if err := balance(s, 0); err != nil {
		t.Error(err)
	}
}
