package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Probed is what Probe saw.
type Probed struct {
	// Server is the address of the broker that answered, and Version its version.
	Server, Version string
	// RoundTrip is how long the broker took to answer a ping.
	RoundTrip time.Duration
	// Streams is how many streams the fleet has, of which those in Missing are not
	// there. Wrong has an error for each that is set otherwise than planned.
	Streams int
	Missing []string
	Wrong   []error
}

// Probe connects to the brokers once and looks at the streams of destinations. It makes
// and changes none. Options.Node need not be unique: a probe is no node. Where the
// error is not nil, what was seen before it is returned with it; the error holds no
// secret.
func Probe(ctx context.Context, o Options, destinations []string) (Probed, error) {
	var seen Probed
	o, err := o.WithDefaults()
	if err != nil {
		return seen, err
	}
	p, err := newPlanner(o)
	if err != nil {
		return seen, err
	}
	plan, err := p.streams(destinations)
	if err != nil {
		return seen, err
	}
	conn, err := connectOnce(ctx, o)
	if err != nil {
		return seen, fmt.Errorf("connecting: %w", err)
	}
	defer conn.Close()
	seen.Server, seen.Version = conn.ConnectedUrlRedacted(), conn.ConnectedServerVersion()
	if seen.RoundTrip, err = conn.RTT(); err != nil {
		return seen, fmt.Errorf("ping: %w", err)
	}
	if err := checkVersion(seen.Version); err != nil {
		return seen, err
	}
	js, err := jetstream.New(conn)
	if err != nil {
		return seen, err
	}
	for _, planned := range plan {
		if err := seen.look(ctx, js, planned); err != nil {
			return seen, fmt.Errorf("stream %s: %w", planned.Name, err)
		}
	}
	return seen, nil
}

// connectOnce connects as a node does, but gives up where a node tries again.
func connectOnce(ctx context.Context, o Options) (*nats.Conn, error) {
	servers, options, err := connectOptions(ctx, o)
	if err != nil {
		return nil, err
	}
	options = append(options, nats.Name(o.Name+" check"), nats.RetryOnFailedConnect(false), nats.NoReconnect(),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // the request ends without an answer
	return nats.Connect(servers, options...)
}

func (seen *Probed) look(ctx context.Context, js jetstream.JetStream, planned jetstream.StreamConfig) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	s, err := js.Stream(ctx, planned.Name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		seen.Missing = append(seen.Missing, planned.Name)
	case err != nil:
		return unreachable(err)
	default:
		if err := check(s.CachedInfo().Config, planned); err != nil {
			seen.Wrong = append(seen.Wrong, err)
		}
	}
	seen.Streams++
	return nil
}
