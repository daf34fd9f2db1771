package caddymodule

import (
	"github.com/caddyserver/caddy/v2"

	"github.com/intilery/caddy-intilery/forwarder"
)

// queues shares one forwarder per data directory between configurations. The
// key is the clean absolute directory alone: two forwarders on one directory
// would fight over its lock. The constructor does no I/O, so that validating a
// configuration beside a live server leaves the server's queue alone.
var queues = caddy.NewUsagePool()

// queue is a forwarder as the pool's value.
type queue struct{ *forwarder.Forwarder }

// Destruct closes the forwarder when the last configuration that uses it is
// gone. Cleanup may be the last that a process does, so it is bounded.
func (q queue) Destruct() error { return q.Close() }

func takeQueue(dir string) (queue, error) {
	value, _, err := queues.LoadOrNew(dir, func() (caddy.Destructor, error) {
		return queue{forwarder.New(dir)}, nil
	})
	if err != nil {
		return queue{}, err
	}
	return value.(queue), nil
}

func releaseQueue(dir string) error {
	_, err := queues.Delete(dir)
	return err
}
