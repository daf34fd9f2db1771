package caddymodule

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"

	"github.com/intilery/caddy-intilery/forwarder/tracking"
)

// startedEvent is what Caddy emits once all apps of a configuration have started.
const startedEvent = "started"

// startSignal is closed by startedEvent. Apps start in random order, and a
// configuration may fail after ours has started.
type startSignal struct {
	once   sync.Once
	signal chan struct{}
}

// Handle implements caddyevents.Handler.
func (s *startSignal) Handle(context.Context, caddy.Event) error {
	s.once.Do(func() { close(s.signal) })
	return nil
}

// provisionEvents subscribes to the start of the configuration. The app `events`
// is there without being configured, as Caddy's own apps use it.
func (a *App) provisionEvents() error {
	app, err := a.ctx.App("events")
	if err != nil {
		return fmt.Errorf("loading the app events: %w", err)
	}
	a.events = app.(*caddyevents.App)
	a.started.signal = make(chan struct{})
	return a.events.On(startedEvent, &a.started)
}

// tellStart logs one line when the configuration has started and the queue is
// open. While it cannot be opened, the queue itself logs why.
func (a *App) tellStart(ctx context.Context, dir string) {
	for _, reached := range []<-chan struct{}{a.started.signal, a.queue.Opened()} {
		select {
		case <-reached:
		case <-ctx.Done():
			return
		}
	}
	a.logger.Info("started",
		zap.String("version", version()),
		zap.Strings("destinations", some(slices.Sorted(maps.Keys(a.Destinations)))),
		zap.Strings("endpoints", some(a.endpointHosts())),
		zap.String("data_dir", dir),
		zap.Uint64("backlog", a.queue.Stats().Log.TotalPending()))
}

// endpointHosts are the hosts to which events go.
func (a *App) endpointHosts() []string {
	var hosts []string
	for _, d := range a.Destinations {
		if u, err := url.Parse(cmp.Or(d.Endpoint, tracking.DefaultEndpoint)); err == nil {
			hosts = append(hosts, u.Host)
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// maxNamed bounds the names in one log line.
const maxNamed = 10

// some returns the first names, and how many there are besides.
func some(names []string) []string {
	if len(names) <= maxNamed {
		return names
	}
	return append(slices.Clip(names[:maxNamed]), fmt.Sprintf("and %d more", len(names)-maxNamed))
}

// Interface guard
var _ caddyevents.Handler = (*startSignal)(nil)
