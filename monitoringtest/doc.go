// Package monitoringtest checks docs/monitoring.md, deploy/grafana and deploy/prometheus
// against the metrics that a built Caddy really exports. It is a module of its own, so
// that Prometheus' parser is no dependency of the product. .ci/monitoring runs it.
package monitoringtest
