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
	keepers    prometheus.Counter
	rejected   *prometheus.CounterVec
	ignored    *prometheus.CounterVec
	gated      *prometheus.CounterVec
	links      *prometheus.CounterVec
	panics     prometheus.Counter

	withdrawals *prometheus.CounterVec
}{
	identities: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_intilery_identities_total",
		Help: "Tracked responses by how the visitor's identity was resolved.",
	}, []string{"reason"}),
	keepers: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "caddy_intilery_keepers_refused_total",
		Help: "Requests with a keeper cookie that none of the keys opens for this site: forged, truncated, or sealed by a key that was taken away.",
	}),
	rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_intilery_headers_rejected_total",
		Help: "Intilery-* response headers whose value was refused, by header and reason.",
	}, []string{"header", "reason"}),
	ignored: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_intilery_headers_ignored_total",
		Help: "Responses whose Intilery-* headers were stripped and not acted on, by cause.",
	}, []string{"cause"}),
	gated: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_intilery_navigations_gated_total",
		Help: "Navigations that count as no visit, by cause: bot_name, bot_headers or speculative.",
	}, []string{"cause"}),
	links: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_intilery_links_total",
		Help: "Documents whose URL carried an identity and was cleaned of it, by what came of it: dropped, refused, kept or handed_over.",
	}, []string{"outcome"}),
	panics: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "caddy_intilery_handler_panics_total",
		Help: "Panics in the module's own code that were contained; the response was served.",
	}),
	withdrawals: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_intilery_withdrawals_total",
		Help: "Visitors whose undelivered events were to be erased because they withdrew consent, by outcome: erased, failed or overflow.",
	}, []string{"outcome"}),
}

func registerMetrics(registry *prometheus.Registry, more ...prometheus.Collector) error {
	for _, c := range append([]prometheus.Collector{
		siteMetrics.identities, siteMetrics.keepers, siteMetrics.rejected, siteMetrics.ignored,
		siteMetrics.gated, siteMetrics.links, siteMetrics.panics, siteMetrics.withdrawals,
	}, more...) {
		var already prometheus.AlreadyRegisteredError
		if err := registry.Register(c); err != nil && !errors.As(err, &already) {
			return err
		}
	}
	return nil
}
