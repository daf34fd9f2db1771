package caddymodule

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/intilery/caddy-intilery/cookie"
)

// siteMetrics are the handlers' counters, with the name of Caddy's server as
// their first label, as in Caddy's own. They are made once for the process and
// registered in each configuration's registry, so they keep their values across
// reloads. No label holds a user, a path or an ID.
var siteMetrics = struct {
	identities, keepers, rejected, ignored, gated, links, proxies, panics *prometheus.CounterVec

	collected, refused, withheld *prometheus.CounterVec

	withdrawals *prometheus.CounterVec
}{
	identities: siteCounter("identities_total",
		"Tracked responses by how the visitor's identity was resolved.", "reason"),
	keepers: siteCounter("keepers_refused_total",
		"Requests with a keeper cookie that none of the keys opens for this site: forged, truncated, or sealed by a key that was removed."),
	rejected: siteCounter("headers_rejected_total",
		"Intilery-* response headers whose value was refused, by header and reason.", "header", "reason"),
	ignored: siteCounter("headers_ignored_total",
		"Responses whose Intilery-* headers were stripped and not acted on, by cause.", "cause"),
	gated: siteCounter("navigations_gated_total",
		"Navigations that are not counted as a visit, by cause: speculative, or bot_ and the rule that recognised the bot.", "cause"),
	links: siteCounter("links_total",
		"Documents whose URL carried an identity that was removed, by outcome: dropped, refused, kept or handed_over.", "outcome"),
	proxies: siteCounter("navigations_misproxied_total",
		"Navigations whose client IP, scheme or headers a proxy in front hides, by cause.", "cause"),
	panics: siteCounter("handler_panics_total",
		"Panics in the module's own code that were contained; the response was served."),
	withheld: siteCounter("pages_withheld_total",
		"Page events of the server that were not sent, because the page's tag sent one of the same view."),
	collected: siteCounter("collected_events_total",
		"Events that came to the collection endpoint, by outcome: taken, repeat, page_sent, bot, no_consent, unsupported, or why they were rejected.", "outcome"),
	refused: siteCounter("collect_refused_total",
		"Requests to the collection endpoint that were answered with an error, by its code.", "code"),
	withdrawals: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_intilery_withdrawals_total",
		Help: "Visitors whose undelivered events were to be erased because they withdrew consent, by outcome: erased, unneeded (nothing was captured since they were erased last), failed or overflow.",
	}, []string{"outcome"}),
}

func siteCounter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "caddy_intilery_" + name, Help: help},
		append([]string{"server"}, labels...))
}

// serverMetrics are siteMetrics of one server, so that a request looks up no
// label that does not change.
type serverMetrics struct {
	identities                [cookie.ReasonCount]prometheus.Counter
	keepers, panics, withheld prometheus.Counter

	rejected, ignored, gated, links, proxies *prometheus.CounterVec

	collected, refused *prometheus.CounterVec
}

// metricsOf returns the counters of the server that serves the request. A handler
// belongs to one.
func (h *Handler) metricsOf(r *http.Request) *serverMetrics {
	if m := h.metrics.Load(); m != nil {
		return m
	}
	of := prometheus.Labels{"server": serverName(r)}
	m := &serverMetrics{
		keepers:  siteMetrics.keepers.With(of),
		panics:   siteMetrics.panics.With(of),
		withheld: siteMetrics.withheld.With(of),
		rejected: curried(siteMetrics.rejected, of),
		ignored:  curried(siteMetrics.ignored, of),
		gated:    curried(siteMetrics.gated, of),
		links:    curried(siteMetrics.links, of),
		proxies:  curried(siteMetrics.proxies, of),

		collected: curried(siteMetrics.collected, of),
		refused:   curried(siteMetrics.refused, of),
	}
	identities := curried(siteMetrics.identities, of)
	for _, reason := range cookie.Reasons() {
		m.identities[reason] = identities.WithLabelValues(reason.String())
	}
	// These are seldom and few: of a series that begins at 1, Prometheus does not see
	// the increase.
	for counter, values := range map[*prometheus.CounterVec][]string{
		m.ignored: {"cache_hit", "speculative", "bot", "no_consent", consentNotShown, "deferred_event", "no_identity", "no_destination"},
		m.proxies: {string(proxyUntrusted), string(proxyUnixSocket), string(proxyNoClientIP), string(proxyNoScheme),
			string(proxyScheme), string(proxyNoViewer)},
		m.links: {linkDropped, linkRefused, linkKept, linkHandedOver},
	} {
		for _, value := range values {
			counter.WithLabelValues(value)
		}
	}
	h.metrics.Store(m)
	return m
}

// serverName is the name of the server that serves the request, as Caddy's own
// metrics have it.
func serverName(r *http.Request) string {
	if server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok && server != nil && server.Name() != "" {
		return server.Name()
	}
	return "UNKNOWN"
}

// curried fails only for labels that the counter does not have.
func curried(vec *prometheus.CounterVec, labels prometheus.Labels) *prometheus.CounterVec {
	if c, err := vec.CurryWith(labels); err == nil {
		return c
	}
	return vec
}

// siteCollectors are all of siteMetrics.
func siteCollectors() []prometheus.Collector {
	return []prometheus.Collector{
		siteMetrics.identities, siteMetrics.keepers, siteMetrics.rejected, siteMetrics.ignored, siteMetrics.gated,
		siteMetrics.links, siteMetrics.proxies, siteMetrics.panics, siteMetrics.withdrawals,
		siteMetrics.collected, siteMetrics.refused, siteMetrics.withheld,
	}
}

func registerMetrics(registry *prometheus.Registry, more ...prometheus.Collector) error {
	for _, outcome := range []string{"erased", "unneeded", "failed", "overflow"} {
		siteMetrics.withdrawals.WithLabelValues(outcome) // see metricsOf
	}
	for _, c := range append(siteCollectors(), more...) {
		var already prometheus.AlreadyRegisteredError
		if err := registry.Register(c); err != nil && !errors.As(err, &already) {
			return err
		}
	}
	return nil
}
