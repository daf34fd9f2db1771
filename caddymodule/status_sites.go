package caddymodule

import (
	"cmp"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// siteStatus is what the operator's page shows of one of Caddy's servers: the
// counters of siteMetrics that are above zero.
type siteStatus struct {
	Identities     map[string]uint64 `json:"identities"` // by how they were resolved
	HeadersRefused []refusedHeader   `json:"headers_refused"`
	HeadersIgnored map[string]uint64 `json:"headers_ignored"` // by cause
	Gated          map[string]uint64 `json:"gated"`           // navigations, by cause
	Misproxied     map[string]uint64 `json:"misproxied"`      // navigations, by cause
	KeepersRefused uint64            `json:"keepers_refused"`
	Panics         uint64            `json:"panics"`
}

type refusedHeader struct {
	Header string `json:"header"`
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
}

// siteStatuses returns the servers that have counted something, by name.
func siteStatuses() map[string]siteStatus {
	sites := make(map[string]siteStatus)
	read := func(from *prometheus.CounterVec, put func(s *siteStatus, label func(name string) string, n uint64)) {
		for _, c := range readCounters(from) {
			label := func(name string) string { return c.labels[name] }
			s, known := sites[label("server")]
			if !known {
				s = siteStatus{
					Identities: make(map[string]uint64), HeadersRefused: []refusedHeader{}, HeadersIgnored: make(map[string]uint64),
					Gated: make(map[string]uint64), Misproxied: make(map[string]uint64),
				}
			}
			put(&s, label, c.count)
			sites[label("server")] = s
		}
	}
	type put = func(s *siteStatus, label func(string) string, n uint64)
	by := func(name string, of func(*siteStatus) map[string]uint64) put {
		return func(s *siteStatus, label func(string) string, n uint64) { of(s)[label(name)] = n }
	}
	read(siteMetrics.identities, by("reason", func(s *siteStatus) map[string]uint64 { return s.Identities }))
	read(siteMetrics.ignored, by("cause", func(s *siteStatus) map[string]uint64 { return s.HeadersIgnored }))
	read(siteMetrics.gated, by("cause", func(s *siteStatus) map[string]uint64 { return s.Gated }))
	read(siteMetrics.proxies, by("cause", func(s *siteStatus) map[string]uint64 { return s.Misproxied }))
	read(siteMetrics.keepers, func(s *siteStatus, _ func(string) string, n uint64) { s.KeepersRefused = n })
	read(siteMetrics.panics, func(s *siteStatus, _ func(string) string, n uint64) { s.Panics = n })
	read(siteMetrics.rejected, func(s *siteStatus, label func(string) string, n uint64) {
		s.HeadersRefused = append(s.HeadersRefused, refusedHeader{label("header"), label("reason"), n})
	})
	for _, s := range sites {
		slices.SortFunc(s.HeadersRefused, func(a, b refusedHeader) int {
			return cmp.Or(cmp.Compare(a.Header, b.Header), cmp.Compare(a.Reason, b.Reason))
		})
	}
	return sites
}

type labelledCount struct {
	labels map[string]string
	count  uint64
}

// readCounters returns the counters of vec that are above zero.
func readCounters(vec *prometheus.CounterVec) (counters []labelledCount) {
	metrics := make(chan prometheus.Metric)
	go func() {
		defer close(metrics)
		vec.Collect(metrics)
	}()
	for m := range metrics {
		var d dto.Metric
		if m.Write(&d) != nil || d.GetCounter().GetValue() == 0 {
			continue
		}
		c := labelledCount{make(map[string]string), uint64(d.GetCounter().GetValue())}
		for _, l := range d.GetLabel() {
			c.labels[l.GetName()] = l.GetValue()
		}
		counters = append(counters, c)
	}
	return counters
}
