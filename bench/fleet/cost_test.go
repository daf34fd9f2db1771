//go:build linux

package fleet

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/bench/internal/measure"
	"github.com/intilery/caddy-intilery/fleettest/harness"
	"github.com/intilery/caddy-intilery/forwarder"
)

// TestCost compares the CPU time of a node that delivers what it has captured itself
// with that of a fleet's only node, in turn: it also hands events over and reads them
// back. The brokers' time is not in it.
func TestCost(t *testing.T) {
	const rounds, length = 5, 6 * time.Second
	for _, rate := range []int{2000, 10_000} {
		t.Run(fmt.Sprint(rate, " events a second"), func(t *testing.T) {
			begin(t)
			list := views(t, 8192, 1024)
			c := harness.NewCluster(t, harness.ClusterOptions{MaxStore: 8 << 30})
			alone, inFleet := open(t, t.TempDir(), nil, http.StatusOK), open(t, t.TempDir(), c, http.StatusOK)
			defer alone.Close()
			defer inFleet.Close()
			pace := func(f *forwarder.Forwarder, n int) float64 {
				acknowledged := func() uint64 { return f.Stats().Destinations[harness.Destination].Acknowledged.Sum() }
				target, before := acknowledged()+uint64(n), cpu(t)
				begun, made := time.Now(), 0
				for tick := time.NewTicker(10 * time.Millisecond); made < n; <-tick.C {
					for due := int(time.Since(begun).Seconds() * float64(rate)); made < min(due, n); made++ {
						if err := f.Capture(harness.Destination, &list[made%len(list)]); err != nil {
							t.Fatal(err)
						}
					}
				}
				harness.Await(t, time.Minute, "all are delivered", func() bool { return acknowledged() >= target })
				return float64((cpu(t) - before).Nanoseconds()) / 1000 / float64(n)
			}
			n := int(length.Seconds()) * rate
			pace(alone, rate)
			pace(inFleet, rate)
			var ratios, single, fleet []float64
			for range rounds {
				a, b := pace(alone, n), pace(inFleet, n)
				single, fleet, ratios = append(single, a), append(fleet, b), append(ratios, b/a)
				t.Logf("CPU µs/event: alone %.1f, in a fleet %.1f, ratio %.2f", a, b, b/a)
			}
			t.Logf("medians: alone %.1f, in a fleet %.1f, ratio %.2f", measure.Median(single), measure.Median(fleet), measure.Median(ratios))
		})
	}
}
