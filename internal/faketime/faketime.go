// Package faketime runs tests whose time is faked by testing/synctest.
package faketime

import (
	"runtime"
	"testing"
	"testing/synctest"
)

// Test runs f as synctest.Test does.
//
// Under the race detector it runs on one processor. All timers of a bubble
// share one context of the detector, and two that fire at once on two
// processors corrupt it and crash the process
// (https://github.com/golang/go/issues/78156). The detector itself loses
// nothing by it: it looks at what happens before what, not at what happens
// at the same moment. Tests that use Test must not be parallel.
func Test(t *testing.T, f func(*testing.T)) {
	t.Helper()
	if raceEnabled {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	}
	synctest.Test(t, f)
}
