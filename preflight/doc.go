// Package preflight looks at what a configuration needs before Caddy is started with
// it, or beside a Caddy that runs: the way to each destination, the data directory,
// the fleet's brokers, and the sites.
//
// It promises that nothing is made or changed: no file, no directory, no stream, and at
// Intilery no profile and no event. The calls to Intilery are empty batches (see
// [Checker.Destination]). The one exception are visits to sites, which are the doctor's
// ([Checker.Site]) and count as any visitor's.
//
// Each step ends within the checker's timeout. A finding is a problem if events or
// identities would be lost or would not be sent; a warning if that depends on something
// else, or comes later; a note if something was left out.
//
// What others say is printed as package terminal allows it. No token or other secret is
// part of a finding, also where a receiver quotes it.
//
// It assumes that the options have been checked. It does not look into the log, and it
// does not see quotas of btrfs.
package preflight
