package caddymodule

import (
	"time"

	"github.com/intilery/caddy-intilery/forwarder"
	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// queueStatus is what GET /intilery/status tells about one data directory:
// counts and ages, never payloads, IDs or secrets. Times are RFC 3339, ages are
// in seconds. Counts run from the start of the process.
type queueStatus struct {
	DataDir      string                       `json:"data_dir"`
	Log          logStatus                    `json:"log"`
	DeadLetters  deadLetterStatus             `json:"dead_letters"`
	Shed         map[string]map[string]uint64 `json:"shed"` // by type and cause
	Lost         map[string]uint64            `json:"lost"` // by cause
	Collected    collectedStatus              `json:"collected"`
	Destinations map[string]destinationStatus `json:"destinations"`
	Fleet        *fleetStatus                 `json:"fleet,omitempty"`
}

type logStatus struct {
	Condition        queue.Condition `json:"condition"`
	Reason           string          `json:"reason,omitempty"`
	Committed        uint64          `json:"committed"`
	Pending          uint64          `json:"pending"`
	OldestAgeSeconds float64         `json:"oldest_age_seconds"`
	BufferBytes      int64           `json:"buffer_bytes"`
	DiskBytes        int64           `json:"disk_bytes"`
	FreeBytes        int64           `json:"free_bytes"`
	Segments         int             `json:"segments"`
	Quarantined      int             `json:"quarantined"`
}

type deadLetterStatus struct {
	Kept    uint64 `json:"kept"`
	Bytes   int64  `json:"bytes"`
	Dropped uint64 `json:"dropped"`
}

type destinationStatus struct {
	Sending       bool                       `json:"sending"`
	Paused        forwarder.Pause            `json:"paused,omitempty"`
	PausedSince   *time.Time                 `json:"paused_since,omitempty"`
	NextTry       *time.Time                 `json:"next_try,omitempty"`
	Rate          float64                    `json:"rate"`
	BatchBytes    int                        `json:"batch_bytes"`
	Captured      counts                     `json:"captured"`
	Acknowledged  counts                     `json:"acknowledged"`
	DeadLettered  counts                     `json:"dead_lettered"`
	Erased        counts                     `json:"erased"`
	Requests      map[int]uint64             `json:"requests"` // by status, 0 when no answer came
	Lost          map[queue.LossCause]uint64 `json:"lost"`
	Pending       uint64                     `json:"pending"`
	OldestPending *time.Time                 `json:"oldest_pending,omitempty"`
	Lanes         []uint64                   `json:"lanes_pending"`
	// DrainSeconds is absent when nothing was delivered lately, so that it
	// cannot be told.
	DrainSeconds *float64 `json:"drain_seconds,omitempty"`
}

type counts struct {
	Page     uint64 `json:"page"`
	Track    uint64 `json:"track"`
	Identify uint64 `json:"identify"`
}

func newQueueStatus(dir string, st forwarder.Stats, collected collectedStatus) queueStatus {
	s := queueStatus{
		DataDir: dir,
		Log: logStatus{
			Condition: st.Log.Condition, Reason: st.Log.Reason, Committed: st.Log.Committed, Pending: st.Log.TotalPending(),
			OldestAgeSeconds: st.Log.Oldest.Seconds(), BufferBytes: st.Log.BufferBytes, DiskBytes: st.Log.DiskBytes,
			FreeBytes: st.Log.FreeBytes, Segments: st.Log.Segments, Quarantined: st.Log.Quarantined,
		},
		DeadLetters:  deadLetterStatus(st.DeadLetters),
		Shed:         make(map[string]map[string]uint64),
		Lost:         make(map[string]uint64),
		Collected:    collected,
		Destinations: make(map[string]destinationStatus),
		Fleet:        newFleetStatus(st, time.Now()),
	}
	for class, causes := range st.Log.Shed {
		kind := event.OfClass(queue.Class(class)).String()
		if s.Shed[kind] == nil {
			s.Shed[kind] = make(map[string]uint64)
		}
		for cause, n := range causes {
			s.Shed[kind][string(cause)] += n
		}
	}
	for cause, n := range st.Log.Lost {
		s.Lost[string(cause)] = n
	}
	if st.Unknown > 0 {
		s.Lost[string(forwarder.LostUnknown)] = st.Unknown
	}
	for name, d := range st.Destinations {
		s.Destinations[name] = newDestinationStatus(d)
	}
	return s
}

func newDestinationStatus(d forwarder.DestinationStats) destinationStatus {
	s := destinationStatus{
		Sending: d.Sending, Paused: d.Paused, PausedSince: given(d.PausedSince), NextTry: given(d.NextTry),
		Rate: d.Rate, BatchBytes: d.BatchBytes,
		Captured: counts(d.Captured), Acknowledged: counts(d.Acknowledged), DeadLettered: counts(d.DeadLettered), Erased: counts(d.Erased),
		Requests: d.Requests, Lost: d.Lost, Pending: d.Pending, OldestPending: given(d.OldestPending), Lanes: d.Lanes[:],
	}
	if s.Requests == nil {
		s.Requests = make(map[int]uint64)
	}
	if d.DrainETA >= 0 {
		seconds := d.DrainETA.Seconds()
		s.DrainSeconds = &seconds
	}
	return s
}

// given is nil for a zero time.
func given(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Millisecond)
	return &t
}
