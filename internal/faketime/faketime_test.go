package faketime_test

import (
	"sync"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/internal/faketime"
)

// Without the guard, the race detector crashes within a second on two
// processors.
func TestTimersAtOnce(t *testing.T) {
	for range 10 {
		faketime.Test(t, func(t *testing.T) {
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for range 500 {
						fired := make(chan struct{})
						time.AfterFunc(0, func() { close(fired) })
						<-fired
						<-time.After(0)
					}
				})
			}
			wg.Wait()
		})
	}
}
