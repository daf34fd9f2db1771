// Package freeport finds ports for servers that tests and benchmarks start and
// that must be told theirs beforehand.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
)

// Ports are chosen below those that systems give to outgoing connections (from
// 32768 on Linux, from 49152 elsewhere): one of these could take the port before
// the server that it is for.
const (
	lowest  = 10000
	highest = 32000
)

// turn makes each choice of a process another one. Processes begin anywhere, so
// that two at a time seldom ask for the same.
var turn atomic.Uint32

func init() { turn.Store(rand.Uint32N(highest - lowest)) }

// Next returns a port that nobody listens on, and that this process was not given
// before unless it has had them all.
func Next() (string, error) {
	var err error
	for range 100 {
		port := strconv.Itoa(lowest + int(turn.Add(1)%(highest-lowest)))
		var l net.Listener
		if l, err = net.Listen("tcp", ":"+port); err == nil {
			return port, l.Close()
		}
	}
	return "", fmt.Errorf("no free port among 100: %w", err)
}
