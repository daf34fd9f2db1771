// Package operatorpage is what the operator's page at Caddy's admin endpoint needs
// beside the status: its files, samples of the queue over the last minutes, and the
// events that were captured last.
//
// All of it is in memory, bounded, and gone with the process. Nothing waits: what
// is called on a request's path costs a lock and no allocation.
package operatorpage
