// Package fleettest tests the fleet against real brokers. It is a module of its own,
// so that the product does not depend on the broker's server.
package fleettest
