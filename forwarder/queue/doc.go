// Package queue has the terms that the parts of the queue share: the records of
// a lane and their positions, the Source by which delivery reads a lane, and the
// accounts that a log of records gives of itself.
//
// Delivery (package forwarder) knows lanes only as this package describes them.
// The embedded log (package wal) offers such lanes; so can another log.
package queue
