package caddymodule

import (
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/intilery/caddy-intilery/forwarder"
	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// queueMetric describes one metric that is read off the queues at each scrape.
type queueMetric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func newQueueMetric(kind prometheus.ValueType, name, help string, labels ...string) queueMetric {
	return queueMetric{prometheus.NewDesc("caddy_intilery_"+name, help, labels, nil), kind}
}

var (
	eventsCaptured     = newQueueMetric(prometheus.CounterValue, "events_captured_total", "Events offered to the queue, by destination and type.", "destination", "type")
	eventsAcknowledged = newQueueMetric(prometheus.CounterValue, "events_acknowledged_total", "Events that Intilery accepted, by destination and type.", "destination", "type")
	eventsDeadLettered = newQueueMetric(prometheus.CounterValue, "events_dead_lettered_total", "Events that Intilery refused for good and that were put aside, by destination and type.", "destination", "type")
	eventsShed         = newQueueMetric(prometheus.CounterValue, "events_shed_total", "Events given up for want of room, by type and cause.", "type", "cause")
	eventsLost         = newQueueMetric(prometheus.CounterValue, "events_lost_total", "Events lost, by cause.", "cause")
	eventsCommitted    = newQueueMetric(prometheus.CounterValue, "events_committed_total", "Events made durable in the log.")
	eventsPending      = newQueueMetric(prometheus.GaugeValue, "events_pending", "Events in the log that are not acknowledged yet, by destination.", "destination")
	oldestPending      = newQueueMetric(prometheus.GaugeValue, "oldest_pending_seconds", "Age of the oldest event in the log that is not acknowledged yet.")
	requestsTotal      = newQueueMetric(prometheus.CounterValue, "requests_total", "Requests to Intilery by destination and HTTP status; 0 when no answer came.", "destination", "code")
	destinationPaused  = newQueueMetric(prometheus.GaugeValue, "destination_paused", "1 while nothing is sent to a destination, by reason.", "destination", "reason")
	bufferBytes        = newQueueMetric(prometheus.GaugeValue, "buffer_bytes", "Memory taken by events that are not durable yet.")
	logBytes           = newQueueMetric(prometheus.GaugeValue, "log_bytes", "Disk blocks that the log takes.")
	freeBytes          = newQueueMetric(prometheus.GaugeValue, "disk_free_bytes", "Free space on the log's file system.")
	logCondition       = newQueueMetric(prometheus.GaugeValue, "log_condition", "1 for the condition that the log is in: opening, ok, degraded, disk_full, quota_full, inodes_full, failing or closed.", "condition")
	deadLetterBytes    = newQueueMetric(prometheus.GaugeValue, "dead_letter_bytes", "Size of the dead letters on disk.")
	eventsErased       = newQueueMetric(prometheus.CounterValue, "events_erased_total", "Events that were not sent because their visitor was erased, by type.", "type")
	lanePending        = newQueueMetric(prometheus.GaugeValue, "lane_pending", "Events in the log that are not acknowledged yet, by destination and lane; absent when there are none.", "destination", "lane")
	drainSeconds       = newQueueMetric(prometheus.GaugeValue, "drain_seconds", "How long the pending events take at the present rate of delivery, by destination; absent when nothing was delivered lately.", "destination")
	rateLimit          = newQueueMetric(prometheus.GaugeValue, "rate_limit", "Requests per second that are allowed at present, by destination.", "destination")
	logQuarantined     = newQueueMetric(prometheus.GaugeValue, "log_quarantined_segments", "Segments of the log that were set aside because they are damaged.")
	deadLettersKept    = newQueueMetric(prometheus.GaugeValue, "dead_letters", "Dead letters on disk.")
	deadLettersDropped = newQueueMetric(prometheus.CounterValue, "dead_letters_dropped_total", "Dead letters that made room for younger ones.")
)

var queueMetrics = slices.Concat(fleetMetrics, []queueMetric{
	eventsCaptured, eventsAcknowledged, eventsDeadLettered, eventsShed, eventsLost, eventsCommitted, eventsPending,
	oldestPending, requestsTotal, destinationPaused, bufferBytes, logBytes, freeBytes, logCondition, deadLetterBytes,
	deadLettersDropped, eventsErased, lanePending, drainSeconds, rateLimit, logQuarantined, deadLettersKept,
})

// Histograms, which samples cannot hold.
var (
	requestSeconds = prometheus.NewDesc("caddy_intilery_request_duration_seconds",
		"How long requests to Intilery took, by destination.", []string{"destination"}, nil)
	commitSeconds = prometheus.NewDesc("caddy_intilery_commit_duration_seconds",
		"How long the log took to make a group of events durable.", nil, nil)
)

// queueCollector reads the live queues at each scrape. Their counters live as
// long as the process uses the directory, so they survive reloads. For the
// moment in which a reload changes data_dir there are two, which are summed.
type queueCollector struct{}

// Describe implements prometheus.Collector.
func (queueCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range queueMetrics {
		ch <- m.desc
	}
	ch <- requestSeconds
	ch <- commitSeconds
}

// Collect implements prometheus.Collector.
func (queueCollector) Collect(ch chan<- prometheus.Metric) {
	sums := make(samples)
	took := make(map[string]queue.Histogram)
	var commits queue.Histogram
	queues.Range(func(_, value any) bool {
		if q, ok := value.(pooled); ok {
			st := q.Stats()
			sums.add(st)
			commits = commits.Add(st.Log.CommitDurations)
			for name, d := range st.Destinations {
				took[name] = took[name].Add(d.RequestDurations)
			}
		}
		return true
	})
	for name, d := range took {
		collectHistogram(ch, requestSeconds, d, name)
	}
	collectHistogram(ch, commitSeconds, commits)
	for key, value := range sums {
		var labels []string
		if key.labels != "" {
			labels = strings.Split(key.labels, labelSeparator)
		}
		if m, err := prometheus.NewConstMetric(key.metric.desc, key.metric.kind, value, labels...); err == nil {
			ch <- m
		}
	}
}

func collectHistogram(ch chan<- prometheus.Metric, desc *prometheus.Desc, h queue.Histogram, labels ...string) {
	if m, err := prometheus.NewConstHistogram(desc, h.Count, h.Sum, h.Buckets, labels...); err == nil {
		ch <- m
	}
}

// samples are metric values by name and labels.
type samples map[sample]float64

type sample struct {
	metric queueMetric
	labels string
}

// labelSeparator stands in no destination's name, type, cause or code.
const labelSeparator = "\x00"

func (s samples) put(m queueMetric, value float64, labels ...string) {
	s[sample{m, strings.Join(labels, labelSeparator)}] += value
}

// The label values of counters that rise seldom. Their series are there from the
// start, at 0: of a series that begins at 1, Prometheus does not see the increase.
var (
	lossCauses = []queue.LossCause{
		forwarder.LostTooLarge, forwarder.LostInvalid, forwarder.LostClosed, forwarder.LostUnreadable, forwarder.LostUnknown,
		forwarder.LostBroker, queue.LostMissing, queue.LostCorrupt, queue.LostMaxSize, queue.LostExpired, queue.LostShutdown,
	}
	shedCauses = []queue.ShedCause{
		queue.ShedBufferFull, queue.ShedNotOpen, queue.ShedDiskFull, queue.ShedQuota, queue.ShedInodes, queue.ShedDiskError,
		queue.ShedMaxSize,
	}
)

func (s samples) add(st forwarder.Stats) {
	for _, cause := range lossCauses {
		s.put(eventsLost, 0, string(cause))
	}
	for _, cause := range shedCauses {
		for _, t := range []event.Type{event.Page, event.Track, event.Identify} {
			s.put(eventsShed, 0, t.String(), string(cause))
		}
	}
	for name, d := range st.Destinations {
		s.byType(eventsCaptured, d.Captured, name)
		s.byType(eventsAcknowledged, d.Acknowledged, name)
		s.byType(eventsDeadLettered, d.DeadLettered, name)
		s.put(eventsPending, float64(d.Pending), name)
		for lane, n := range d.Lanes {
			if n > 0 {
				s.put(lanePending, float64(n), name, strconv.Itoa(lane))
			}
		}
		if d.DrainETA >= 0 {
			s.put(drainSeconds, d.DrainETA.Seconds(), name)
		}
		s.put(rateLimit, d.Rate, name)
		s.byType(eventsErased, d.Erased)
		for cause, n := range d.Lost {
			s.put(eventsLost, float64(n), string(cause))
		}
		for code, n := range d.Requests {
			s.put(requestsTotal, float64(n), name, strconv.Itoa(code))
		}
		if d.Paused != forwarder.NotPaused {
			s.put(destinationPaused, 1, name, string(d.Paused))
		}
	}
	if st.Unknown > 0 {
		s.put(eventsLost, float64(st.Unknown), string(forwarder.LostUnknown))
	}
	for class, causes := range st.Log.Shed {
		for cause, n := range causes {
			s.put(eventsShed, float64(n), event.OfClass(queue.Class(class)).String(), string(cause))
		}
	}
	for class, n := range st.Log.Erased {
		s.put(eventsErased, float64(n), event.OfClass(queue.Class(class)).String())
	}
	for cause, n := range st.Log.Lost {
		s.put(eventsLost, float64(n), string(cause))
	}
	s.put(eventsCommitted, float64(st.Log.Committed))
	s.put(oldestPending, st.Log.Oldest.Seconds())
	s.put(bufferBytes, float64(st.Log.BufferBytes))
	s.put(logBytes, float64(st.Log.DiskBytes))
	s.put(freeBytes, float64(st.Log.FreeBytes))
	if st.Log.Condition != "" {
		s.put(logCondition, 1, string(st.Log.Condition))
	}
	s.put(logQuarantined, float64(st.Log.Quarantined))
	s.put(deadLettersKept, float64(st.DeadLetters.Kept))
	s.put(deadLetterBytes, float64(st.DeadLetters.Bytes))
	s.put(deadLettersDropped, float64(st.DeadLetters.Dropped))
	if st.Fleet != nil {
		s.addFleet(st.Fleet)
	}
}

// byType puts a value for each type, which is the last label.
func (s samples) byType(m queueMetric, n forwarder.ByType, labels ...string) {
	put := func(t event.Type, n uint64) { s.put(m, float64(n), append(slices.Clip(labels), t.String())...) }
	put(event.Page, n.Page)
	put(event.Track, n.Track)
	put(event.Identify, n.Identify)
}

// Interface guard
var _ prometheus.Collector = queueCollector{}
