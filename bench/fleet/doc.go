// Package fleet measures a fleet of nodes on three brokers, all on this machine. The
// brokers, and the nodes that are killed, are processes of their own; see
// fleettest/harness.
//
//	go test -count 1 -v -timeout 60m ./fleet -figures [-run ...]
//
// Without -figures it does nothing. Each figure is logged with the machine's load
// before it was taken.
package fleet
