package caddymodule

import (
	"github.com/caddyserver/caddy/v2"

	"github.com/intilery/caddy-intilery/caddymodule/internal/operatorpage"
	"github.com/intilery/caddy-intilery/forwarder"
)

// queues shares one forwarder per data directory between configurations. The
// key is the clean absolute directory alone: two forwarders on one directory
// would fight over its lock. The constructor does no I/O, so that validating a
// configuration beside a live server leaves the server's queue alone.
var queues = caddy.NewUsagePool()

// pooled is a forwarder as the pool's value, with what waits beside it from one
// configuration to the next.
type pooled struct {
	*forwarder.Forwarder
	awaiting *awaitingPages
	reported *reported
	intake   *intake
	tally    *tally
	captures *operatorpage.Captures
	history  *operatorpage.History

	bodies, relayed *bodies // of the endpoint's public senders, and of servers
	views           *views
}

func newPooled(f *forwarder.Forwarder) pooled {
	captures := new(operatorpage.Captures)
	f.Observe(captures)
	return pooled{
		Forwarder: f, captures: captures, history: new(operatorpage.History),
		awaiting: new(awaitingPages), reported: new(reported), intake: newIntake(), tally: newTally(),
		bodies: newBodies(), relayed: newBodies(), views: &views{capture: f.Capture},
	}
}

// Destruct closes the forwarder when the last configuration that uses it is
// gone. Cleanup may be the last that a process does, so it is bounded.
func (p pooled) Destruct() error {
	p.history.Stop()
	p.views.flush()
	return p.Close()
}

func takeQueue(dir string) (pooled, error) {
	value, _, err := queues.LoadOrNew(dir, func() (caddy.Destructor, error) {
		return newPooled(forwarder.New(dir)), nil
	})
	if err != nil {
		return pooled{}, err
	}
	return value.(pooled), nil
}

func releaseQueue(dir string) error {
	_, err := queues.Delete(dir)
	return err
}
