package freeport

import (
	"net"
	"slices"
	"strconv"
	"testing"
)

// Ports differ, can be listened on, and are none that is taken.
func TestNext(t *testing.T) {
	var ports []string
	for range 20 {
		port, err := Next()
		if err != nil {
			t.Fatal(err)
		}
		if n, err := strconv.Atoi(port); err != nil || n < lowest || n >= highest {
			t.Errorf("port %q", port)
		}
		if slices.Contains(ports, port) {
			t.Errorf("%s a second time", port)
		}
		ports = append(ports, port)
		l, err := net.Listen("tcp", ":"+port)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	first, err := strconv.ParseUint(ports[0], 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	turn.Store(uint32(first) - lowest - 1) // all of them again, which are taken now
	if port, err := Next(); err != nil || slices.Contains(ports, port) {
		t.Errorf("port %s is taken, %v", port, err)
	}
}
