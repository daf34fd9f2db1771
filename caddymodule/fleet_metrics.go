package caddymodule

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/intilery/caddy-intilery/forwarder/fleet"
)

// The metrics of a node of a fleet. There are none without one.
var (
	eventsHandedOver = newQueueMetric(prometheus.CounterValue, "events_handed_over_total", "Events that this node has handed over to the fleet's streams, by destination.", "destination")
	fleetBacklog     = newQueueMetric(prometheus.GaugeValue, "fleet_backlog", "Events in this node's log that are not handed over yet.")
	fleetKept        = newQueueMetric(prometheus.GaugeValue, "fleet_kept", "Events in this node's log that are handed over and kept for a while.")
	fleetLag         = newQueueMetric(prometheus.GaugeValue, "fleet_lag_seconds", "How long the oldest event has waited to be handed over.")
	fleetSession     = newQueueMetric(prometheus.GaugeValue, "fleet_session", "1 while this node takes part in the fleet, 0 while it cannot.")
	fleetLanesOwned  = newQueueMetric(prometheus.GaugeValue, "fleet_lanes_owned", "Lanes that this node delivers.")
	fleetNodes       = newQueueMetric(prometheus.GaugeValue, "fleet_nodes", "Nodes that take part in the fleet.")
	fleetNodesLost   = newQueueMetric(prometheus.GaugeValue, "fleet_nodes_lost", "Nodes that are gone and have events to hand over.")
	fleetLostBacklog = newQueueMetric(prometheus.GaugeValue, "fleet_lost_backlog", "Events that a node that is gone has to hand over, by node.", "node")
	fleetStream      = newQueueMetric(prometheus.GaugeValue, "fleet_stream_pending", "Events that wait in the stream of a lane that this node delivers, by destination and lane.", "destination", "lane")
)

var fleetMetrics = []queueMetric{
	eventsHandedOver, fleetBacklog, fleetKept, fleetLag, fleetSession, fleetLanesOwned, fleetNodes, fleetNodesLost, fleetLostBacklog, fleetStream,
}

func (s samples) addFleet(st *fleet.Stats) {
	for name, a := range st.Destinations {
		s.put(eventsHandedOver, float64(a.HandedOver), name)
	}
	s.put(fleetBacklog, float64(st.TotalBacklog()))
	s.put(fleetKept, float64(st.TotalKept()))
	s.put(fleetLag, st.Lag(time.Now()).Seconds())
	session := 0.0
	if st.Session {
		session = 1
	}
	s.put(fleetSession, session)
	s.put(fleetLanesOwned, float64(st.Owned))
	s.put(fleetNodes, float64(len(st.Nodes)))
	s.put(fleetNodesLost, float64(len(st.Lost)))
	for _, m := range st.Lost {
		s.put(fleetLostBacklog, float64(m.Backlog), m.Node)
	}
	for lane, n := range st.Streams {
		if st.Owners[lane] == st.Node { // else its owner says so
			destination, number, _ := strings.Cut(lane, "/")
			s.put(fleetStream, float64(n), destination, number)
		}
	}
}
