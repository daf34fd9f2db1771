// Package bench holds nothing itself: its directories measure caddy-intilery
// against its peers and against what the machine can do. It is a module of its
// own, so that the peers are no dependencies of the product.
//
//	site    reverse_proxy with and without the module, as whole processes
//	queue   durable capture: our log, raw append, the OpenTelemetry Collector, NATS
//	live    capture to acknowledged at a steady pace, in turn with an earlier revision
//	collect the endpoint, with the commit waited for, beside a plain respond
//	fleet   a fleet of nodes on three brokers: loss, takeover, latency, hand-over
//	backlog start with a full queue, its memory, and how fast it is sent
//
// Everything runs on one machine, so the ratios within one run are what to
// trust. All of it needs Linux, because it reads /proc. The figures, and the
// commands that made them, are in docs/benchmarks.md.
package bench
