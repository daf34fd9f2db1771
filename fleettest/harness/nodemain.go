package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/intilery/caddy-intilery/forwarder"
	"github.com/intilery/caddy-intilery/forwarder/deadletter"
	"github.com/intilery/caddy-intilery/forwarder/erasure"
	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/fleet"
	"github.com/intilery/caddy-intilery/forwarder/queue"
)

const (
	nodeChild = "node"
	// Destination is the one that nodes send to.
	Destination = "main"
)

// nodeConfig is what a node is started with.
type nodeConfig struct {
	Dir      string
	Endpoint string
	Rate     float64
	Burst    int
	MaxBytes int64
	Fleet    *nodeFleet // nil: a node alone
}

// nodeFleet is fleet.Options as far as it is data.
type nodeFleet struct {
	Servers     []string
	Name, Node  string
	Replicas    int
	Check       bool
	Lease, Keep time.Duration
	MaxBytes    int64
}

// captureEvent is an event to be captured.
type captureEvent struct {
	ID    ID  `json:"id"`
	Bytes int `json:"bytes,omitempty"` // about; default 600
}

func runNode() error {
	var c nodeConfig
	if err := childConfig(&c); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	settings := forwarder.Settings{
		Logger: log, Version: "1.0.0", MaxBytes: c.MaxBytes,
		Destinations: []forwarder.Destination{{
			Name: Destination, Endpoint: c.Endpoint, ClientID: "c", Rate: c.Rate, Burst: c.Burst,
			Token: func() (string, error) { return "t", nil },
		}},
	}
	if l := c.Fleet; l != nil {
		settings.Fleet = &fleet.Options{
			Servers: l.Servers, Name: l.Name, Node: l.Node, Replicas: l.Replicas, Check: l.Check,
			Lease: l.Lease, MaxBytes: l.MaxBytes, Keep: l.Keep, Logger: log,
		}
	}
	f := forwarder.New(c.Dir)
	if err := f.Start("test", settings); err != nil {
		return err
	}
	select {
	case <-f.Opened():
	case <-time.After(20 * time.Second):
		return errors.New("the log does not open")
	}
	return serve(map[string]operation{
		"capture": func(args json.RawMessage) func() (any, error) { return capture(f, args) },
		"erase": func(args json.RawMessage) func() (any, error) {
			return func() (any, error) {
				var who erasure.Subject
				if err := json.Unmarshal(args, &who); err != nil {
					return nil, err
				}
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				defer cancel()
				return f.Erase(ctx, who)
			}
		},
		"letters": func(json.RawMessage) func() (any, error) {
			return func() (any, error) { return letters(f) }
		},
		"replay": func(json.RawMessage) func() (any, error) {
			return func() (any, error) {
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				defer cancel()
				r, err := f.ReplayDeadLetters(ctx, deadletter.Filter{})
				return r.Events, err
			}
		},
		"stats": func(json.RawMessage) func() (any, error) {
			return func() (any, error) { return statsOf(f.Stats()), nil }
		},
	}, f.Close)
}

// NodeStats is a node's own account, as far as tests ask for it.
type NodeStats struct {
	Captured, Acknowledged, Erased, DeadLettered uint64 // events of the destination
	Shed, Lost                                   uint64 // by the log or the destination
	Pending                                      uint64 // in the node's log; in a fleet, what is not handed over
	Paused                                       forwarder.Pause
	Fleet                                        *fleet.Stats // nil for a node alone
}

func statsOf(s forwarder.Stats) NodeStats {
	d := s.Destinations[Destination]
	n := NodeStats{
		Captured: d.Captured.Sum(), Acknowledged: d.Acknowledged.Sum(), Erased: d.Erased.Sum(), DeadLettered: d.DeadLettered.Sum(),
		Lost: s.Unknown, Pending: d.Pending, Paused: d.Paused, Fleet: s.Fleet,
	}
	for _, lost := range []map[queue.LossCause]uint64{d.Lost, s.Log.Lost} {
		for _, c := range lost {
			n.Lost += c
		}
	}
	for _, byCause := range s.Log.Shed {
		for _, c := range byCause {
			n.Shed += c
		}
	}
	return n
}

// letters lists the dead letters.
func letters(f *forwarder.Forwarder) ([]ID, error) {
	list, err := f.DeadLetters(deadletter.Filter{}, 10_000)
	if err == nil && list.Damaged > 0 {
		err = fmt.Errorf("%d dead letters are damaged", list.Damaged)
	}
	ids := []ID{}
	for _, l := range list.Letters {
		id, idErr := parseID(l.Event.MessageID())
		if idErr != nil {
			return nil, idErr
		}
		ids = append(ids, id)
	}
	return ids, err
}

// capture captures events in their order, and answers when all are durable.
func capture(f *forwarder.Forwarder, args json.RawMessage) func() (any, error) {
	var list []captureEvent
	if err := json.Unmarshal(args, &list); err != nil {
		return func() (any, error) { return nil, err }
	}
	receipts := queue.NewReceipts(1)
	var refused error
	for _, c := range list {
		e := event.Event{
			Type: event.Track, Name: "Product Viewed", AnonymousID: AnonymousID(c.ID.Visitor), MessageID: c.ID.String(),
			Properties: json.RawMessage(fmt.Sprintf(`{"n":%d,"ref":"%0*d"}`, c.ID.N, max(300, c.Bytes-300), c.ID.N)),
		}
		if err := f.CaptureWith(receipts.At(0), Destination, &e); err != nil {
			refused = fmt.Errorf("%v: %w", c.ID, err)
			break
		}
	}
	receipts.Seal()
	return func() (any, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		return nil, errors.Join(refused, receipts.Wait(ctx))
	}
}
