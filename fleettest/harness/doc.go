// Package harness runs a fleet for tests as it runs in the field: brokers and nodes
// are processes of their own, which can be ended, killed, stopped and brought back,
// and TCP proxies stand between them. A receiver takes Intilery's place and tells
// what was lost, sent twice, or out of a visitor's order.
//
// The processes are the test binary itself, so each package of tests that uses this
// one calls Main from its TestMain. All of them listen on loopback only, keep their
// data below the test's temporary directory, and end with the test. Unix only.
package harness
