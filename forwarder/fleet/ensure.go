package fleet

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A cluster that has no leader yet does not answer at all, and asking again is all
// that helps.
const (
	lookTimeout = 2 * time.Second
	makeTimeout = 5 * time.Second
)

// oldest is the first server with the fixes of atomic batches that this relies on.
var oldest = [3]int{2, 12, 3}

var versionPattern = regexp.MustCompile(`^v?(\d+)\.(\d+)\.(\d+)`)

// ensure looks at the server and at the streams of the destinations that are served,
// makes what is missing or may not be, and reports the outcome.
func (j *jetStream) ensure() error {
	j.mu.Lock()
	conn, js, up := j.conn, j.js, j.up
	destinations := j.serving
	problem := j.problem
	j.mu.Unlock()
	if up.Err() != nil {
		if problem == nil {
			problem = errNotReady
		}
		return problem // as the connection's handlers have set it
	}
	err := checkVersion(conn.ConnectedServerVersion())
	if err == nil {
		err = j.ensureStreams(up, js, destinations)
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", errNotReady, err)
	}
	// What happened meanwhile kicks again, and is not overwritten by a success.
	if up.Err() == nil {
		j.reportServed(destinations, err)
	}
	return err
}

// reportServed reports on destinations unless others are to be served by now.
func (j *jetStream) reportServed(destinations []string, err error) {
	j.mu.Lock()
	same := len(destinations) == len(j.serving) &&
		(len(destinations) == 0 || &destinations[0] == &j.serving[0])
	j.mu.Unlock()
	if same {
		j.report(err)
	}
}

func checkVersion(version string) error {
	m := versionPattern.FindStringSubmatch(version)
	if m == nil {
		return fmt.Errorf("the server's version %q cannot be read", version)
	}
	for i, least := range oldest {
		part, err := strconv.Atoi(m[i+1])
		if err != nil {
			return fmt.Errorf("the server's version %q cannot be read", version)
		}
		if part > least {
			return nil
		}
		if part < least {
			return fmt.Errorf("the server is NATS %s; %d.%d.%d or newer is needed", version, oldest[0], oldest[1], oldest[2])
		}
	}
	return nil
}

// ensureStreams goes on after a stream that is set otherwise, so that an
// administrator reads of all in one error.
func (j *jetStream) ensureStreams(ctx context.Context, js jetstream.JetStream, destinations []string) error {
	plan, err := j.planner.streams(destinations)
	if err != nil {
		return err
	}
	var wrong []error
	for _, planned := range plan {
		err := j.ensureStream(ctx, js, planned)
		var refused *refusal
		switch {
		case errors.As(err, &refused):
			wrong = append(wrong, err)
		case err != nil:
			return fmt.Errorf("stream %s: %w", planned.Name, err)
		}
	}
	return errors.Join(wrong...)
}

// refusal is a stream that is missing or set otherwise, with Options.Check.
type refusal struct{ error }

// ensureStream makes a stream, or changes it, or with Options.Check says what is
// wrong. Nodes may do this at once: to make a stream that is there with the same
// settings succeeds.
func (j *jetStream) ensureStream(ctx context.Context, js jetstream.JetStream, planned jetstream.StreamConfig) error {
	look, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	s, err := js.Stream(look, planned.Name)
	ctx, cancelMake := context.WithTimeout(ctx, makeTimeout)
	defer cancelMake()
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound) && j.o.Check:
		return &refusal{fmt.Errorf("stream %s is missing", planned.Name)}
	case errors.Is(err, jetstream.ErrStreamNotFound):
		_, err := js.CreateStream(ctx, planned)
		if err == nil {
			j.log.Info("fleet: made a stream", "stream", planned.Name)
		}
		// In use: another node was first, with other settings. The next look says.
		return err
	case err != nil:
		return unreachable(err)
	}
	found := s.CachedInfo().Config
	wrong := check(found, planned)
	switch {
	case wrong == nil:
		return nil
	case j.o.Check:
		return &refusal{wrong}
	}
	if _, err := js.UpdateStream(ctx, merge(found, planned)); err != nil {
		return fmt.Errorf("%w (%w)", err, wrong)
	}
	j.log.Info("fleet: changed a stream", "was", wrong)
	return nil
}

// unreachable says what the silence of JetStream's API means.
func unreachable(err error) error {
	switch {
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrJetStreamNotEnabled):
		return fmt.Errorf("the server has no JetStream for this account: %w", err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer; the user may lack a permission: %w", err)
	}
	return err
}
