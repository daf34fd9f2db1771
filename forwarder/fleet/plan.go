package fleet

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// ageReserve is how much longer a lane's stream keeps events than they may
	// wait: the owner gives up events, and counts them; the stream's limit is for
	// what no owner sees.
	ageReserve = time.Hour
	// noDuplicates is the shortest duplicate window that a server takes; none would
	// mean its default of two minutes. Message IDs are not used.
	noDuplicates = 100 * time.Millisecond
	// markerTTL is how long a bucket tells that a key is gone.
	markerTTL = time.Minute
)

// planner says how the fleet's streams are set.
type planner struct {
	names
	replicas int
	maxBytes int64
	maxAge   time.Duration
}

func newPlanner(o Options) (planner, error) {
	n, err := newNames(o)
	if err != nil {
		return planner{}, err
	}
	if o.Replicas != 1 && o.Replicas != 3 && o.Replicas != 5 {
		return planner{}, fmt.Errorf("replicas %d: must be 1, 3 or 5", o.Replicas)
	}
	if o.MaxBytes < lanes {
		return planner{}, fmt.Errorf("max bytes %d: too few", o.MaxBytes)
	}
	return planner{names: n, replicas: o.Replicas, maxBytes: o.MaxBytes, maxAge: o.MaxAge}, nil
}

// streams returns the streams of destinations, and the bucket's.
func (p planner) streams(destinations []string) ([]jetstream.StreamConfig, error) {
	out := []jetstream.StreamConfig{p.bucketConfig()}
	for _, d := range destinations {
		if !validDestination.MatchString(d) {
			return nil, fmt.Errorf("%q is not a destination", d)
		}
		for i := range lanes {
			out = append(out, p.laneConfig(p.laneOf(d, i)))
		}
		out = append(out, p.deadConfig(d))
	}
	return out, nil
}

// common is what all streams have. Limits that are absent are written as the server
// returns them, so that a stream compares equal to its plan.
func (p planner) common(name string, subjects ...string) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: name, Subjects: subjects, Retention: jetstream.LimitsPolicy,
		Storage: jetstream.FileStorage, Replicas: p.replicas, Duplicates: noDuplicates,
		MaxMsgs: -1, MaxBytes: -1, MaxMsgsPerSubject: -1, MaxMsgSize: -1, MaxConsumers: -1,
	}
}

// laneConfig has no direct reads, because a replica may answer these, with a
// position that is older than the leader's. TTLs are allowed for one thing: a
// position must not go at the stream's maximum age, and is stored to stay.
func (p planner) laneConfig(l laneNames) jetstream.StreamConfig {
	c := p.common(l.stream, l.events(), l.positions())
	c.Description = "Events of a lane, and how far each node has handed over its own"
	c.Discard = jetstream.DiscardNew
	c.MaxBytes = p.maxBytes / lanes
	if p.maxAge > 0 {
		c.MaxAge = p.maxAge + ageReserve
	}
	c.AllowAtomicPublish = true
	c.AllowMsgTTL = true
	return c
}

func (p planner) deadConfig(destination string) jetstream.StreamConfig {
	c := p.common(p.deadLetters(destination), p.deadLetterSubjects(destination))
	c.Description = "Events that were refused for good"
	c.Discard = jetstream.DiscardOld
	c.MaxBytes = p.maxBytes / lanes
	return c
}

// bucketConfig is a key-value bucket's stream, with a history of one.
func (p planner) bucketConfig() jetstream.StreamConfig {
	c := p.common(p.bucketStream(), p.keys())
	c.Description = "Who owns which lane, and how far it has been delivered"
	c.Discard = jetstream.DiscardNew
	c.MaxMsgsPerSubject = 1
	c.AllowRollup = true
	c.DenyDelete = true
	c.AllowDirect = true // what other tools expect of a bucket; the fleet asks the leader
	c.AllowMsgTTL = true
	c.SubjectDeleteMarkerTTL = markerTTL
	return c
}

// setting is one that the plan decides; what it leaves out is the administrator's:
// placement, compression, description, metadata.
type setting struct {
	name string
	of   func(*jetstream.StreamConfig) any // a pointer to it
}

var settings = []setting{
	{"subjects", func(c *jetstream.StreamConfig) any { return &c.Subjects }},
	{"retention", func(c *jetstream.StreamConfig) any { return &c.Retention }},
	{"storage", func(c *jetstream.StreamConfig) any { return &c.Storage }},
	{"num_replicas", func(c *jetstream.StreamConfig) any { return &c.Replicas }},
	{"discard", func(c *jetstream.StreamConfig) any { return &c.Discard }},
	{"discard_new_per_subject", func(c *jetstream.StreamConfig) any { return &c.DiscardNewPerSubject }},
	{"max_bytes", func(c *jetstream.StreamConfig) any { return &c.MaxBytes }},
	{"max_age", func(c *jetstream.StreamConfig) any { return &c.MaxAge }},
	{"max_msgs", func(c *jetstream.StreamConfig) any { return &c.MaxMsgs }},
	{"max_msgs_per_subject", func(c *jetstream.StreamConfig) any { return &c.MaxMsgsPerSubject }},
	{"max_msg_size", func(c *jetstream.StreamConfig) any { return &c.MaxMsgSize }},
	{"max_consumers", func(c *jetstream.StreamConfig) any { return &c.MaxConsumers }},
	{"duplicate_window", func(c *jetstream.StreamConfig) any { return &c.Duplicates }},
	{"no_ack", func(c *jetstream.StreamConfig) any { return &c.NoAck }},
	{"sealed", func(c *jetstream.StreamConfig) any { return &c.Sealed }},
	{"deny_delete", func(c *jetstream.StreamConfig) any { return &c.DenyDelete }},
	{"deny_purge", func(c *jetstream.StreamConfig) any { return &c.DenyPurge }},
	{"allow_rollup_hdrs", func(c *jetstream.StreamConfig) any { return &c.AllowRollup }},
	{"allow_direct", func(c *jetstream.StreamConfig) any { return &c.AllowDirect }},
	{"allow_atomic", func(c *jetstream.StreamConfig) any { return &c.AllowAtomicPublish }},
	{"allow_msg_ttl", func(c *jetstream.StreamConfig) any { return &c.AllowMsgTTL }},
	{"subject_delete_marker_ttl", func(c *jetstream.StreamConfig) any { return &c.SubjectDeleteMarkerTTL }},
}

// check returns an error that names each setting of a stream that is not as planned.
func check(found, planned jetstream.StreamConfig) error {
	var wrong []string
	for _, s := range settings {
		if is, want := s.of(&found), s.of(&planned); !equal(is, want) {
			wrong = append(wrong, fmt.Sprintf("%s is %s and should be %s", s.name, show(is), show(want)))
		}
	}
	if wrong == nil {
		return nil
	}
	return fmt.Errorf("stream %s: %s", planned.Name, strings.Join(wrong, ", "))
}

// merge returns a stream's configuration with what is planned.
func merge(found, planned jetstream.StreamConfig) jetstream.StreamConfig {
	for _, s := range settings {
		reflect.ValueOf(s.of(&found)).Elem().Set(reflect.ValueOf(s.of(&planned)).Elem())
	}
	return found
}

func equal(a, b any) bool {
	if a, ok := a.(*[]string); ok {
		return slices.Equal(slices.Sorted(slices.Values(*a)), slices.Sorted(slices.Values(*b.(*[]string))))
	}
	return reflect.DeepEqual(a, b)
}

func show(setting any) string {
	if d, ok := setting.(*time.Duration); ok {
		return d.String()
	}
	text, err := json.Marshal(setting)
	if err != nil {
		return fmt.Sprint(reflect.ValueOf(setting).Elem())
	}
	return string(text)
}
