package harness

import (
	"testing"
	"time"
)

// Await polls until a condition is met, and ends the test when that takes longer
// than limit.
func Await(t *testing.T, limit time.Duration, what string, met func() bool) {
	t.Helper()
	if !Within(limit, met) {
		t.Fatalf("not within %v: %s", limit, what)
	}
}

// Within polls until a condition is met, for no longer than limit.
func Within(limit time.Duration, met func() bool) bool {
	for end := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		if met() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}
