package caddymodule

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// siteMetrics are the handler's counters. They are made once for the process
// and registered in each configuration's registry, so they keep their values
// across reloads. No label holds a user, a path or an ID.
var siteMetrics = struct {
	identities *prometheus.CounterVec
	rejected   *prometheus.CounterVec
	ignored    *prometheus.CounterVec
	panics     prometheus.Counter
}{
	identities: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_intilery_identities_total",
		Help: "Tracked responses by how the visitor's identity was resolved.",
	}, []string{"reason"}),
	rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_intilery_headers_rejected_total",
		Help: "Intilery-* response headers whose value was refused, by header and reason.",
	}, []string{"header", "reason"}),
	ignored: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_intilery_headers_ignored_total",
		Help: "Responses whose Intilery-* headers were stripped and not acted on, by cause.",
	}, []string{"cause"}),
	panics: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "caddy_intilery_handler_panics_total",
		Help: "Panics in the module's own code that were contained; the response was served.",
	}),
}

func registerMetrics(registry *prometheus.Registry, more ...prometheus.Collector) error {
	for _, c := range append([]prometheus.Collector{
		siteMetrics.identities, siteMetrics.rejected, siteMetrics.ignored, siteMetrics.panics,
	}, more...) {
		var already prometheus.AlreadyRegisteredError
		if err := registry.Register(c); err != nil && !errors.As(err, &already) {
			return err
		}
	}
	return nil
}
