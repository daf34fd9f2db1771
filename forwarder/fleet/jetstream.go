package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// jetStream is the broker over a connection to NATS, which it keeps up by itself. Its
// goroutine makes or checks the streams of the destinations that are served.
type jetStream struct {
	o       Options
	planner planner
	invalid error // of the options
	log     *slog.Logger

	ctx  context.Context // ends with close
	stop context.CancelFunc
	wg   sync.WaitGroup
	kick chan struct{} // the goroutine has something to do

	mu      sync.Mutex
	conn    *nats.Conn
	js      jetstream.JetStream
	up      context.Context // ends when the connection is lost; ended when there is none
	down    context.CancelCauseFunc
	serving []string
	problem error // why the broker is not ready
	news    chan struct{}
	denied  map[string]bool // permissions that were said to be missing
}

var (
	// errLost is why requests are given up when their connection is lost.
	errLost = errors.New("the connection was lost")
	// errConnecting is the problem until the first attempt has an outcome.
	errConnecting = fmt.Errorf("%w: connecting", errNotReady)
	// errUnseen is the problem until the streams have been looked at.
	errUnseen = fmt.Errorf("%w: the streams have not been checked yet", errNotReady)
)

// newJetStream does no I/O. What is wrong with the options is the error of start.
func newJetStream(o Options) *jetStream {
	o, err := o.WithDefaults()
	var p planner
	if err == nil {
		p, err = newPlanner(o)
	}
	j := &jetStream{
		o: o, planner: p, invalid: err, log: o.Logger,
		kick: make(chan struct{}, 1), news: make(chan struct{}), denied: map[string]bool{},
		problem: errConnecting,
	}
	j.ctx, j.stop = context.WithCancel(context.Background())
	j.up, j.down = context.WithCancelCause(j.ctx)
	j.down(errLost)
	return j
}

// start begins to connect and returns. Its errors are those of the options, and of
// files that cannot be read.
func (j *jetStream) start() error {
	if j.invalid != nil {
		return j.invalid
	}
	servers, options, err := connectOptions(j.ctx, j.o)
	if err != nil {
		return err
	}
	options = append(options,
		nats.ConnectHandler(j.connected), nats.ReconnectHandler(j.connected),
		nats.DisconnectErrHandler(j.disconnected), nats.ReconnectErrHandler(j.disconnected),
		nats.ErrorHandler(j.failed),
	)
	if j.o.Replicas == 1 {
		j.log.Warn("fleet: replicas is 1; events are lost with the broker's disk")
	}
	j.wg.Go(func() { j.run(servers, options) })
	return nil
}

// close ends everything. Requests that wait return.
func (j *jetStream) close() {
	j.stop()
	j.wg.Wait()
}

// serve has the streams of destinations made or checked, instead of those of the
// call before.
func (j *jetStream) serve(destinations []string) {
	destinations = slices.Sorted(slices.Values(destinations))
	j.mu.Lock()
	same := slices.Equal(j.serving, destinations)
	j.serving = destinations
	up := j.up.Err() == nil
	j.mu.Unlock()
	if same { // a reload changes nothing as a rule
		return
	}
	if up {
		j.report(errUnseen)
	}
	j.wake()
}

func (j *jetStream) Ready() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.up.Err() != nil && j.problem == nil {
		return errNotReady
	}
	return j.problem
}

// changed returns a channel that is closed when Ready may have changed since.
func (j *jetStream) changed() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.news
}

func (j *jetStream) wake() {
	select {
	case j.kick <- struct{}{}:
	default:
	}
}

// report sets why the broker is not ready, nil when it is.
func (j *jetStream) report(problem error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.problem = problem
	close(j.news)
	j.news = make(chan struct{})
}

func (j *jetStream) connected(conn *nats.Conn) {
	js, err := jetstream.New(conn)
	if err != nil { // of options, and there are none
		j.log.Error("fleet: JetStream is not available", "error", err)
		return
	}
	j.mu.Lock()
	j.conn, j.js = conn, js
	j.down(errLost)
	j.up, j.down = context.WithCancelCause(j.ctx)
	clear(j.denied)
	j.mu.Unlock()
	j.report(errUnseen)
	j.wake()
}

func (j *jetStream) disconnected(_ *nats.Conn, err error) {
	j.mu.Lock()
	j.down(errLost)
	j.mu.Unlock()
	if err == nil {
		err = errLost
	}
	j.report(fmt.Errorf("%w: %w", errNotReady, err))
	j.wake()
}

// failed is told of errors that belong to no request, such as a permission that is
// missing: the request itself ends without an answer then.
func (j *jetStream) failed(_ *nats.Conn, _ *nats.Subscription, err error) {
	text := err.Error()
	j.mu.Lock()
	said := j.denied[text] || len(j.denied) >= 100
	if !said {
		j.denied[text] = true
	}
	j.mu.Unlock()
	if !said {
		j.log.Error("fleet: the broker reports an error", "error", err)
	}
}

// run connects, and looks at the streams whenever it is kicked, until it works.
func (j *jetStream) run(servers string, options []nats.Option) {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 250*time.Millisecond, 15*time.Second
	failing := false
	defer func() {
		j.disconnected(nil, nats.ErrConnectionClosed)
	}()
	var conn *nats.Conn
	for {
		var err error
		if conn == nil {
			// It tries again by itself; an error is one of the options only.
			if conn, err = nats.Connect(servers, options...); err != nil {
				conn = nil
				j.report(fmt.Errorf("%w: %w", errNotReady, err))
			} else {
				defer conn.Close()
			}
		}
		if err == nil {
			err = j.ensure()
		}
		if j.ctx.Err() != nil {
			return
		}
		switch {
		case errors.Is(err, errConnecting), errors.Is(err, errUnseen): // no outcome yet
		case err != nil && !failing:
			failing = true
			j.log.Warn("fleet: the broker is not ready: events stay in the node's log", "error", err)
		case err == nil && failing:
			failing = false
			j.log.Info("fleet: the broker is ready")
		}
		if !j.wait(err, pause) {
			return
		}
	}
}

// wait returns when there is something to do, or to try again; false at the end.
func (j *jetStream) wait(err error, pause *backoff.ExponentialBackOff) bool {
	var again <-chan time.Time
	if err == nil {
		pause.Reset()
	} else if j.link().Err() == nil { // a connection that comes back kicks
		again = time.After(pause.NextBackOff())
	}
	select {
	case <-j.ctx.Done():
		return false
	case <-again:
	case <-j.kick:
	}
	return true
}

// link returns the context of the connection.
func (j *jetStream) link() context.Context {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.up
}

var _ broker = (*jetStream)(nil)
