package forwarder

import (
	"testing"

	"pgregory.net/rapid"
)

// TestRejections compares the window with a plain list.
func TestRejections(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w rejections
		all := make([]bool, windowEvents)
		for _, n := range rapid.SliceOf(rapid.IntRange(-3, 130)).Draw(t, "accepted; rejected below 1") {
			if n > 0 {
				w.accept(n)
				all = append(all, make([]bool, n)...)
				continue
			}
			next := append(all, true)
			bad := 0
			for _, b := range next[len(next)-windowEvents:] {
				if b {
					bad++
				}
			}
			if got, want := w.reject(), bad <= maxRejected; got != want {
				t.Fatalf("reject says %v with %d of %d bad", got, bad, windowEvents)
			}
			if bad <= maxRejected {
				all = next
			}
		}
		w.reset()
		for i := range maxRejected + 1 {
			if got := w.reject(); got != (i < maxRejected) {
				t.Fatalf("rejection %d after a reset: %v", i, got)
			}
		}
	})
}
