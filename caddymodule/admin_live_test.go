package caddymodule

import (
	"fmt"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder"
	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// Of thousands of destinations the page gets those that matter most, and sums over all.
func TestLiveOfManyDestinations(t *testing.T) {
	stats := make(map[string]forwarder.DestinationStats)
	for n := range 3000 {
		stats[fmt.Sprintf("shop-%04d", n)] = forwarder.DestinationStats{
			Pending: uint64(n), DrainETA: time.Duration(n) * time.Second, Lost: map[queue.LossCause]uint64{forwarder.LostTooLarge: 1},
		}
	}
	paused := stats["shop-0000"]
	paused.Paused = forwarder.Misconfigured
	stats["shop-0000"] = paused
	all := sumDestinations(stats)
	if all.Count != 3000 || all.Paused != 1 || all.Waiting != 2999 || all.WaitingPaused != 0 || all.Lost[forwarder.LostTooLarge] != 3000 ||
		all.DrainSeconds == nil || *all.DrainSeconds != 2999 {
		t.Errorf("%+v", all)
	}
	shown := shownDestinations(newQueueStatus("", forwarder.Stats{Destinations: stats}, collectedStatus{}).Destinations)
	if len(shown) != maxShownDestinations {
		t.Errorf("%d are shown", len(shown))
	}
	for _, name := range []string{"shop-0000", "shop-2999", fmt.Sprintf("shop-%04d", 3000-maxShownDestinations+1)} {
		if _, is := shown[name]; !is {
			t.Errorf("%s is not shown", name)
		}
	}
	unknown := stats["shop-0001"]
	unknown.DrainETA = -1
	stats["shop-0001"] = unknown
	if all := sumDestinations(stats); all.DrainSeconds != nil {
		t.Errorf("drained in %v s, of which one cannot be told", *all.DrainSeconds)
	}
}

func TestLiveOfManyLanes(t *testing.T) {
	lanes := make(map[string]fleetLaneStatus)
	for n := range uint64(1000) {
		lanes[fmt.Sprintf("shop-%03d/0", n)] = fleetLaneStatus{Owner: "a", Backlog: &n}
	}
	lanes["shop-000/0"] = fleetLaneStatus{}
	shown := shownLanes(lanes)
	_, unowned := shown["shop-000/0"]
	_, crowded := shown["shop-999/0"]
	if len(shown) != maxShownLanes || !unowned || !crowded {
		t.Errorf("%d are shown; without owner: %v, with most waiting: %v", len(shown), unowned, crowded)
	}
}
